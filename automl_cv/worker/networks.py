"""Trials of networks that train from scratch, on cached pixels. Runs in a worker process."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from automl_cv.catalog.augmentations import Augmentation
from automl_cv.catalog.heads import shape_of
from automl_cv.catalog.networks import NETWORKS
from automl_cv.engine import pixels, runtime
from automl_cv.engine.extract import Progress
from automl_cv.engine.network import NetworkData, NetworkTrainer
from automl_cv.engine.runtime import keras
from automl_cv.engine.training import OnEpoch, TrainingResult, TrainingTask
from automl_cv.features import recipe
from automl_cv.features.pixels import PixelCache
from automl_cv.orders import messages
from automl_cv.worker.folds import division
from automl_cv.worker.task import task_of


class Networks:
    """Decodes images once, holds their pixels, and trains networks on them.

    Args:
        given: the images of the search.
        report: is told how far the decoding is.
    """

    def __init__(self, given: messages.Prepare, report: Progress) -> None:
        self._given = given
        self._report = report
        self._image_size = recipe(given.backbone).image_size

    def prepare(self) -> messages.Prepared:
        """Make sure that pixels are cached, and open them.

        Raises:
            AutomlError: a file can't be read any more.
        """
        started, decoded = time.perf_counter(), 0

        def report(done: int, total: int, images_per_second: float) -> None:
            nonlocal decoded
            decoded = done
            self._report(done, total, images_per_second)

        images, cache = self._given.images, PixelCache(self._given.cache_dir)
        paths = [Path(path) for path in images.paths]
        size = self._image_size
        self.pixels = pixels.load(cache, paths, images.content_hashes, size, report)
        return messages.Prepared(
            extracted=decoded,
            dimension=size * size * 3,
            seconds=time.perf_counter() - started,
            versions=runtime.versions(),
        )

    def train(self, order: messages.Train, on_epoch: OnEpoch) -> TrainingResult:
        """Train one network; `on_epoch` is told each epoch and may stop it."""
        stage = order.stage
        folds = stage.retrain.folds if stage.retrain is not None else None
        rows = division(self._given.images, self._given.seed, folds, order.fold)
        trainer = self.trainer(stage.augmentation_of(order.parameters), *rows)
        task = task_of(stage, order.parameters, order.seed, self._given.metric)
        return trainer.train(task, on_epoch, order.checkpoint)

    def trainer(
        self, augmentation: Augmentation, train: np.ndarray, validation: np.ndarray
    ) -> NetworkTrainer:
        """Return what trains networks on some of the images.

        Args:
            augmentation: how training images are altered; false for not.
            train: rows to train on, int64 (n,).
            validation: rows to validate on, int64 (m,).
        """
        images = self._given.images
        pictures = pixels.Pictures(
            pixels=self.pixels,
            content_hashes=images.content_hashes,
            labels=images.labels,
            classes=len(images.classes),
            train=train,
            validation=validation,
            augmentation=augmentation,
        )
        data = NetworkData(
            training_batch=pictures.training_batch,
            training_labels=images.labels[train],
            validation_batch=pictures.validation_batch,
            validation_images=len(validation),
            classes=len(images.classes),
            fingerprint=pictures.fingerprint,
        )
        return NetworkTrainer(data, self.build)

    def build(self, task: TrainingTask) -> keras.Model:
        """Build a task's network with first weights, from pixels to logits.

        Args:
            task: what is trained.
        """
        shape = (self._image_size, self._image_size, 3)
        own = shape_of(task.head_parameters)
        classes = len(self._given.images.classes)
        network: keras.Model = NETWORKS[task.head].load()(shape, classes, **own)
        return network
