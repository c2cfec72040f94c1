"""What the heads are made of."""

from __future__ import annotations

import numpy as np
import pytest

from automl_cv.training.head_input import HeadInput, describe
from tests.later import later

with later():
    import keras

    from automl_cv.engine.head import linear, mlp


FEATURES = np.random.default_rng(0).normal(3.0, 2.0, (40, 6)).astype(np.float32)
PLAIN = {"width": 5, "activation": "tanh", "dropout": 0.5, "normalization": True}


def given() -> HeadInput:
    return describe(FEATURES, np.arange(40), classes=4)


@pytest.mark.parametrize("hidden_layers", [0, 1, 3])
def test_an_mlp_has_its_layers(hidden_layers):
    model = mlp(given(), hidden_layers=hidden_layers, **PLAIN)
    sizes = [6, *[5] * hidden_layers, 4]
    kernels = [weight.shape for weight in model.weights if weight.ndim == 2]
    assert kernels == list(zip(sizes, sizes[1:], strict=False))
    dropouts = [layer for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
    assert len(dropouts) == hidden_layers
    assert model(FEATURES).shape == (40, 4)


def test_an_mlp_without_hidden_layers_is_the_linear_head():
    heads = []
    for build, own in ((linear, {"normalization": True}), (mlp, {"hidden_layers": 0, **PLAIN})):
        keras.utils.set_random_seed(3)
        heads.append(np.asarray(build(given(), **own)(FEATURES, training=True)))
    np.testing.assert_array_equal(*heads)


def test_an_mlp_standardises_if_asked():
    for normalization in (True, False):
        model = mlp(given(), hidden_layers=1, **{**PLAIN, "normalization": normalization})
        hidden = model.get_layer("hidden1").input
        seen = np.asarray(keras.Model(model.input, hidden)(FEATURES))
        assert np.allclose(seen.mean(axis=0), 0, atol=1e-4) == normalization
