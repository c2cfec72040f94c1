"""What a worker process trains on: features, made or found, and the trainers that share them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from automl_cv.data import overlap, splitting
from automl_cv.engine import runtime
from automl_cv.engine.extract import Progress, extract
from automl_cv.engine.training import HeadTrainer, TrainingData
from automl_cv.engine.views import CachedViews, Views
from automl_cv.features import FeatureCache, recipe, view_names
from automl_cv.search import messages
from automl_cv.search.reference import logistic_reference
from automl_cv.space import Value
from automl_cv.stage import Stage
from automl_cv.studyfile import drawn_backbone


class Trainers:
    """Extracts features, holds them, and makes a trainer when a trial first asks for it.

    Args:
        given: the images of the search.
        report: is told how far an extraction is.
    """

    def __init__(self, given: messages.Prepare, report: Progress) -> None:
        self._given = given
        self._report = report
        self._cache = FeatureCache(given.cache_dir)
        self._features: dict[messages.PrepareFeatures, np.ndarray] = {}
        self._trainers: dict[object, HeadTrainer] = {}

    def prepare(self, order: messages.PrepareFeatures) -> messages.Prepared:
        """Make sure that features are cached, and open them.

        Raises:
            UserError: the backbone or its weights can't be had.
            AutomlError: a file can't be read any more.
        """
        started = time.perf_counter()
        images = self._given.images
        altering = order.augmentation is not None
        rows = np.flatnonzero(images.splits == "train") if altering else range(len(images.paths))
        paths = [Path(images.paths[row]) for row in rows]
        hashes = [images.content_hashes[row] for row in rows]
        wanted = recipe(order.backbone, order.augmentation, self._given.seed)
        extracted = extract(
            order.backbone, paths, hashes, self._cache, wanted, self._report, order.views
        )
        names = view_names(hashes, order.views) if altering else hashes
        features = self._cache.open(wanted, names, order.backbone.features).array
        self._features[order] = features
        return messages.Prepared(
            extracted=extracted,
            dimension=int(features.shape[1]),
            seconds=time.perf_counter() - started,
            versions=runtime.versions(),
        )

    def trainer(
        self, stage: Stage, parameters: Mapping[str, Value], fold: int | None
    ) -> HeadTrainer:
        """Return the trainer for a trial's images; trials of the same images share it.

        Args:
            stage: what the trial belongs to.
            parameters: of the trial.
            fold: see `messages.Train`.
        """
        backbone = drawn_backbone(self._given.backbone, parameters)
        folds = stage.retrain.folds if stage.retrain is not None else None
        key = (backbone, folds, fold)
        if key not in self._trainers:
            features = self._features[messages.PrepareFeatures(backbone)]
            self._trainers[key] = HeadTrainer(self._data(features, folds, fold))
        return self._trainers[key]

    def views(self, stage: Stage, parameters: Mapping[str, Value]) -> Views | None:
        """Return how a trial's training images are altered; None where they are not.

        Args:
            stage: what the trial belongs to.
            parameters: of the trial.
        """
        if not stage.alteration:
            return None
        backbone = drawn_backbone(self._given.backbone, parameters)
        order = messages.PrepareFeatures(backbone, stage.alteration, stage.views)
        features = self._features[order]
        return CachedViews(features, np.arange(len(features) // order.views), order.views)

    def survey(self) -> messages.Surveyed:
        """Train the reference on the study's own backbone, and compare the splits on it."""
        images, backbone = self._given.images, self._given.backbone
        data = self._data(self._features[messages.PrepareFeatures(backbone)])
        reference = logistic_reference(
            data.features[data.train],
            data.train_labels,
            data.features[data.validation],
            data.validation_labels,
        )
        last = self._cache.open(recipe(backbone), images.content_hashes, "last").array
        near = overlap.near_duplicates(last, images.splits)
        return messages.Surveyed(reference, tuple(near.warnings(images.paths)))

    def _data(
        self, features: np.ndarray, folds: int | None = None, fold: int | None = None
    ) -> TrainingData:
        """Return the images that train and those that validate: the splits, or a fold's."""
        images = self._given.images
        if folds is None:
            parts = [np.flatnonzero(images.splits == split) for split in ("train", "validation")]
        else:
            both = np.flatnonzero(np.isin(images.splits, ("train", "validation")))
            of_fold = fold_numbers(images, both, folds, self._given.seed)
            parts = [both[of_fold != fold], both[of_fold == fold]]
        train, validation = parts
        return TrainingData(
            features=features,
            train=train,
            train_labels=images.labels[train],
            validation=validation,
            validation_labels=images.labels[validation],
            classes=len(images.classes),
            content_hashes=[images.content_hashes[row] for row in train],
        )


def fold_numbers(images: messages.Images, rows: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Divide images into folds of equal size, stratified, groups and copies kept together.

    Args:
        images: all images.
        rows: those to divide, shape (n,).
        folds: how many folds.
        seed: another seed gives other folds.

    Returns:
        The number of each image's fold, from 0, shape (n,).

    Raises:
        UserError: a class has fewer images than there are folds.
    """
    names = splitting.assign(
        [images.classes[images.labels[row]] for row in rows],
        [images.content_hashes[row] for row in rows],
        [images.groups[row] for row in rows],
        {str(number): 1 / folds for number in range(folds)},
        seed,
    )
    return np.asarray([int(name) for name in names])
