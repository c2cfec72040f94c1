"""Altered training batches from cached pixels, against Keras's layers on the same pixels.

    python tests/benchmarks/augmentation.py

Shifts, zoom and flip, as in the published experiment. Both sides begin with the uint8 array on
disk and end with float32 batches, on one thread an operation (see `engine.runtime`). Keras's
layers run traced, as in tf.data: on batches, and on one image after another, as where a
pipeline maps them before it batches. What counts is processor time, all
cores together, since training wants the rest and a traced map over single images takes several
cores; of several rounds the smallest.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from automl_cv.catalog.augmentations import augmentation
from automl_cv.engine.pixels import Pictures
from automl_cv.engine.runtime import keras
from automl_cv.features.pixels import PixelCache

SIZES = {32: (1024, 64), 224: (128, 32)}  # pixels: images, images a batch
ROUNDS = 7
OPERATIONS = augmentation(
    {"width_shift": 0.1, "height_shift": 0.1, "zoom": 0.1, "horizontal_flip": True}
)


def cached_pictures(folder: Path, size: int, count: int) -> Pictures:
    """Return random images, memory-mapped."""
    hashes = [f"{number:032x}" for number in range(count)]
    draw = np.random.default_rng(0)
    batches = (draw.integers(0, 256, (1, size, size, 3), np.uint8) for _ in hashes)
    pixels = PixelCache(folder).write(hashes, size, batches)
    rows = np.arange(count)
    return Pictures(pixels, hashes, rows % 10, 10, rows, rows[:1], OPERATIONS)


def ours(data: Pictures) -> Callable[[np.ndarray], object]:
    """Return what makes a batch of those images."""
    epoch = iter(range(1, 1_000_000))
    return lambda rows: data.training_batch(rows, next(epoch), seed=0)


def layers(data: Pictures) -> Callable[[np.ndarray], object]:
    """Return the same by Keras's layers, which warp once for the shifts and once for the zoom."""
    several = random_layers()
    traced = tf.function(lambda pixels: several(pixels, training=True), jit_compile=False)
    return lambda rows: traced(tf.cast(data.pixels[rows], tf.float32)).numpy()


def layers_by_image(data: Pictures) -> Callable[[np.ndarray], object]:
    """Return the same by Keras's layers, called on each image."""
    several = random_layers()
    traced = tf.function(
        lambda pixels: tf.map_fn(lambda one: several(one, training=True), pixels),
        jit_compile=False,
    )
    return lambda rows: traced(tf.cast(data.pixels[rows], tf.float32)).numpy()


def random_layers() -> keras.Sequential:
    """Return Keras's layers for the same operations."""
    return keras.Sequential(
        [
            keras.layers.RandomTranslation(0.1, 0.1, fill_mode="nearest"),
            keras.layers.RandomZoom(0.1, fill_mode="nearest"),
            keras.layers.RandomFlip("horizontal"),
        ]
    )


def fastest(
    sides: Sequence[Callable[[np.ndarray], object]], batches: Sequence[np.ndarray]
) -> list[float]:
    """Return the processor seconds of each side's fastest round; sides take turns."""
    for make in sides:
        make(batches[0])  # traces
    seconds = [[math.inf] for _ in sides]
    for _ in range(ROUNDS):
        for make, own in zip(sides, seconds, strict=True):
            started = time.process_time()
            for rows in batches:
                make(rows)
            own.append(time.process_time() - started)
    return [min(own) for own in seconds]


def main() -> None:
    """Measure all at each size and print images a processor second and the ratios."""
    with tempfile.TemporaryDirectory() as folder:
        for size, (count, batch_size) in SIZES.items():
            data = cached_pictures(Path(folder), size, count)
            order = np.random.default_rng(1).permutation(count)
            sides = [side(data) for side in (ours, layers, layers_by_image)]
            own, *others = fastest(sides, np.split(order, count // batch_size))
            print(f"{size} px, {batch_size} images a batch, images a processor second:")
            print(f"  ours: {count / own:,.0f}")
            for name, other in zip(("batches", "single images"), others, strict=True):
                ratio = other / own
                print(f"  Keras's layers on {name}: {count / other:,.0f}, ratio {ratio:.1f}")


if __name__ == "__main__":
    main()
