"""Runs images through a backbone, each picture once, and files their features in the cache."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from automl_cv.engine import backbone as backbones
from automl_cv.engine import images
from automl_cv.features import FeatureCache, Recipe
from automl_cv.features.cache import Matrix
from automl_cv.studyfile import Backbone

# ResNet50 at 224 px on two cores: a process of 1.6 to 2.0 GB; of 2.5 to 2.8 with batches of 32,
# which were no faster.
BATCH_SIZE = 16
# A shard is written whenever one of these is reached: what a kill can cost, and the
# most that is held in memory (4,096 images of ResNet152's 50 blocks are 0.8 GB).
SHARD_IMAGES = 4096
SHARD_SECONDS = 30.0

Progress = Callable[[int, int, float], None]
"""Is called after each batch with (images done, images to do, images per second)."""


def extract(
    backbone: Backbone,
    paths: Sequence[Path],
    content_hashes: Sequence[str],
    cache: FeatureCache,
    recipe: Recipe,
    on_progress: Progress | None = None,
) -> int:
    """Fill the cache with the features of those images that it lacks.

    Stopped at any moment it has lost the features since the last shard at most, and
    goes on from there when called again.

    Args:
        backbone: the study's `[backbone]`.
        paths: files of images; repeats allowed.
        content_hashes: of their pixels, one for each path (see `images.content_hash`).
        cache: where the features go.
        recipe: `features.recipe(backbone)`.
        on_progress: see `Progress`.

    Returns:
        How many images passed the backbone, each picture counted once.

    Raises:
        UserError: the backbone can't be built (see `backbone.build`).
        AutomlError: a file can't be read any more, or holds another picture by now.
        ValueError: the recipe is that of altered images.
    """
    if recipe.view is not None:
        raise ValueError(f"images are extracted as they are, not as view {recipe.view}")
    files = dict(zip(reversed(content_hashes), reversed(paths), strict=True))
    missing = cache.missing(recipe, content_hashes, backbone.features)
    if not missing:
        return 0
    network = backbones.build(backbone, recipe.image_size)
    shard = _Shard(cache, recipe)
    started, done = time.monotonic(), 0
    try:
        for blocks in _run(network, [files[known] for known in missing], missing):
            n_images = len(blocks[0])
            shard.append(missing[done : done + n_images], blocks)
            done += n_images
            if on_progress is not None:
                on_progress(done, len(missing), done / (time.monotonic() - started))
    finally:
        shard.write()
    return done


def _run(
    network: keras.Model, paths: Sequence[Path], content_hashes: Sequence[str]
) -> Iterator[list[Matrix]]:
    """Yield each batch's outputs, in order.

    TensorFlow has one thread for each operation in our processes (see `runtime`), so
    extraction takes the machine's cores by calling the network from as many threads. A GPU
    is one device: a second caller would only double its memory.
    """
    cores = os.cpu_count() or 1
    callers = 1 if tf.config.list_physical_devices("GPU") else cores
    call = backbones.compile_calls(network, BATCH_SIZE)
    size = network.input_shape[1]
    pixels = images.batches(paths, content_hashes, size, BATCH_SIZE, cores)
    with ThreadPoolExecutor(callers, "backbone") as pool:
        yield from images.in_order(pool, call, pixels, ahead=callers)


class _Shard:
    """Features on their way to the cache, written when there are enough of them."""

    def __init__(self, cache: FeatureCache, recipe: Recipe) -> None:
        self._cache, self._recipe = cache, recipe
        self._restart()

    def _restart(self) -> None:
        self._hashes: list[str] = []
        self._batches: list[list[Matrix]] = []
        self._since = time.monotonic()

    def append(self, content_hashes: Sequence[str], blocks: list[Matrix]) -> None:
        self._hashes += content_hashes
        self._batches.append(blocks)
        waited = time.monotonic() - self._since
        if len(self._hashes) >= SHARD_IMAGES or waited >= SHARD_SECONDS:
            self.write()

    def write(self) -> None:
        if self._hashes:
            blocks = [np.concatenate(parts) for parts in zip(*self._batches, strict=True)]
            self._cache.add(self._recipe, self._hashes, blocks)
        self._restart()
