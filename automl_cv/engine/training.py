"""Trains heads on cached features, epoch by epoch, in loops that trials share."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf

from automl_cv.catalog.heads import HEADS
from automl_cv.catalog.optimizers import OPTIMIZERS
from automl_cv.catalog.schedules import SCHEDULES
from automl_cv.engine.head import describe
from automl_cv.engine.loop import Loop, kind_of
from automl_cv.engine.runtime import as_tensor
from automl_cv.engine.schedules import Plan, Schedule
from automl_cv.history import Epoch, History, StopReason


@dataclass(frozen=True)
class TrainingData:
    """Features and labels of the two splits that a search may see.

    Args:
        features: float32, shape (images, features); may be memory-mapped.
        train: rows of `features` to train on, shape (n,).
        train_labels: class indices of those rows, int32, shape (n,).
        validation: rows to validate on, shape (m,).
        validation_labels: class indices of those rows, int32, shape (m,).
        classes: number of classes.
        views: features of altered views of the training images, those of an image side by
            side, float32, shape (n * views, features); each epoch draws one of each image.
            None to train on the images as they are.
    """

    features: np.ndarray
    train: np.ndarray
    train_labels: np.ndarray
    validation: np.ndarray
    validation_labels: np.ndarray
    classes: int
    views: np.ndarray | None = None


@dataclass(frozen=True)
class TrainingTask:
    """What one trial trains: everything its numbers depend on but the data.

    Args:
        optimizer: an entry of the table of optimizers.
        batch_size: images a step; the last batch of an epoch may be smaller.
        learning_rate: above 0; the highest of the schedule.
        epochs: passes over the training images at most.
        seed: decides first weights, the order of images in each epoch, and dropout.
        optimizer_parameters: searched hyperparameters of the optimizer, by name.
        head: an entry of the table of heads.
        head_parameters: parameters of the head, by name; defaults hold for the rest.
        schedule: an entry of the table of schedules.
        schedule_parameters: parameters of the schedule, by name; likewise.
    """

    optimizer: str
    batch_size: int
    learning_rate: float
    epochs: int
    seed: int
    head: str
    head_parameters: Mapping[str, Any]
    optimizer_parameters: Mapping[str, float] = field(default_factory=dict)
    schedule: str = "constant"
    schedule_parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainingResult:
    """What came of a task.

    Args:
        history: every epoch, and why training ended.
        weights: the head's weights at the best epoch, in the model's order; empty if
            no epoch ended well.
        optimizer_config: what Keras made of the optimizer, its own defaults included.
    """

    history: History
    weights: tuple[np.ndarray, ...]
    optimizer_config: Mapping[str, Any]


OnEpoch = Callable[[Epoch], StopReason | None]
"""Is told each epoch; returns why training should stop, or None to go on."""


class HeadTrainer:
    """Trains any number of heads on one set of features.

    Args:
        data: what to train and validate on; its features are shared, not copied.
    """

    def __init__(self, data: TrainingData) -> None:
        self._data = data
        self._features = as_tensor(data.features)
        self._training_features = self._features if data.views is None else as_tensor(data.views)
        self._head_input = describe(data.features, data.train, data.classes)
        self._loops: dict[tuple[Any, ...], Loop] = {}

    def train(self, task: TrainingTask, on_epoch: OnEpoch) -> TrainingResult:
        """Train one head from its first weights to the epoch where `on_epoch` stops it.

        Args:
            task: what to train.
            on_epoch: is told each epoch and decides whether to stop.

        Returns:
            The history; a loss that is no longer finite ends it as "diverged".
        """
        started = time.perf_counter()
        loop, schedule = self._loop(task), self._schedule(task)
        epochs: list[Epoch] = []
        best: Epoch | None = None
        weights: tuple[np.ndarray, ...] = ()
        stop: StopReason | None = None
        error = None
        for number in range(1, task.epochs + 1):
            epoch = self._epoch(loop, task, number, schedule(epochs))
            epochs.append(epoch)
            if not epoch.is_finite:
                stop, error = "diverged", f"the loss is not finite in epoch {number}"
                break
            if best is None or epoch.val_accuracy > best.val_accuracy:
                best, weights = epoch, loop.weights()
            stop = on_epoch(epoch)
            if stop is not None:
                break
        history = History(
            epochs=tuple(epochs),
            stop_reason=stop or "epochs",
            error=error,
            seconds=time.perf_counter() - started,
        )
        return TrainingResult(history, weights, optimizer_config(task))

    def _epoch(self, loop: Loop, task: TrainingTask, number: int, rates: np.ndarray) -> Epoch:
        started = time.perf_counter()
        order = epoch_order(len(self._data.train), task.seed, number)
        loss, accuracy, val_loss, val_accuracy = loop.run(
            self._training_features,
            self._features,
            tf.constant(self._rows(order, task.seed, number), tf.int64),
            tf.constant(self._data.train_labels[order]),
            tf.constant(task.batch_size),
            tf.constant(rates),
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

    def _rows(self, order: np.ndarray, seed: int, epoch: int) -> np.ndarray:
        """Return the rows of the training features that an epoch visits, shape (n,)."""
        if self._data.views is None:
            rows: np.ndarray = self._data.train[order]
            return rows
        n_views = len(self._data.views) // len(order)
        return order * n_views + epoch_views(len(order), n_views, seed, epoch)[order]

    def _loop(self, task: TrainingTask) -> Loop:
        """Return the loop of the task's kind, set back to the task's first state."""
        head_parameters = HEADS[task.head].completed(task.head_parameters)
        kind = kind_of(task.optimizer, task.head, head_parameters)
        if kind not in self._loops:
            self._loops[kind] = Loop(
                task.optimizer,
                task.head,
                head_parameters,
                self._head_input,
                self._data.validation,
                self._data.validation_labels,
            )
        loop = self._loops[kind]
        own = OPTIMIZERS[task.optimizer].completed(task.optimizer_parameters)
        loop.reset(task.seed, head_parameters, own)
        return loop

    def _schedule(self, task: TrainingTask) -> Schedule:
        steps_per_epoch = -(-len(self._data.train) // task.batch_size)
        entry = SCHEDULES[task.schedule]
        schedule: Schedule = entry.load()(
            Plan(task.learning_rate, task.epochs, steps_per_epoch),
            **entry.completed(task.schedule_parameters),
        )
        return schedule


def epoch_order(images: int, seed: int, epoch: int) -> np.ndarray:
    """Return the order in which an epoch visits the training images, int64, shape (images,)."""
    return np.random.default_rng([seed, epoch]).permutation(images)


def epoch_views(images: int, views: int, seed: int, epoch: int) -> np.ndarray:
    """Return which view of each training image an epoch shows, int64, shape (images,)."""
    return np.random.default_rng([seed, epoch, 1]).integers(0, views, images)


def optimizer_config(task: TrainingTask) -> Mapping[str, Any]:
    """Return Keras's own description of a task's optimizer, with the task's numbers in it."""
    own = dict(task.optimizer_parameters)
    if task.head_parameters.get("weight_decay", 0) > 0:
        own["weight_decay"] = task.head_parameters["weight_decay"]
    optimizer = OPTIMIZERS[task.optimizer].load()(learning_rate=task.learning_rate, **own)
    return {key: value for key, value in optimizer.get_config().items() if value is not None}
