"""Pixels for networks that train on them: decoded once, cached, altered batch by batch."""

from __future__ import annotations

import functools
import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tensorflow as tf

from automl_cv.catalog.augmentations import Augmentation
from automl_cv.data.images import Window
from automl_cv.engine import augment, images, mixing
from automl_cv.features import ViewRecipe, view_name
from automl_cv.features.pixels import PixelCache, Pixels
from automl_cv.orders.messages import OnProgress
from automl_cv.processors import cores

DECODING_BATCH = 16  # images a thread decodes and resizes at once

Batch = tuple[tuple[np.ndarray], np.ndarray]
"""Pixels in [0, 255], uint8 as they are cached or float32 where they are altered, shape
(images, size, size, 3); and class indices, int32 (images,), or where images are mixed the
shares of classes, float32 (images, classes), rows of sum 1."""


def load(
    cache: PixelCache,
    paths: Sequence[Path],
    content_hashes: Sequence[str],
    image_size: int,
    on_progress: OnProgress | None = None,
    *,
    window: Window | None = None,
) -> Pixels:
    """Return images decoded and resized, from the cache if they are there.

    Pixels are those of `images.resize`, rounded: by half a grey level at most.

    Args:
        cache: where they are kept.
        paths: files of images.
        content_hashes: of their pixels, one for each path.
        image_size: height and width that images are resized to, in pixels.
        on_progress: is called after each batch that was decoded, see `extract.OnProgress`.
        window: which values of deep greys become black and white, see `data.images.decode`.

    Returns:
        uint8 (images, image_size, image_size, 3), memory-mapped and read-only.

    Raises:
        AutomlError: a file can't be read any more, or holds another image by now.
    """
    found = cache.find(content_hashes, image_size)
    if found is not None:
        return found
    decoded = _decoded(paths, content_hashes, image_size, on_progress, window)
    return cache.write(content_hashes, image_size, decoded)


def _decoded(
    paths: Sequence[Path],
    content_hashes: Sequence[str],
    image_size: int,
    on_progress: OnProgress | None,
    window: Window | None,
) -> Iterator[Pixels]:
    started, done = time.monotonic(), 0
    batches = images.batches(
        paths, content_hashes, image_size, DECODING_BATCH, cores(), window=window
    )
    for batch in batches:
        yield np.rint(batch).astype(np.uint8)
        done += len(batch)
        if on_progress is not None:
            on_progress(done, len(paths), done / (time.monotonic() - started))


@dataclass(frozen=True)
class Pictures:
    """Images that a network trains and validates on; makes their batches.

    Args:
        pixels: of all images, uint8 (images, size, size, 3); may be memory-mapped.
        content_hashes: of their pixels.
        labels: their class indices, int32 (images,).
        classes: number of classes.
        train: rows to train on, int64 (n,).
        validation: rows to validate on, int64 (m,).
        augmentation: how training images are altered, anew in each epoch. MixUp mixes the
            pixels, as in its paper: what a network from scratch has for features.
    """

    pixels: Pixels
    content_hashes: Sequence[str]
    labels: np.ndarray
    classes: int
    train: np.ndarray
    validation: np.ndarray
    augmentation: Augmentation = field(default_factory=Augmentation)

    def training_batch(self, chosen: np.ndarray, epoch: int, seed: int) -> Batch:
        """Return training images as an epoch shows them.

        What happens to an image is drawn from (seed, content, epoch), whatever its place.

        Args:
            chosen: positions in `train`, int64 (batch,).
            epoch: its number.
            seed: the trial's.
        """
        rows = self.train[chosen]
        pixels, labels = self.pixels[rows], self.labels[rows]
        if not self.augmentation:
            return (pixels,), labels
        names = [view_name(self.content_hashes[row], epoch) for row in rows]
        shares = np.eye(self.classes, dtype=np.float32)[labels]
        altered, shares = alter(pixels, shares, ViewRecipe(self.augmentation, seed), names)
        mixes = self.augmentation.of_level("batch", "features")
        return (altered,), shares if mixes else labels

    def validation_batch(self, chosen: np.ndarray) -> Batch:
        """Return validation images as they are.

        Args:
            chosen: positions in `validation`, int64 (batch,).
        """
        rows = self.validation[chosen]
        return (self.pixels[rows],), self.labels[rows]

    @functools.cached_property
    def fingerprint(self) -> str:
        """Tells these images, splits, labels and alterations from all others: a hash."""
        views = ViewRecipe(self.augmentation, 0).as_data()  # the seed is the trial's
        text = json.dumps([self.pixels.shape, self.classes, views, *self.content_hashes])
        digest = hashlib.blake2b(text.encode(), digest_size=16)
        for numbers in (self.labels, self.train, self.validation):
            digest.update(np.asarray([len(numbers), *numbers], "<i8").tobytes())
        return digest.hexdigest()


def alter(
    pixels: Pixels, shares: np.ndarray, views: ViewRecipe, names: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Alter a batch: each image for itself, then mixed with its neighbour.

    This runs on the processor, beside what a GPU does meanwhile.

    Args:
        pixels: uint8 (images, size, size, 3).
        shares: of classes, float32 (images, classes).
        views: operations and their seed.
        names: names of views (see `features.view_name`), one an image.

    Returns:
        Pixels, float32 in [0, 255] (images, size, size, 3), and shares of classes, float32
        (images, classes).
    """
    size, seed, augmentation = pixels.shape[1], views.seed, views.augmentation
    with tf.device("CPU"):
        altered = tf.constant(pixels.astype(np.float32))
        if single := augmentation.of_level("image"):
            change = augment.draw(single, seed, names)
            altered = augment.alter(altered, change.transforms(size), change.colours())
        for operation in augmentation.of_level("batch").operations:
            boxes = operation.entry.load()(seed, names, size, **dict(operation.parameters))
            altered = mixing.cutmix(altered, boxes)
            shares = mixing.mixed(shares, mixing.kept_shares(boxes, size)).numpy()
        for operation in augmentation.of_level("features").operations:
            kept = operation.entry.load()(seed, names, **dict(operation.parameters))
            flat = mixing.mixed(tf.reshape(altered, (len(pixels), -1)), kept)
            altered = tf.reshape(flat, pixels.shape)
            shares = mixing.mixed(shares, kept).numpy()
        return altered.numpy(), shares
