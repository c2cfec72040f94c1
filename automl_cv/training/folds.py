"""Trains one head on each fold, epoch by epoch, so that its figures are those of all images.

A fold's head is worth what it says of the images of its fold, which it was not trained on. After
each epoch of all folds together every image was validated once: that is the trial's epoch, by
which it is pruned, and whose best is the trial's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Generic

import numpy as np

from automl_cv.data.folds import OutOfFold
from automl_cv.history import Epoch
from automl_cv.study.trial import TrainingTask
from automl_cv.trained import OnEpoch, TrainingResult, scored
from automl_cv.training.epochs import Training, schedule_of
from automl_cv.training.trainer import L, State, Trainer, V


class FoldTrainer(Generic[L, V]):
    """Trains heads on several folds of the same features, in loops that the folds share.

    Args:
        trainers: one a fold, at least two; each goes on with the loops of the others.
    """

    def __init__(self, trainers: Sequence[Trainer[L, V]]) -> None:
        self._trainers = trainers
        self._order = OutOfFold.of([one.data.validation for one in trainers])
        self._labels = self._order.joined([one.data.validation_labels for one in trainers])

    def train(
        self, task: TrainingTask, on_epoch: OnEpoch, views: Sequence[V | None]
    ) -> TrainingResult:
        """Train a head on each fold from its first weights to where `on_epoch` stops them all.

        Args:
            task: what to train.
            on_epoch: is told each epoch: means over all images, each validated by the fold that
                did not train on it.
            views: of each fold, see `Trainer.train`.

        Returns:
            The history; the heads' weights at the best epoch, one after the other; and what they
            say of all images, in the images' order.
        """
        loop = self._trainers[0].begin(task, views[0])
        first = loop.state()
        states: list[State] = [first for _ in self._trainers]
        schedules = [schedule_of(task, len(one.data.train)) for one in self._trainers]
        epochs: list[Epoch] = []
        heads = [loop.weights() for _ in self._trainers]

        def said(weights: Sequence[State]) -> np.ndarray:
            parts = []
            for trainer, own in zip(self._trainers, weights, strict=True):
                trainer.turn(loop, task)
                parts.append(trainer.probabilities(loop, own))
            return self._order.joined(parts)

        def train_epoch(number: int, rates: np.ndarray) -> Epoch:
            parts = []
            for fold, trainer in enumerate(self._trainers):
                trainer.turn(loop, task)
                loop.restore(states[fold])
                own_rates = schedules[fold](epochs)
                parts.append(trainer.epoch(loop, task, views[fold], number, own_rates))
                states[fold], heads[fold] = loop.state(), loop.weights()
            pooled = self._pooled(parts)
            epochs.append(scored(pooled, task.metric, self._labels, lambda: said(heads)))
            return epochs[-1]

        n_images = len(self._trainers[0].data.train)
        result = Training(task, n_images).run(
            train_epoch, lambda: tuple(one for head in heads for one in head), on_epoch
        )
        if not result.weights:
            return result
        length = len(heads[0])
        starts = range(0, len(result.weights), length)
        best = [result.weights[start : start + length] for start in starts]
        return replace(result, probabilities=said(best))

    def _pooled(self, parts: Sequence[Epoch]) -> Epoch:
        """Return the epoch of all folds: means over the images that train, or validate."""
        trained = [len(one.data.train) for one in self._trainers]
        validated = [len(one.data.validation) for one in self._trainers]

        def mean(name: str, images: list[int]) -> float:
            return float(np.average([getattr(one, name) for one in parts], weights=images))

        # A whole number of images, so that equal ones are equal to the bit.
        right = sum(round(one.val_accuracy * n) for one, n in zip(parts, validated, strict=True))

        return Epoch(
            epoch=parts[0].epoch,
            accuracy=mean("accuracy", trained),
            val_accuracy=right / sum(validated),
            loss=mean("loss", trained),
            val_loss=mean("val_loss", validated),
            learning_rate=parts[0].learning_rate,
            seconds=sum(one.seconds for one in parts),
        )
