"""A backbone of two small blocks, which counts the images that pass it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from automl_cv.catalog.backbones import BACKBONES, BackboneEntry
from automl_cv.catalog.weights import Weights

_counting = threading.Lock()
n_passed = 0


def _count(pixels: np.ndarray) -> np.ndarray:
    """Count the images of more than one value: batches are filled up with black."""
    global n_passed
    with _counting:
        n_passed += int((pixels.std(axis=(1, 2, 3)) > 0).sum())
    return pixels


class Counted(layers.Layer):
    """Passes images on, and counts them."""

    def call(self, pixels):
        counted = tf.numpy_function(_count, [pixels], pixels.dtype)
        return tf.ensure_shape(counted, pixels.shape)


def build() -> keras.Model:
    """Return the headless network: two blocks of 4 and 6 channels."""
    pixels = keras.Input((None, None, 3))
    x = Counted()(pixels)
    x = layers.Conv2D(4, 3, strides=2, padding="same", activation="relu", name="block1_out")(x)
    x = layers.Conv2D(6, 3, strides=2, padding="same", activation="relu", name="block2_out")(x)
    return keras.Model(pixels, x)


def entry(weights: Path, name: str = "tiny") -> BackboneEntry:
    """Return an entry whose weights, of `write_weights`, count as embedded."""
    return BackboneEntry(
        name=name,
        about="a network for tests",
        target="tests.engine.tiny:build",
        image_size=12,
        preprocessing="tf",
        block_outputs=r"block\d_out",
        weights=Weights(file_name=str(weights), about="nothing", licence="MIT"),
    )


def write_weights(path: Path, seed: int = 0) -> None:
    """Write random weights, the same for the same seed."""
    keras.utils.set_random_seed(seed)
    build().save_weights(path)


@contextmanager
def in_table(weights: Path) -> Iterator[BackboneEntry]:
    """Hold the entry "tiny" in the table of backbones."""
    with BACKBONES.temporary(entry(weights)) as added:
        yield added
