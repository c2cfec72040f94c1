"""What each epoch shows of altered training images: cached views, or such made anew."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import tensorflow as tf

from automl_cv.catalog.augmentations import Augmentation
from automl_cv.data.images import Window
from automl_cv.engine.extract import BATCH_SIZE, Network, online_features
from automl_cv.engine.runtime import as_tensor
from automl_cv.features import recipe
from automl_cv.features.cache import Matrix
from automl_cv.study.studyfile import Backbone

# Batches that measure a backbone's speed, the first of which compiles it and is not timed.
MEASURED_BATCHES = 9


@dataclass(frozen=True)
class Shown:
    """What one epoch trains on.

    Args:
        features: float32, shape (any, features).
        rows: those of `features` that the epoch visits, in order, int64, shape (n,).
        labels: where images are mixed, the shares of classes in each of these rows, float32,
            shape (n, classes); None where each image has its own class.
    """

    features: tf.Tensor
    rows: np.ndarray
    labels: np.ndarray | None = None


class Views(Protocol):
    """Altered training images.

    Args:
        mixes: whether images are mixed, so that they have shares of classes.
    """

    mixes: bool

    def show(self, order: np.ndarray, seed: int, epoch: int) -> Shown:
        """Return what an epoch trains on.

        Args:
            order: in which it visits the training images, int64, shape (n,).
            seed: of the trial.
            epoch: its number, from 1.
        """


class CachedViews:
    """Features of a few views of each image, of which an epoch draws one.

    Args:
        features: those of an image side by side, float32 (images * views, features).
        images: which of the images train, int64, shape (n,).
        views: how many of each.
    """

    mixes = False

    def __init__(self, features: np.ndarray, images: np.ndarray, views: int) -> None:
        self._features = as_tensor(features)
        self._images = images
        self._views = views

    def show(self, order: np.ndarray, seed: int, epoch: int) -> Shown:
        """Return one view of each image; see `Views`."""
        chosen = epoch_views(len(order), self._views, seed, epoch)[order]
        return Shown(self._features, self._images[order] * self._views + chosen)


class OnlineViews:
    """Runs the backbone in each epoch, on images altered for it: view 1 in epoch 1, and so on.

    The features of one epoch are held, never the pixels.

    Args:
        backbone: the trial's backbone.
        network: `extract.load` of it.
        augmentation: operations on pixels, "image" or "batch"; others play no part.
        paths: files of the training images, n of them.
        content_hashes: of their pixels.
        labels: their class indices, int32, shape (n,).
        classes: number of classes.
        window: which values of deep greys become black and white, see `data.images.decode`.
    """

    def __init__(
        self,
        backbone: Backbone,
        network: Network,
        augmentation: Augmentation,
        paths: Sequence[Path],
        content_hashes: Sequence[str],
        *,
        labels: np.ndarray,
        classes: int,
        window: Window | None = None,
    ) -> None:
        self._backbone = backbone
        self._network = network
        self._augmentation = augmentation
        self._paths, self._content_hashes = paths, content_hashes
        self._labels = np.eye(classes, dtype=np.float32)[labels]
        self._window = window
        self.mixes = bool(augmentation.of_level("batch"))

    def show(self, order: np.ndarray, seed: int, epoch: int) -> Shown:
        """Run all images through the backbone, in order; see `Views`."""
        batches = online_features(
            self._network,
            recipe(self._backbone, self._augmentation, seed),
            [self._paths[row] for row in order],
            [self._content_hashes[row] for row in order],
            self._labels[order],
            view=epoch,
            window=self._window,
        )
        labels = np.empty((len(order), self._labels.shape[1]), np.float32)
        features: Matrix | None = None
        done = 0
        for blocks, targets in batches:
            chosen = slice(done, done + len(targets))
            found = _chosen_blocks(self._backbone, blocks)
            if features is None:
                features = np.empty((len(order), found.shape[1]), np.float32)
            features[chosen], labels[chosen] = found, targets
            done += len(targets)
        assert features is not None, "an epoch without images"
        return Shown(as_tensor(features), np.arange(done), labels if self.mixes else None)


def measured(
    backbone: Backbone,
    network: Network,
    paths: Sequence[Path],
    content_hashes: Sequence[str],
    *,
    window: Window | None = None,
) -> tuple[int, float]:
    """Measure how fast images pass a backbone, as they do in an epoch of `OnlineViews`.

    Args:
        backbone: of the study or trial.
        network: `extract.load` of it.
        paths: files of images; those of a few batches are run.
        content_hashes: of their pixels.
        window: as in `OnlineViews`.

    Returns:
        How many images passed it, and in how many seconds.
    """
    count = min(len(paths), MEASURED_BATCHES * BATCH_SIZE)
    batches = online_features(
        network,
        recipe(backbone),
        paths[:count],
        content_hashes[:count],
        np.ones((count, 1), np.float32),
        view=0,
        window=window,
    )
    started, done = time.perf_counter(), 0
    for number, (_, targets) in enumerate(batches):
        done += len(targets)
        if number == 0 and count > BATCH_SIZE:  # compiles
            started, done = time.perf_counter(), 0
    return done, time.perf_counter() - started


def epoch_views(images: int, views: int, seed: int, epoch: int) -> np.ndarray:
    """Return which view of each training image an epoch shows, int64, shape (images,)."""
    return np.random.default_rng([seed, epoch, 1]).integers(0, views, images)


def _chosen_blocks(backbone: Backbone, blocks: Sequence[Matrix]) -> Matrix:
    return blocks[-1] if backbone.features == "last" else np.concatenate(blocks, axis=1)
