"""Engines beside TensorFlow: the same features, or TensorFlow's."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from automl_cv.catalog.engines import (
    BFLOAT16,
    ENGINES,
    FLOAT16,
    FLOAT32,
    TENSORFLOW,
    EngineEntry,
)
from automl_cv.data.images import content_hash, decode
from automl_cv.errors import UserError
from automl_cv.features import FeatureCache, recipe
from automl_cv.study.studyfile import Backbone
from tests.engine.near_and_far import NEAR
from tests.later import later

with later():
    import keras
    from keras import layers

    from automl_cv.engine import backbone as backbones
    from automl_cv.engine import compared
    from automl_cv.engine.extract import extract
    from tests.engine import tiny

# Keras's `save` copies variables in a way that NumPy 2 deprecates (keras/backend/tensorflow);
# its export calls a network with a list, and uses what tf2onnx has of old.
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The structure of `inputs`:UserWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:tf2onnx"),
    pytest.mark.filterwarnings("ignore::FutureWarning:keras"),
]

HERE = __name__
SIZE, BATCH, BLOCKS = 16, 4, 12
OTHERS = [entry.name for entry in ENGINES if entry.name != TENSORFLOW]
WRONG = EngineEntry(name="wrong", about="adds a little", target=f"{HERE}:wrong")
BROKEN = EngineEntry(name="broken", about="converts nothing", target=f"{HERE}:broken")


def wrong(network, batch_size, precision):
    call = backbones.compile_calls(network, batch_size, precision)
    return lambda pixels: [block + 0.001 * np.abs(block).max() for block in call(pixels)]


def broken(network, batch_size, precision):
    raise RuntimeError("no conversion of Counted\nand much more")


def needed(name: str) -> EngineEntry:
    if ENGINES[name].missing:
        pytest.skip(f"{', '.join(ENGINES[name].missing)} not installed")
    return ENGINES[name]


@pytest.fixture(scope="module")
def network() -> keras.Model:
    """Return a network of random weights whose blocks are many, and all of one width."""
    keras.utils.set_random_seed(0)
    pixels = x = keras.Input((SIZE, SIZE, 3))
    # Its constants are tensors, of which converters make inputs.
    x = layers.Normalization(mean=[103.9, 116.8, 123.7], variance=[1e4, 1e4, 1e4])(x)
    ends = []
    for _ in range(BLOCKS):
        x = layers.Conv2D(8, 3, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
        ends.append(layers.GlobalAveragePooling2D()(x))
    return keras.Model(pixels, ends)


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    draw = np.random.default_rng(0)
    return draw.uniform(0, 255, (3 * BATCH, SIZE, SIZE, 3)).astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_an_engine_gives_what_tensorflow_gives(name, network, pixels):
    needed(name)
    batches = np.split(pixels, 3)
    call = compared.compile_compared(network, BATCH, name, FLOAT32, batches[0])
    expected = backbones.compile_calls(network, BATCH)(batches[1])
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(call, batches))
    assert len(found[1]) == BLOCKS
    for own, known in zip(found[1], expected, strict=True):
        np.testing.assert_allclose(own, known, atol=1e-5 * np.abs(known).max())
    for own, known in zip(call(batches[1][:3]), found[1], strict=True):
        np.testing.assert_array_equal(own, known[:3], "an image depends on its company")


@pytest.mark.slow
def test_bfloat16_is_near_float32_or_refused(network, pixels):
    """OpenVINO takes float32 without a word where the processor has no bfloat16."""
    needed("openvino")
    import openvino

    able = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    batch = pixels[:BATCH]
    if not able:
        with pytest.raises(UserError, match="precision: this processor can't compute in bfloat16"):
            compared.compile_compared(network, BATCH, "openvino", BFLOAT16, batch)
        return
    found = compared.compile_compared(network, BATCH, "openvino", BFLOAT16, batch)(batch)[-1]
    full = backbones.compile_calls(network, BATCH)(batch)[-1]
    assert 1e-4 < np.abs(found - full).max() / np.abs(full).max() < 0.1


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Return a folder of weights and of small PNG files, random pixels."""
    made, draw = tmp_path_factory.mktemp("engines"), np.random.default_rng(0)
    tiny.write_weights(made / "tiny.weights.h5")
    for number in range(20):
        Image.fromarray(draw.integers(1, 256, (9, 9, 3), np.uint8)).save(made / f"{number:02d}.png")
    return made


def extracted(folder: Path, cache: FeatureCache, backbone: Backbone, n_images: int = 20) -> int:
    paths = sorted(folder.glob("*.png"))[:n_images]
    hashes = [content_hash(decode(path)) for path in paths]
    return extract(backbone, paths, hashes, cache, recipe(backbone))


def features(folder: Path, cache: FeatureCache, backbone: Backbone) -> np.ndarray:
    hashes = [content_hash(decode(path)) for path in sorted(folder.glob("*.png"))]
    return np.array(cache.open(recipe(backbone), hashes, "all").array)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (WRONG, "wrong gives other features than TensorFlow, by up to 0.001 of the largest"),
        (BROKEN, "broken can't run it (no conversion of Counted)"),
    ],
    ids=["wrong", "broken"],
)
def test_tensorflow_takes_the_place_of_an_engine_that_does_not_suit(
    folder, tmp_path, entry, reason
):
    cache = FeatureCache(tmp_path)
    with tiny.in_table(folder / "tiny.weights.h5"), ENGINES.temporary(entry):
        plain = Backbone(name="tiny", features="all")
        backbone = plain.on_engine(entry.name)
        assert extracted(folder, cache, plain, n_images=5) == 5
        assert extracted(folder, cache, backbone) == 15, "what TensorFlow has made is made"
        assert str(cache.refusal(recipe(backbone))).startswith(reason)
        assert "\n" not in str(cache.refusal(recipe(backbone)))
        found = features(folder, cache, backbone)
        np.testing.assert_array_equal(found, features(folder, cache, plain))
        assert extracted(folder, cache, backbone) == 0
        assert [one.recipe for one in cache.entries()] == [recipe(plain)]
        cache.clear()
        assert cache.refusal(recipe(backbone)) is None


@pytest.mark.slow
def test_features_of_an_engine_stand_beside_those_of_tensorflow(folder, tmp_path):
    cache, near = FeatureCache(tmp_path), EngineEntry(name="near", about="", target=NEAR)
    with tiny.in_table(folder / "tiny.weights.h5"), ENGINES.temporary(near):
        plain = Backbone(name="tiny", features="all")
        assert extracted(folder, cache, plain.on_engine("near")) == 20
        assert extracted(folder, cache, plain.on_engine("near")) == 0
        assert extracted(folder, cache, plain) == 20
        other, own = (features(folder, cache, one) for one in (plain.on_engine("near"), plain))
        assert 0 < np.abs(other - own).max() / np.abs(own).max() < 1e-4
        assert {one.recipe for one in cache.entries()} == {
            recipe(plain),
            recipe(plain.on_engine("near")),
        }


def test_float16_is_near_float32_and_has_features_of_its_own(folder, tmp_path):
    cache = FeatureCache(tmp_path)
    with tiny.in_table(folder / "tiny.weights.h5"):
        plain = Backbone(name="tiny", features="all")
        half = Backbone(name="tiny", features="all", engine=TENSORFLOW, precision=FLOAT16)
        assert extracted(folder, cache, plain) == extracted(folder, cache, half) == 20
        assert cache.refusal(recipe(half)) is None
        found, full = features(folder, cache, half), features(folder, cache, plain)
        assert found.dtype == np.float32
        assert 1e-5 < np.abs(found - full).max() / np.abs(full).max() < 0.01


def test_float32_takes_the_place_of_what_float16_has_no_room_for(folder, tmp_path):
    cache, weights = FeatureCache(tmp_path), tmp_path / "large.weights.h5"
    network = tiny.build()
    network.load_weights(folder / "tiny.weights.h5")
    network.set_weights([1000 * one for one in network.get_weights()])
    network.save_weights(weights)
    with tiny.in_table(weights):
        half = Backbone(name="tiny", engine=TENSORFLOW, precision=FLOAT16)
        assert extracted(folder, cache, half) == 20
        assert str(cache.refusal(recipe(half))).startswith("tensorflow in float16 gives other")
        assert [one.recipe for one in cache.entries()] == [recipe(Backbone(name="tiny"))]


def test_an_engine_that_is_not_installed_is_told_in_one_line(folder, tmp_path):
    absent = EngineEntry(name="gone", about="", target="gone:gone", needs=("gone",), extra="gone")
    with tiny.in_table(folder / "tiny.weights.h5"), ENGINES.temporary(absent):
        with pytest.raises(UserError) as told:
            extracted(folder, FeatureCache(tmp_path), Backbone(name="tiny", engine="gone"))
    assert str(told.value).startswith("backbone.engine: 'gone' needs gone, not installed; ")
    assert "\n" not in str(told.value)
