"""Heads on cached features of the frozen backbone: the kind of training that costs seconds.

TensorFlow is loaded for what needs it, when it comes: heads of one layer on cached features train
without (`training.linear`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from automl_cv.catalog.metrics import ACCURACY
from automl_cv.features import recipe
from automl_cv.history import Epoch
from automl_cv.orders.messages import Fit, Need, PrepareFeatures
from automl_cv.study.studyfile import Backbone
from automl_cv.study.trial import Inputs, Trial
from automl_cv.trained import OnEpoch, TrainingResult
from automl_cv.training import linear
from automl_cv.training.folds import FoldTrainer
from automl_cv.training.linear import LinearTrainer
from automl_cv.training.trainer import Trainer
from automl_cv.worker.kind import Made
from automl_cv.worker.materials import Materials

if TYPE_CHECKING:
    from automl_cv.engine.views import Views


class Heads:
    """Trains heads; see `worker.kind.Kind`.

    Args:
        materials: features of the images.
    """

    def __init__(self, materials: Materials) -> None:
        self._materials = materials
        self._folds: dict[tuple[Backbone, int | None, bool], FoldTrainer[Any, Any]] = {}
        self._trainers: dict[tuple[Backbone, int | None, int | None, bool], Trainer[Any, Any]] = {}

    def needs(self, inputs: Inputs) -> list[Need]:
        """Return the orders for the features of images as they are, and as they are altered."""
        altered = self._materials.altered(inputs)
        plain = PrepareFeatures(inputs.backbone)
        return [plain] if altered is None else [plain, altered]

    def prepare(self, trial: Trial) -> Trainer[Any, Any]:
        """Return the trainer for a trial's images; trials of the same images share it."""
        key = (trial.backbone, trial.folds, trial.fold, self._is_linear(trial))
        if key not in self._trainers:
            (self._trainers[key],) = self._of_each((trial,))
        return self._trainers[key]

    def _prepare_folds(self, trial: Trial) -> FoldTrainer[Any, Any]:
        """Return the trainer for all folds of a trial's images."""
        key = (trial.backbone, trial.folds, self._is_linear(trial))
        if key not in self._folds:
            self._folds[key] = FoldTrainer(self._of_each(trial.of_each_fold()))
        return self._folds[key]

    def _is_linear(self, trial: Trial) -> bool:
        """Tell whether a trial is trained in NumPy."""
        return linear.takes(trial.task) and self._materials.altered(trial.inputs) is None

    def _of_each(self, trials: Sequence[Trial]) -> Sequence[Trainer[Any, Any]]:
        """Return a trainer for each division of the same features, all of one sort."""
        features = self._materials.features.plain(trials[0].backbone)
        data = [self._materials.data(features, *self._materials.division(one)) for one in trials]
        if self._is_linear(trials[0]):
            return [LinearTrainer(one) for one in data]
        from automl_cv.engine.training import HeadTrainer

        return HeadTrainer.of_folds(data)

    def train(
        self,
        trial: Trial,
        on_epoch: OnEpoch,
        checkpoint: Path | None = None,
        replay: tuple[Epoch, ...] = (),
    ) -> TrainingResult:
        """Train one head, or one on each fold; heads leave no checkpoint.

        Args:
            trial: what is trained.
            on_epoch: is told each epoch, and may stop it.
            checkpoint: not used.
            replay: see `training.trainer.Trainer.train`.
        """
        if trial.is_out_of_fold and not self._materials.whole:
            views = [self.views(one) for one in trial.of_each_fold()]
            return self._prepare_folds(trial).train(trial.task, on_epoch, views)
        return self.prepare(trial).train(trial.task, on_epoch, self.views(trial), replay)

    def fit(self, order: Fit, rows: np.ndarray, on_epoch: Callable[[Epoch], None]) -> Made:
        """Train heads again; see `worker.kind.Kind`."""
        from automl_cv.engine import saved_network
        from automl_cv.engine.refitting import fit_head, logits_of

        first = order.trials[0]
        trainer, views = self.prepare(first), self.views(first)
        # Nothing is left out that a metric could be measured on.
        fitted = [
            fit_head(trainer, replace(trial.task, metric=ACCURACY), order.replay, views, on_epoch)
            for trial in order.trials
        ]
        heads = [one.model for one in fitted]
        features = np.asarray(self._materials.features.plain(first.backbone)[rows])
        image_size = recipe(first.backbone).image_size
        return Made(
            tuple(one.history for one in fitted),
            [logits_of(head, features) for head in heads],
            lambda: saved_network.on_backbone(first.backbone, image_size, heads),
            heads,
        )

    def views(self, trial: Trial) -> Views | None:
        """Return how a trial's training images are altered; None where they are not."""
        materials = self._materials
        order = materials.altered(trial.inputs)
        if order is None:
            return None
        images = materials.images
        train, _ = materials.division(trial)
        from automl_cv.engine.views import CachedViews, OnlineViews

        if order.views == "online":
            return OnlineViews(
                trial.backbone,
                materials.features.network(trial.backbone),
                trial.inputs.augmentation,
                *materials.files(train),
                labels=images.labels[train],
                classes=len(images.classes),
                window=self._materials.images.window,
            )
        # The place of each training image among those that have views.
        places = np.cumsum(np.isin(images.splits, order.splits)) - 1
        return CachedViews(materials.features.of(order), places[train], order.views)
