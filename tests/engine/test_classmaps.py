"""Grad-CAM and Score-CAM on networks whose maps are known, and on those that people have."""

from __future__ import annotations

import numpy as np
import pytest

from automl_cv.errors import UserError
from tests.engine.test_layer_outputs import small_base, transfer_model
from tests.engine.test_maps import PICTURE, network_of
from tests.later import later

with later():
    import keras
    from keras import layers

    from automl_cv.engine import classmaps, images, maps

SIDE, SQUARE = 16, 4
CORNERS = {(0, 0), (0, 12), (12, 0), (12, 12), (5, 7)}
WEIGHTS = np.array([[0.02, -0.01], [-0.02, 0.03]], np.float32)  # (channels, classes)


def picture(row: int, column: int) -> images.Pixels:
    """Return a dark image with a bright square."""
    pixels = np.full((SIDE, SIDE, 3), 10, np.uint8)
    pixels[row : row + SQUARE, column : column + SQUARE] = 250
    return pixels


def detector(end: str = "softmax") -> keras.Model:
    """Return a classifier "bright" or "dark": a channel that detects each, their means, scores."""
    image = keras.Input((SIDE, SIDE, 3))
    conv = layers.Conv2D(2, 1, activation="relu", name="detectors")
    pooled = layers.GlobalAveragePooling2D()(conv(image))
    dense = layers.Dense(2, activation="softmax" if end == "softmax" else None, name="scores")
    scores = dense(pooled)
    match end:
        case "layer":
            scores = layers.Softmax()(scores)
        case "activation":
            scores = layers.Activation("softmax")(scores)
        case "operation":
            scores = keras.ops.softmax(scores)
    model = keras.Model(image, scores)
    kernel = np.zeros((1, 1, 3, 2), np.float32)
    kernel[..., 0], kernel[..., 1] = 1 / 3, -1 / 3
    conv.set_weights([kernel, np.array([-100, 100], np.float32)])
    dense.set_weights([WEIGHTS, np.array([0.5, -0.5], np.float32)])
    return model


def activations(pixels: images.Pixels) -> np.ndarray:
    """Return what the detectors give, in NumPy."""
    brightness = pixels.astype(np.float32).mean(axis=-1)
    return np.maximum(np.stack([brightness - 100, 100 - brightness], axis=-1), 0)


def probability(pixels: np.ndarray, number: int) -> float:
    logits = activations(pixels).mean(axis=(0, 1)) @ WEIGHTS + [0.5, -0.5]
    exponentials = np.exp(logits - logits.max())
    return float(exponentials[number] / exponentials.sum())


def mapped(pixels, class_name="0", model=None, **given):
    network = network_of(model or detector(), SIDE)
    return classmaps.class_maps(network, pixels, class_name=class_name, **given)


@pytest.mark.parametrize(("row", "column"), sorted(CORNERS))
def test_both_methods_find_the_square(row, column):
    for one in mapped(picture(row, column)):
        inside = np.zeros((SIDE, SIDE), bool)
        inside[row : row + SQUARE, column : column + SQUARE] = True
        assert one.values[inside].min() > one.values[~inside].max(), one.method
        assert inside[np.unravel_index(one.values.argmax(), inside.shape)]


@pytest.mark.parametrize(("number", "class_name"), [(0, "0"), (1, "1")])
def test_grad_cam_is_the_formula(number, class_name):
    """The gradient of a score by a place is the dense weight over the number of places."""
    pixels = picture(0, 0)
    grad_cam, _ = mapped(pixels, class_name)
    expected = np.maximum(activations(pixels) @ WEIGHTS[:, number] / SIDE**2, 0)
    np.testing.assert_allclose(grad_cam.values, expected, atol=1e-6)
    assert expected.max() > 0.004
    assert grad_cam.probability == pytest.approx(probability(pixels, number), abs=1e-5)


@pytest.mark.parametrize(("number", "class_name"), [(0, "0"), (1, "1")])
def test_score_cam_is_the_formula(number, class_name):
    pixels = picture(12, 0)
    _, score_cam = mapped(pixels, class_name)
    found = activations(pixels)
    expected = 0
    for channel in range(2):
        mask = found[..., channel]
        mask = (mask - mask.min()) / (mask.max() - mask.min())
        expected = expected + found[..., channel] * probability(pixels * mask[..., None], number)
    np.testing.assert_allclose(score_cam.values, expected, rtol=1e-4)


@pytest.mark.parametrize("end", ["layer", "activation", "operation", "logits"])
def test_all_ends_of_a_classifier_give_the_same(end):
    pixels = picture(0, 12)
    for one, reference in zip(
        mapped(pixels, None, detector(end)), mapped(pixels, None), strict=True
    ):
        np.testing.assert_allclose(one.values, reference.values, rtol=1e-4, atol=1e-7)
        assert one.probability == pytest.approx(reference.probability, abs=1e-5)
        assert (one.class_name, one.predicted) == (reference.class_name, reference.predicted)


def test_the_predicted_class_or_a_named_one():
    network = maps.Network("mine", detector(), SIDE, ("bright", "dark"))
    dark = np.full((SIDE, SIDE, 3), 10, np.uint8)
    assert {one.class_name for one in classmaps.class_maps(network, dark)} == {"dark"}
    for one in classmaps.class_maps(network, dark, class_name="bright"):
        assert (one.class_name, one.predicted) == ("bright", "dark")
        assert one.probability < 0.5
        assert one.values.max() == 0, "nothing is bright"
    with pytest.raises(UserError, match="mine knows no class 'brigth': did you mean 'bright'"):
        classmaps.class_maps(network, dark, class_name="brigth")


def test_score_cam_tries_the_channels_that_vary_most():
    pixels = picture(0, 0)
    (_, whole), (_, part) = mapped(pixels), mapped(pixels, score_channels=1)
    assert (whole.note, part.note) == ("", "1 of 2 channels tried")
    assert not np.allclose(whole.values, part.values)
    assert part.values[SQUARE:, SQUARE:].max() == 0, "the other channel is not tried"


def test_a_transfer_model_maps_layers_of_its_inner_network():
    """Also where the deepest layer of several counts, and the scores are logits."""
    network = network_of(transfer_model(small_base()))
    for names, layer in (((), "sum"), (("relu", "conv1"), "relu")):
        for one in classmaps.class_maps(network, PICTURE, names):
            assert (one.layer, one.values.shape) == (layer, (16, 16))
            assert np.isfinite(one.values).all() and one.values.min() >= 0


@pytest.mark.slow
def test_a_network_of_keras():
    keras.utils.set_random_seed(0)
    model = keras.applications.ResNet50(weights=None, input_shape=(64, 64, 3), classes=4)
    one, other = classmaps.class_maps(network_of(model, 64), PICTURE, score_channels=40)
    assert one.layer == "conv5_block3_out" and one.values.shape == (2, 2)
    assert other.note == "40 of 2,048 channels tried"
    assert np.isfinite(other.values).all()
    assert one.probability == pytest.approx(
        float(model(images.resize(PICTURE, 64)[None]).numpy().max()), abs=1e-4
    )


def test_a_bare_backbone_has_no_class_maps():
    network = network_of(small_base())
    assert classmaps.class_maps(network, PICTURE) == []
    with pytest.raises(UserError, match="--class 3: mine does not end in scores of classes"):
        classmaps.class_maps(network, PICTURE, class_name="3")


def test_scores_that_do_not_depend_on_the_layer():
    image = keras.Input((SIDE, SIDE, 3))
    aside = layers.Conv2D(2, 1, name="aside")(image)
    chosen = keras.ops.argmax(aside, axis=-1, keepdims=True)
    x = layers.GlobalAveragePooling2D()(keras.ops.cast(chosen, "float32"))
    model = keras.Model(image, layers.Dense(2, activation="softmax")(x))
    with pytest.raises(UserError, match="don't depend on the layer 'aside'"):
        classmaps.class_maps(network_of(model), PICTURE)
