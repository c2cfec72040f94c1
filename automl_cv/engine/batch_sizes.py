"""How many images pass a GPU at once: doubled until that gets no faster, or its memory ends.

On processors a batch of any size takes as long for an image (see `extract.BATCH_SIZE`). A GPU has
thousands of cores to fill, and how many images that takes depends on device, network and size.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from automl_cv.catalog.engines import ENGINES, TENSORFLOW
from automl_cv.features import Recipe

WORTHWHILE = 1000
"""Images from which on it is measured: each size is traced, which takes seconds."""

MOST_PIXELS = 256 * 224 * 224
"""Of a batch. In float32 it is 154 MB, and several wait in memory for each core that decodes."""

GAIN = 1.1
"""How many times as many images a second twice the batch must give, or it is not taken."""

ROUNDS = 3


def uses_gpu(recipe: Recipe) -> bool:
    """Tell whether a GPU makes a recipe's features."""
    return recipe.engine == TENSORFLOW and bool(tf.config.list_physical_devices("GPU"))


def found(network: keras.Model, least: int, precision: str) -> int:
    """Measure a network on this device; return the batch size that suits it.

    Args:
        network: of `backbone.build`.
        least: the smallest size.
        precision: in which it computes.
    """
    shape = network.input_shape[1:]

    def seconds_of(size: int) -> float:
        pixels = np.random.default_rng(0).uniform(0, 255, (size, *shape)).astype(np.float32)
        call = ENGINES[TENSORFLOW].compile(network, size, precision)
        call(pixels)  # traced, and the device's algorithms chosen
        return min(_seconds(call, pixels) for _ in range(ROUNDS))

    return doubled(seconds_of, least, MOST_PIXELS // (shape[0] * shape[1]))


def doubled(seconds_of: Callable[[int], float], least: int, most: int) -> int:
    """Return the largest batch size up to which each doubling gained.

    Args:
        seconds_of: measures a size; raises `tf.errors.ResourceExhaustedError` where the device
            has no memory for it.
        least: the smallest size, taken in any case.
        most: the largest.
    """
    size, before = least, seconds_of(least)
    while 2 * size <= most:
        try:
            seconds = seconds_of(2 * size)
        except tf.errors.ResourceExhaustedError:
            break
        if 2 * before < GAIN * seconds:
            break
        size, before = 2 * size, seconds
    return size


def _seconds(call: Callable[[np.ndarray], object], pixels: np.ndarray) -> float:
    started = time.perf_counter()
    call(pixels)
    return time.perf_counter() - started
