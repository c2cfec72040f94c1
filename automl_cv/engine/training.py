"""Trains heads on cached features, epoch by epoch, in loops that trials share."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from automl_cv.catalog.heads import HEADS
from automl_cv.catalog.losses import LOSSES
from automl_cv.catalog.optimizers import OPTIMIZERS
from automl_cv.engine.loop import Division, Loop, kind_of
from automl_cv.engine.losses import Loss
from automl_cv.engine.runtime import as_tensor
from automl_cv.engine.views import Shown, Views
from automl_cv.features import view_name
from automl_cv.history import Epoch
from automl_cv.study.trial import TrainingTask
from automl_cv.trained import TrainingData
from automl_cv.training.epochs import class_weights_of, epoch_order
from automl_cv.training.head_input import describe
from automl_cv.training.keras_config import keras_arguments
from automl_cv.training.trainer import Trainer


class HeadTrainer(Trainer[Loop, Views]):
    """Trains heads of the table by Keras and TensorFlow; see `Trainer`.

    Args:
        data: what to train and validate on; its features are shared, not copied.
        beside: trains on another division of the same features, in loops that both share.
    """

    def __init__(self, data: TrainingData, beside: HeadTrainer | None = None) -> None:
        super().__init__(data, describe(data.features, data.train, data.classes))
        self._features: tf.Tensor = beside._features if beside else as_tensor(data.features)
        self._loops: dict[tuple[Any, ...], Loop] = beside._loops if beside else {}
        self._divisions: dict[str | None, Division] = {}

    @staticmethod
    def of_folds(folds: Sequence[TrainingData]) -> list[HeadTrainer]:
        """Return a trainer for each division of the same features, in loops that all share."""
        first = HeadTrainer(folds[0])
        return [first, *(HeadTrainer(one, beside=first) for one in folds[1:])]

    def begin(self, task: TrainingTask, views: Views | None) -> Loop:
        """Return the loop of a task's kind, set back to the task's first state."""
        has_shares = bool(task.mixing) or (views is not None and views.mixes)
        return self._loop(task, len(task.mixing.operations) if has_shares else None)

    def turn(self, loop: Loop, task: TrainingTask) -> None:
        """Have a loop train and validate on this division; its state stays."""
        loop.turn_to(self._division(task))

    def said(self, loop: Loop) -> np.ndarray:
        """Return what a loop's head says of the images that validate; see `Trainer`."""
        return loop.probabilities(self._features)

    def epoch(
        self, loop: Loop, task: TrainingTask, views: Views | None, number: int, rates: np.ndarray
    ) -> Epoch:
        """Train an epoch and validate; see `Trainer`."""
        started = time.perf_counter()
        order = epoch_order(len(self.data.train), task.seed, number)
        if views is None:
            shown = Shown(self._features, self.data.train[order])
        else:
            shown = views.show(order, task.seed, number)
        labels, *shares = self._targets(loop, task, shown, order, number)
        loss, accuracy, val_loss, val_accuracy = loop.run(
            shown.features,
            self._features,
            tf.constant(shown.rows, tf.int64),
            tf.constant(labels),
            tf.constant(task.batch_size),
            tf.constant(rates),
            *map(tf.constant, shares),
        ).numpy()
        return Epoch(
            epoch=number,
            accuracy=float(accuracy),
            val_accuracy=float(val_accuracy),
            loss=float(loss),
            val_loss=float(val_loss),
            learning_rate=float(rates[-1]),
            seconds=time.perf_counter() - started,
        )

    def _targets(
        self, loop: Loop, task: TrainingTask, shown: Shown, order: np.ndarray, epoch: int
    ) -> tuple[np.ndarray, ...]:
        """Return the labels of an epoch, and where the loop mixes, its shares."""
        if loop.mixings is None:
            return (self.data.train_labels[order],)
        labels = shown.labels
        if labels is None:
            labels = np.eye(self.data.classes, dtype=np.float32)[self.data.train_labels[order]]
        shares = np.empty((loop.mixings, len(order)), np.float32)
        if loop.mixings:
            names = [view_name(self.data.content_hashes[row], epoch) for row in order]
            for row, operation in enumerate(task.mixing.operations):
                draw = operation.entry.load()
                shares[row] = draw(task.seed, names, **dict(operation.parameters))
        return labels, shares

    def _loop(self, task: TrainingTask, mixings: int | None) -> Loop:
        """Return the loop of the task's kind, set back to the task's first state."""
        head_parameters = HEADS[task.head].completed(task.head_parameters)
        loss_parameters = LOSSES[task.loss].completed(task.loss_parameters)
        own = OPTIMIZERS[task.optimizer].completed(task.optimizer_parameters)
        kind = (
            *kind_of(task.optimizer, own, task.head, head_parameters, mixings),
            ("loss", task.loss, *sorted(loss_parameters.items())),
            ("class_weight", task.class_weight),
        )
        division = self._division(task)
        if kind not in self._loops:
            self._loops[kind] = Loop(
                optimizer=task.optimizer,
                optimizer_parameters=own,
                head=task.head,
                head_parameters=head_parameters,
                division=division,
                mixings=mixings,
                loss=loss_of(task),
            )
        loop = self._loops[kind]
        loop.turn_to(division)
        loop.reset(task.seed, head_parameters, own)
        return loop

    def _division(self, task: TrainingTask) -> Division:
        """Return what loops must know of the images; the same object for the same weights."""
        if task.class_weight not in self._divisions:
            data = self.data
            self._divisions[task.class_weight] = Division(
                self.head_input,
                data.validation,
                data.validation_labels,
                class_weights_of(task, data.train_labels, data.classes),
            )
        return self._divisions[task.class_weight]


def loss_of(task: TrainingTask) -> Loss:
    """Return what a task minimises."""
    entry = LOSSES[task.loss]
    loss: Loss = entry.load()(**entry.completed(task.loss_parameters))
    return loss


def new_optimizer(task: TrainingTask) -> keras.Optimizer:
    """Return a task's optimizer, with the task's numbers in it."""
    return OPTIMIZERS[task.optimizer].load()(**keras_arguments(task))
