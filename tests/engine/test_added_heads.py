"""Heads added: one layer of all that are linear, likenesses beside it, saved and loaded as data."""

from __future__ import annotations

import numpy as np
import pytest

from automl_cv.saved import safety
from tests.later import later

with later():
    import keras

    from automl_cv.engine.added_heads import added, as_linear, weighed
    from automl_cv.engine.head import linear, mlp
    from automl_cv.solving.kernel import KernelHead
    from automl_cv.solving.linear import Linear
    from automl_cv.solving.scaling import formed
    from automl_cv.training.head_input import describe

# Keras's `save` copies variables in a way that NumPy 2 deprecates (keras/backend/tensorflow).
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

FEATURES = np.random.default_rng(0).normal(size=(30, 6)).astype(np.float32)


def solved(on, seed):
    draw = np.random.default_rng(seed)
    return Linear(on, draw.normal(size=(6, 3)), draw.normal(size=3))


def of_likeness(on):
    draw = np.random.default_rng(9)
    anchors = formed(on, FEATURES[:12])
    return KernelHead(on, anchors, 2.5, draw.normal(size=(12, 3)), draw.normal(size=3))


def test_all_that_are_linear_in_one_form_are_one_layer(tmp_path):
    heads = [solved("plain", 1), solved("unit", 2), solved("plain", 3), of_likeness("root")]
    model = added(heads, 6)
    expected = sum(head.logits(FEATURES) for head in heads)
    np.testing.assert_allclose(model(FEATURES), expected, rtol=1e-4, atol=1e-4)
    dense = [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    assert len(dense) == 4, "plain, unit, the likenesses, and what is linear in them"
    path = tmp_path / "added.keras"
    model.save(path)
    safety.check_network(path)
    again = keras.models.load_model(path, safe_mode=True)
    np.testing.assert_array_equal(again(FEATURES), model(FEATURES))


@pytest.mark.parametrize("normalization", [False, True])
def test_a_trained_linear_head_is_a_matrix_and_weighs_as_one(normalization):
    given = describe(FEATURES, np.arange(20), 3)
    head = linear(given, normalization=normalization)
    found = as_linear(head)
    np.testing.assert_allclose(found.logits(FEATURES), head(FEATURES), rtol=1e-4, atol=1e-5)
    assert isinstance(weighed(head, 0.5), Linear)


def test_another_head_is_run_beside():
    given = describe(FEATURES, np.arange(20), 3)
    head = mlp(given, hidden_layers=1, width=4, activation="relu", dropout=0.0, normalization=True)
    assert as_linear(head) is None
    model = added([weighed(head, 0.5), solved("plain", 1)], 6)
    expected = 0.5 * np.asarray(head(FEATURES)) + solved("plain", 1).logits(FEATURES)
    np.testing.assert_allclose(model(FEATURES), expected, rtol=1e-4, atol=1e-5)
