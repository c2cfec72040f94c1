"""Which layers are shown, and that they show what the network computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from automl_cv.catalog.backbones import BACKBONES
from automl_cv.errors import UserError
from automl_cv.pictures.maps import FeatureMaps
from automl_cv.saved import folder
from automl_cv.study.studyfile import Backbone
from tests.engine.test_layer_outputs import small_base, transfer_model
from tests.later import later
from tests.saved.saved import MANIFEST

with later():
    import keras
    import tensorflow as tf
    from keras import layers

    from automl_cv.engine import images, layer_outputs, maps, pretraining, saved_network

# Keras's `save` copies variables in a way that NumPy 2 deprecates (keras/backend/tensorflow).
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

PICTURE = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)


def network_of(model: keras.Model, size: int = 16) -> maps.Network:
    return maps.Network("mine", model, size)


@pytest.fixture(scope="module")
def compact() -> maps.Network:
    return maps.of_backbone(Backbone(name="compact"), 32)


@pytest.mark.slow
def test_maps_of_compact_are_those_of_the_network_called_directly(compact):
    """With the resizing and preprocessing of training, written out here."""
    network = pretraining.build()
    network.load_weights(BACKBONES["compact"].weights.path)
    scaled = tf.image.resize(PICTURE[None], (32, 32), antialias=True) / 127.5 - 1
    for one in maps.feature_maps(compact, PICTURE):
        direct = keras.Model(network.input, network.get_layer(one.layer).output)
        expected = direct(scaled, training=False).numpy()[0]
        np.testing.assert_allclose(one.values, expected, atol=1e-4)
        assert one.values.dtype == np.float32


def test_one_layer_a_stage_shallow_to_deep(compact):
    shown = maps.feature_maps(compact, PICTURE)
    assert [(one.layer, one.values.shape) for one in shown] == [
        ("stage2_block1_preact_relu", (32, 32, 24)),
        ("stage3_block1_preact_relu", (16, 16, 48)),
        ("stage4_block1_preact_relu", (8, 8, 96)),
        ("post_relu", (4, 4, 192)),
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ResNet50", "conv1_relu conv2_block3_out conv3_block4_out conv4_block6_out "
         "conv5_block3_out"),
        ("ResNet50V2", "conv1_conv conv2_block3_preact_relu conv3_block4_preact_relu "
         "conv4_block6_preact_relu post_relu"),
    ],
)  # fmt: skip
def test_spread_over_networks_of_keras(name, expected):
    model = getattr(keras.applications, name)(include_top=False, weights=None)
    _, steps = layer_outputs.run(model, tf.zeros((1, 64, 64, 3)))
    assert [step.path for step in maps.spread(steps)] == expected.split()


def test_named_layers_come_in_the_order_of_their_names():
    model = transfer_model(small_base())
    shown = maps.feature_maps(network_of(model), PICTURE, ["relu", "base/conv1", "scaling"])
    assert [one.layer for one in shown] == ["relu", "conv1", "scaling"]
    resized = images.resize(PICTURE, 16)
    np.testing.assert_allclose(shown[2].values, resized / 127.5 - 1, atol=1e-6)


def test_wrong_names():
    image = keras.Input((16, 16, 3))
    x = small_base("right")(layers.Conv2D(3, 1)(small_base("left")(image)))
    model = keras.Model(image, layers.Dense(2, name="scores")(layers.Flatten(name="flat")(x)))
    for name, message in {
        "relu_": "mine: no layer 'relu_': did you mean .*left/relu.*9 layers give feature maps, "
        "from 'left/conv1' to 'right/sum'",
        "norm": "several layers are called 'norm': name one of 'left/norm', 'right/norm'",
        "flat": r"layer 'flat' gives \(1024,\), no feature maps",
    }.items():
        with pytest.raises(UserError, match=message):
            maps.feature_maps(network_of(model), PICTURE, [name])


@pytest.mark.parametrize("names", [(), ("scores",)])
def test_a_network_without_feature_maps(names):
    image = keras.Input((16, 16, 3))
    model = keras.Model(image, layers.Dense(2, name="scores")(layers.Flatten()(image)))
    with pytest.raises(UserError, match="mine: no convolution in it gives feature maps"):
        maps.feature_maps(network_of(model), PICTURE, names)


def test_files_with_preprocessing_in_their_graph(tmp_path: Path):
    model, path = transfer_model(small_base()), tmp_path / "mine.keras"
    model.save(path)
    network = maps.of_file(path, None)
    assert network.image_size == 16
    (shown,) = maps.feature_maps(network, PICTURE)
    _, steps = layer_outputs.run(model, images.resize(PICTURE, 16)[None])
    expected = next(step.output for step in steps if step.path == "base/sum")
    np.testing.assert_allclose(shown.values, expected[0], atol=1e-5)


@pytest.mark.parametrize("shape", [(8, 8, 1), (8, 4, 3), (8, None, 3)])
def test_files_that_take_other_inputs(tmp_path: Path, shape):
    path = tmp_path / "odd.keras"
    keras.Sequential([keras.Input(shape), layers.Conv2D(2, 1)]).save(path)
    with pytest.raises(UserError, match="not square images of three colours"):
        maps.of_file(path, None)


def test_sizes_of_files(tmp_path: Path):
    fixed, free = tmp_path / "fixed.keras", tmp_path / "free.keras"
    for path, side in ((fixed, 8), (free, None)):
        keras.Sequential([keras.Input((side, side, 3)), layers.Conv2D(2, 1)]).save(path)
    assert maps.of_file(fixed, 8).image_size == 8
    assert maps.of_file(free, 24).image_size == 24
    with pytest.raises(UserError, match="takes images of 8 pixels, not of 9"):
        maps.of_file(fixed, 9)
    with pytest.raises(UserError, match="takes images of any size; give --image-size"):
        maps.of_file(free, None)


def write_classifier(out: Path) -> keras.Model:
    """Write a saved classifier on `compact` of three classes, untrained; return its network."""
    features = keras.Input((192,))
    head = keras.Model(features, layers.Dense(3, name="scores")(features))
    network = saved_network.on_backbone(Backbone(name="compact"), 16, [head])
    with folder.replacing(out) as temporary:
        saved_network.save(network, temporary / folder.NETWORK)
        manifest = MANIFEST.model_copy(update={"image_size": 16})
        folder.complete(temporary, manifest, ("cat", "dog", "bird"), "# card\n")
    return network


@pytest.mark.slow
def test_a_saved_classifier_and_the_file_in_it(tmp_path: Path):
    model = write_classifier(tmp_path / "saved")
    opened = maps.of_folder(folder.read(tmp_path / "saved"))
    assert (opened.image_size, opened.classes) == (16, ("cat", "dog", "bird"))
    file = tmp_path / "saved" / folder.NETWORK
    bare = maps.of_file(file, None)
    assert (bare.image_size, bare.classes, bare.name) == (16, None, str(file))
    _, steps = layer_outputs.run(model, images.resize(PICTURE, 16)[None])
    expected = next(step.output for step in steps if step.path.endswith("/post_relu"))
    for network in (opened, bare):
        (shown,) = maps.feature_maps(network, PICTURE, ["post_relu"])
        np.testing.assert_allclose(shown.values, expected[0], atol=1e-5)


def test_the_strongest_channels():
    values = np.zeros((2, 2, 4), np.float32)
    values[0, 0] = [1, -9, 0, 3]
    values[1, 1, 3] = -1
    assert FeatureMaps("any", values).strongest(3) == [1, 3, 0]
    assert FeatureMaps("any", values * 0).strongest(9) == [0, 1, 2, 3]
