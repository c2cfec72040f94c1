"""A cut backbone computes what the whole one does, and nothing jumps over the cut."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from automl_cv.catalog.backbones import BACKBONES
from automl_cv.errors import UserError
from automl_cv.study.studyfile import Backbone
from tests.depth import each_time
from tests.later import later

with later():
    import keras

    from automl_cv.engine import backbone as backbones
    from automl_cv.engine.backbone_parts import Cut, cut


# Keras saves TensorFlow's variables in a way that NumPy 2 no longer likes.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SIZE = 40


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return files of random weights; BatchNorms with statistics that matter."""
    folder, draw, found = tmp_path_factory.mktemp("weights"), np.random.default_rng(0), {}
    for name in ("ResNet50", "ResNet50V2", "MobileNetV3Small"):
        keras.utils.set_random_seed(0)
        network = BACKBONES[name].load()(**BACKBONES[name].arguments)
        for weight in network.weights:
            if "kernel" not in weight.path:
                weight.assign(draw.uniform(0.5, 1.5, weight.shape))
        found[name] = folder / f"{name}.weights.h5"
        network.save_weights(found[name])
    return found


def backbone(name: str, weights: dict[str, Path]) -> Backbone:
    return Backbone(name=name, weights=str(weights[name]) if name in weights else None)


def images() -> np.ndarray:
    return np.random.default_rng(1).uniform(0, 255, (2, SIZE, SIZE, 3)).astype(np.float32)


# Shape of the map, and blocks whose output the frozen part gives. The blocks of V2 end in a
# bare sum, which goes round the next block's BatchNorm: this one is behind the cut then, and
# with it the output that stands for the block. Where the next block's shortcut is a projection
# it reads what is normalised, and the cut lies behind the BatchNorm.
CUTS = [
    ("compact", 1, (10, 10, 96), 3),
    ("compact", 2, (20, 20, 48), 2),
    ("compact", 3, (40, 40, 24), 1),
    ("compact", 4, (40, 40, 3), 0),
    ("ResNet50", 1, (2, 2, 2048), 15),
    ("ResNet50", 3, (3, 3, 1024), 13),
    ("ResNet50", 16, (40, 40, 3), 0),
    ("ResNet50V2", 1, (2, 2, 2048), 14),
    ("ResNet50V2", 3, (2, 2, 1024), 13),
    ("ResNet50V2", 15, (10, 10, 256), 0),
    ("ResNet50V2", 16, (40, 40, 3), 0),
    # Adds and multiplies without layers.
    ("MobileNetV3Small", 2, (2, 2, 48), 4),
]


class Whole(NamedTuple):
    """What an uncut backbone makes of the images, by block, and the size of its network."""

    vectors: list[np.ndarray]
    parameters: int


@pytest.fixture(scope="module")
def whole(weights) -> Callable[[str], Whole]:
    """Return a function that runs each uncut backbone once."""

    @functools.cache
    def run(name: str) -> Whole:
        own = backbone(name, weights)
        vectors = [block.numpy() for block in backbones.build(own, SIZE)(images())]
        return Whole(vectors, backbones.load_blocks(own, SIZE)[0].count_params())

    return run


LARGE = [own for own in CUTS if own[0] in ("ResNet50", "ResNet50V2")]
QUICK = [own for own in CUTS if own not in LARGE or own[1] == 3]


@pytest.fixture(
    scope="module", params=each_time(*QUICK, of=CUTS), ids=lambda own: f"{own[0]}-{own[1]}"
)
def parts(request, weights) -> tuple[Cut, str, tuple[int, ...], int]:
    """Cut a backbone once for all tests; return it with what is expected of it."""
    name, n_blocks, shape, n_frozen = request.param
    return cut(backbone(name, weights), SIZE, n_blocks), name, shape, n_frozen


@pytest.mark.slow
def test_both_parts_together_compute_what_the_whole_does(parts, whole):
    made, name, shape, n_frozen = parts
    assert (made.shape, made.n_frozen) == (shape, n_frozen)
    maps = keras.tree.flatten(made.frozen(images()))[0]
    assert maps.shape == (2, np.prod(shape))
    outputs = keras.tree.flatten(made.trained(keras.ops.reshape(maps, (-1, *shape))))
    for found, expected in zip(outputs, whole(name).vectors[n_frozen:], strict=True):
        pooled = np.mean(found, axis=(1, 2))
        np.testing.assert_allclose(pooled, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_only_what_is_behind_the_cut_is_trained(parts, whole):
    made, name, *_ = parts
    assert made.frozen.trainable_weights == []
    kinds = {weight.name for weight in made.trained.trainable_weights}
    assert {"kernel", "gamma", "beta"} <= kinds
    assert not any("moving" in kind for kind in kinds)
    together = made.frozen.count_params() + made.trained.count_params()
    # No layer is in both parts, none in neither.
    assert together == whole(name).parameters


def test_more_blocks_than_there_are_is_told():
    with pytest.raises(UserError, match="compact has 4 blocks, can't train the last 5"):
        cut(Backbone(), SIZE, 5)


@pytest.mark.parametrize(
    ("n_blocks", "shape"), [(1, (10, 10, 5)), (2, (20, 20, 6)), (3, (40, 40, 3))]
)
def test_a_saved_model_is_cut_where_its_blocks_are_found(n_blocks, shape, tmp_path):
    """Of the last block, a vector; of those before it, maps."""
    maps = keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 3)),
            keras.layers.Conv2D(6, 3, strides=2, padding="same"),
            keras.layers.Conv2D(5, 3, strides=2, padding="same"),
        ]
    )
    rest = [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(4, activation="relu")]
    keras.Sequential([keras.Input((SIZE, SIZE, 3)), maps, *rest]).save(tmp_path / "mine.keras")
    own = Backbone(name=str(tmp_path / "mine.keras"))
    made = cut(own, SIZE, n_blocks)
    assert made.shape == shape
    expected = keras.tree.flatten(backbones.build(own, SIZE)(images()))
    found = keras.tree.flatten(made.frozen(images()))[0]
    behind = keras.tree.flatten(made.trained(keras.ops.reshape(found, (-1, *shape))))
    np.testing.assert_allclose(behind[-1], expected[-1], rtol=1e-4)
    assert len(made.trained.trainable_weights) == 2 * n_blocks


def test_a_saved_model_whose_layer_is_used_twice_is_not_cut(tmp_path):
    pixels, twice = keras.Input((SIZE, SIZE, 3)), keras.layers.Conv2D(3, 3, padding="same")
    keras.Model(pixels, twice(twice(pixels))).save(tmp_path / "mine.keras")
    with pytest.raises(UserError, match=r"mine.keras has a layer that is used twice; it can't be"):
        cut(Backbone(name=str(tmp_path / "mine.keras")), SIZE, 1)
