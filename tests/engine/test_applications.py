"""Networks of keras.applications: what their entries name, and what they make of a file."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest

from automl_cv.catalog.backbones import BACKBONES
from automl_cv.saved import safety
from automl_cv.study.studyfile import Backbone
from tests.later import later

with later():
    import h5py
    import keras
    from keras.src.applications.convnext import ConvNeXt
    from keras.src.applications.efficientnet import EfficientNet
    from keras.src.legacy.saving import legacy_h5_format

    from automl_cv.engine import applications
    from automl_cv.engine import backbone as backbones

# Keras's `save` copies variables in a way that NumPy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

# Where WEIGHTS_HASHES of a module has its hashes, with and without the classifier.
HASHES = {
    "ConvNeXtSmall": "convnext_small",
    "ConvNeXtTiny": "convnext_tiny",
    "EfficientNetB0": "b0",
    "EfficientNetV2B0": "b0",
    "EfficientNetV2B1": "b1",
    "EfficientNetV2B2": "b2",
    "EfficientNetV2B3": "b3",
    "EfficientNetV2S": "-s",
    "MobileNetV3Large": "large_224_1.0_float",
    "MobileNetV3Small": "small_224_1.0_float",
}


def test_hashes_and_addresses_are_those_of_keras():
    """ResNets: `test_backbone.py`."""
    published = {entry.name for entry in BACKBONES if entry.weights.url}
    assert {name for name in published if not name.startswith(("ResNet", "DINO"))} == {
        *HASHES,
        "DenseNet121",
    }
    for name, key in HASHES.items():
        weights, module = BACKBONES[name].weights, module_of(name)
        assert weights.digest == module.WEIGHTS_HASHES[key][1]
        base = getattr(module, "BASE_WEIGHTS_PATH", None) or module.BASE_WEIGHT_PATH
        assert weights.url == base + weights.file_name
    module, weights = module_of("DenseNet121"), BACKBONES["DenseNet121"].weights
    assert weights.url == module.DENSENET121_WEIGHT_PATH_NO_TOP
    source = Path(module.__file__).read_text()
    call = r'DENSENET121_WEIGHT_PATH_NO_TOP,\s*cache_subdir="models",\s*file_hash="(\w+)"'
    assert re.findall(call, source) == [weights.digest]


def module_of(name: str):
    return sys.modules[getattr(keras.applications, name).__module__]


def write_published(path: Path, network: keras.Model) -> None:
    """Write random weights in the format of the files that Keras publishes."""
    draw = np.random.default_rng(0)
    for weight in network.weights:
        if "kernel" not in weight.path and weight.dtype == "float32":
            weight.assign(draw.uniform(0.5, 1.5, weight.shape))
    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, network)


def pixels(n_images: int) -> np.ndarray:
    draw = np.random.default_rng(1)
    return draw.uniform(0, 255, (n_images, 64, 64, 3)).astype(np.float32)


@pytest.mark.slow
def test_a_published_file_gives_what_keras_makes_of_it(tmp_path, monkeypatch):
    name, path = "MobileNetV3Small", tmp_path / "published.h5"
    reference = keras.applications.MobileNetV3Small(include_top=False, weights=None)
    write_published(path, reference)
    monkeypatch.setattr(type(BACKBONES[name].weights), "path", path)
    monkeypatch.setattr(backbones, "_have", lambda *given: None)
    vectors = backbones.build(Backbone(name=name), 64)(pixels(2), training=False)
    assert [vector.shape[1] for vector in vectors] == [16, 24, 40, 48, 96, 576]
    expected = reference(pixels(2), training=False).numpy().mean(axis=(1, 2))
    np.testing.assert_allclose(vectors[-1], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_an_efficientnet_is_mended_as_keras_mends_it(tmp_path, monkeypatch):
    """Keras builds it otherwise for `weights="imagenet"`; here with another file's weights."""
    keras.utils.set_random_seed(0)
    path = tmp_path / "published.h5"
    small = {"name": "efficientnetb0", "include_top": False, "input_shape": (64, 64, 3)}
    scales = {"width_coefficient": 0.1, "depth_coefficient": 0.1, "default_size": 64}
    network = EfficientNet(**scales, **small, weights=None, weights_name="b0")
    write_published(path, network)
    applications.load_efficientnet(network, path)
    module = module_of("EfficientNetB0")
    monkeypatch.setattr(module.file_utils, "get_file", lambda *given, **named: str(path))
    mended = EfficientNet(**scales, **small, weights="imagenet", weights_name="b0")
    expected = mended(pixels(2), training=False).numpy()
    found = network(pixels(2), training=False).numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    network.load_weights(path)
    other = network(pixels(2), training=False).numpy()
    assert np.abs(other - expected).max() > 1e-3 * np.abs(expected).max(), "it makes a difference"


@pytest.mark.slow
def test_the_stages_of_a_convnext_end_in_its_sums(tmp_path):
    """A small one; Keras's own weights fit, and it is saved and loaded in safe mode."""
    keras.utils.set_random_seed(0)
    whole = ConvNeXt(
        depths=(1, 2, 1, 1),
        projection_dims=(4, 8, 12, 16),
        name="convnext_tiny",
        include_top=False,
        weights=None,
    )
    network = applications.with_stages(whole)
    assert [output.shape[-1] for output in network.outputs] == [4, 8, 12, 16]
    *ends, last = network(pixels(1))
    np.testing.assert_array_equal(last, whole(pixels(1)))
    for stage, end in enumerate(ends):
        behind = whole.get_layer(f"convnext_tiny_downsampling_block_{stage}")
        inner = keras.Model(whole.input, behind.output)(pixels(1))
        np.testing.assert_allclose(behind(end), inner, rtol=1e-5, atol=1e-5)
    assert [layer.name for layer in network.layers] == [layer.name for layer in whole.layers], (
        "a file's weights come in this order"
    )
    network.save(tmp_path / "convnext.keras")
    safety.check_network(tmp_path / "convnext.keras")
    loaded = keras.models.load_model(tmp_path / "convnext.keras", safe_mode=True)
    np.testing.assert_array_equal(loaded(pixels(1))[-1], last)
