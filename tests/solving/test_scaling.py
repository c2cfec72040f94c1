"""Scalings are those of the engine's heads, and fold into one matrix and one bias."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from automl_cv.solving.linear import FAR_BELOW, Linear, folded, summed, with_absent
from automl_cv.solving.scaling import IMAGES_AT_ONCE, SMALLEST_VARIANCE, measured
from automl_cv.training.head_input import describe
from tests.later import later

with later():
    import keras


DRAW = np.random.default_rng(0)
FEATURES = (5 + DRAW.normal(0, 3, (50, 7)) * np.arange(7)).astype(np.float32)


def test_standard_is_mean_0_and_variance_1():
    given = FEATURES[:, 2:]
    scaled = measured("standard", given).scaled(given)
    assert scaled.dtype == np.float64
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(scaled.std(axis=0), 1, rtol=1e-12)


def test_a_constant_feature_is_not_blown_up():
    scaling = measured("standard", FEATURES)
    variance = FEATURES.astype(np.float64).var(axis=0)
    assert variance[0] == 0
    assert scaling.scale[0] ** 2 == pytest.approx(SMALLEST_VARIANCE * variance.mean())


def test_it_is_the_scale_of_the_engines_heads():
    given = describe(FEATURES, np.arange(len(FEATURES)), 2)
    scaling = measured("standard", FEATURES)
    np.testing.assert_array_equal(given.mean, scaling.mean.astype(np.float32))
    np.testing.assert_array_equal(given.variance, np.square(scaling.scale).astype(np.float32))


def test_unit_is_keras_unit_normalization_and_then_standard():
    features = FEATURES.copy()
    features[3] = 0
    features[4] = 1e-14
    unit = keras.layers.UnitNormalization()(features).numpy()
    scaling = measured("unit", features)
    np.testing.assert_allclose(scaling.mean, unit.mean(axis=0), rtol=1e-5, atol=1e-7)
    expected = (unit - scaling.mean) / scaling.scale
    np.testing.assert_allclose(scaling.scaled(features), expected, atol=1e-5)
    np.testing.assert_array_equal(scaling.scaled(features)[3], -scaling.mean / scaling.scale)


def test_blocks_of_a_file_are_measured_as_the_whole(tmp_path, monkeypatch):
    np.save(tmp_path / "features.npy", FEATURES)
    monkeypatch.setattr("automl_cv.solving.scaling.IMAGES_AT_ONCE", 8)
    read = measured("unit", np.load(tmp_path / "features.npy", mmap_mode="r"))
    monkeypatch.undo()
    whole = measured("unit", FEATURES)
    np.testing.assert_allclose(read.mean, whole.mean, rtol=1e-12)
    np.testing.assert_allclose(read.scale, whole.scale, rtol=1e-12)


@pytest.mark.parametrize("name", ["standard", "unit", "root"])
def test_of_many_images_only_what_is_returned_is_held(name):
    """What is more than a block of them for a moment would be gigabytes of a million."""
    features = np.random.default_rng(0).normal(size=(8 * IMAGES_AT_ONCE + 1, 40))
    rows = np.arange(len(features))[::-2]
    scaling = measured(name, features, rows)
    tracemalloc.start()
    found = scaling.scaled(features, rows)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < found.nbytes + 6 * 8 * IMAGES_AT_ONCE * 40
    np.testing.assert_array_equal(found, measured(name, features[rows]).scaled(features[rows]))


@pytest.mark.parametrize("name", ["standard", "unit"])
def test_a_scaling_folds_into_weights_and_bias(name):
    scaling = measured(name, FEATURES)
    weights, bias = DRAW.normal(size=(7, 3)), DRAW.normal(size=3)
    head = folded(scaling, weights, bias)
    assert head.on == {"standard": "plain", "unit": "unit"}[name]
    expected = scaling.scaled(FEATURES) @ weights + bias
    np.testing.assert_allclose(head.logits(FEATURES), expected, atol=1e-6)
    np.testing.assert_allclose(head.times(0.3).logits(FEATURES), 0.3 * expected, atol=1e-6)


def test_heads_on_the_same_features_become_one():
    heads = [
        Linear(on, DRAW.normal(size=(7, 3)), DRAW.normal(size=3)) for on in 2 * ("unit", "plain")
    ]
    merged = summed(heads)
    assert [head.on for head in merged] == ["unit", "plain"]
    expected = sum(head.logits(FEATURES) for head in heads)
    np.testing.assert_allclose(sum(head.logits(FEATURES) for head in merged), expected)
    assert summed([]) == ()


def test_an_absent_class_is_far_below_the_mean_of_the_others():
    weights, bias = DRAW.normal(size=(7, 2)), DRAW.normal(size=2)
    head = Linear("plain", *with_absent(weights, bias, np.array([0, 2]), 3))
    logits = head.logits(FEATURES)
    np.testing.assert_allclose(logits[:, [0, 2]], FEATURES @ weights + bias)
    np.testing.assert_allclose(logits[:, 1], logits[:, [0, 2]].mean(axis=1) - FAR_BELOW)
