"""What the trials of a worker process are made of: images, their features, their pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from automl_cv.catalog.kinds import KINDS
from automl_cv.data.texts import Texts
from automl_cv.orders import messages
from automl_cv.orders.images import sampled
from automl_cv.orders.messages import (
    Need,
    OnProgress,
    Prepare,
    Prepared,
    PrepareFeatures,
    PreparePixels,
)
from automl_cv.study.stage import Stage
from automl_cv.study.trial import Inputs, Trial
from automl_cv.trained import TrainingData
from automl_cv.worker.features import HeldFeatures
from automl_cv.worker.folds import division, fold_numbers
from automl_cv.worker.kind import Kind
from automl_cv.worker.pixels import HeldPixels

BOTH = ("train", "validation")


class Materials:
    """Makes ready what trials learn from, and says which of it trains and which validates.

    Args:
        given: the images of the search.
        report: is told how far an extraction is.
        tell: is told how much of the disk a large extraction will take.
        whole: train and validation images together are trained on, and validated on, as `fit`
            does; splits and folds play no part.
    """

    def __init__(
        self,
        given: Prepare,
        report: OnProgress,
        tell: Callable[[messages.SpaceNeeded], None],
        *,
        whole: bool = False,
    ) -> None:
        self.given = given
        self.images = given.images
        self.whole = whole
        self.features = HeldFeatures(given, report, tell)
        self.pixels = HeldPixels(given, report)
        self._told = report, tell
        self._kinds: dict[str, Kind] = {}
        self._of_fold: dict[int, np.ndarray] = {}
        self._samples: dict[int, Materials] = {}

    def among(self, images: int | None) -> Materials:
        """Return the same of a sample of the images, as if there were no others; None for all."""
        if images is None:
            return self
        if images not in self._samples:
            some = sampled(self.images, images, self.given.folds, self.given.seed)
            self._samples[images] = Materials(replace(self.given, images=some), *self._told)
        return self._samples[images]

    def kind(self, stage: Stage) -> Kind:
        """Return what trains the trials of a stage, on the images that they see."""
        kind: Kind = self.among(stage.images).kind_named(stage.kind.name)
        return kind

    def kind_named(self, name: str) -> Any:
        """Return a kind by its name in the table: the same object, and what it has compiled."""
        if name not in self._kinds:
            self._kinds[name] = KINDS[name].load()(self)
        return self._kinds[name]

    def apart(self) -> Materials:
        """Return the same with train and validation images apart, as the search has them."""
        return Materials(self.given, *self._told) if self.whole else self

    def needs(self, inputs: Iterable[Inputs]) -> list[Need]:
        """Return the orders that make ready what trials learn from, each once."""
        wanted = (
            replace(need, images=one.stage.images)
            for one in inputs
            for need in self.kind(one.stage).needs(one)
        )
        return list(dict.fromkeys(wanted))

    def prepare(self, order: Need) -> Prepared:
        """Make something ready that trials need.

        Raises:
            UserError: the backbone or its weights can't be had.
            AutomlError: a file can't be read any more.
        """
        if order.images is not None:
            return self.among(order.images).prepare(replace(order, images=None))
        match order:
            case PreparePixels():
                return self.pixels.prepare()
            case PrepareFeatures():
                return self.features.prepare(order)

    def lacking(self, order: PrepareFeatures) -> int:
        """Return how many images an order has to run through a backbone first.

        Raises:
            UserError: the backbone or its weights can't be had, or the disk has no room.
        """
        features = self.among(order.images).features
        return len(features.lacking(replace(order, images=None)))

    def extract(self, order: messages.Extract) -> int:
        """Run a share of the images through a backbone; return how many that were.

        Raises:
            UserError: the backbone or its weights can't be had.
            AutomlError: a file can't be read any more.
        """
        features = self.among(order.order.images).features
        return features.extract(replace(order, order=replace(order.order, images=None)))

    def prepare_trial(self, trial: Trial) -> None:
        """Make ready all that one trial needs; see `prepare`."""
        for need in self.needs([trial.inputs]):
            self.prepare(need)

    def altered(self, inputs: Inputs) -> PrepareFeatures | None:
        """Return the order for the altered images of a trial; None where it has none."""
        order = messages.views_order(inputs)
        if order is not None and self.whole and order.views != "online":
            order = replace(order, splits=BOTH)
        return order

    def division(self, trial: Trial) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows that train and those that validate a trial, int64."""
        if self.whole:
            both = np.flatnonzero(np.isin(self.images.splits, BOTH))
            return both, both
        if trial.folds is None:
            return division(self.images, None, None)
        if trial.folds not in self._of_fold:
            both = np.flatnonzero(np.isin(self.images.splits, BOTH))
            numbers = fold_numbers(self.images, both, trial.folds, self.given.seed)
            self._of_fold[trial.folds] = numbers
        return division(self.images, self._of_fold[trial.folds], trial.fold)

    def files(self, rows: np.ndarray) -> tuple[list[Path], Texts]:
        """Return the files of images and the hashes of their content."""
        return self.features.files(rows)

    def data(self, features: np.ndarray, train: np.ndarray, validation: np.ndarray) -> TrainingData:
        """Return what heads are trained on.

        Args:
            features: of all images, float32, shape (images, features).
            train: rows that train.
            validation: rows that validate.
        """
        labels = self.images.labels
        return TrainingData(
            features=features,
            train=train,
            train_labels=labels[train],
            validation=validation,
            validation_labels=labels[validation],
            classes=len(self.images.classes),
            content_hashes=self.images.content_hashes.take(train),
        )

    def fit_checkpoint(self, order: messages.Fit, trial: Trial) -> Path | None:
        """Return the folder of one training's checkpoint; it stays until all of a fit is done."""
        if order.checkpoints is None:
            return None
        return order.checkpoints / f"{trial.task.seed}-{'both' if self.whole else 'train'}"
