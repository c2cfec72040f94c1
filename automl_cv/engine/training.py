"""Trains heads on cached features, epoch by epoch, in loops that trials share."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from automl_cv.catalog.heads import HEADS
from automl_cv.catalog.losses import LOSSES
from automl_cv.catalog.optimizers import OPTIMIZERS
from automl_cv.catalog.schedules import SCHEDULES
from automl_cv.engine.checkpoints import Checkpoint
from automl_cv.engine.head import describe
from automl_cv.engine.loop import Division, Loop, kind_of
from automl_cv.engine.losses import Loss, balanced_weights
from automl_cv.engine.runtime import as_tensor
from automl_cv.engine.schedules import Plan, Schedule
from automl_cv.engine.views import Shown, Views
from automl_cv.features import view_name
from automl_cv.history import Epoch, History, StopReason
from automl_cv.study.trial import TrainingTask
from automl_cv.trained import OnEpoch, TrainingData, TrainingResult, scored

Weights = tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Training:
    """One task's training, epoch by epoch, to where it ends.

    Args:
        task: what is trained.
        images: how many train.
        started: when, on a monotonic clock, in seconds; before its model is made.
    """

    task: TrainingTask
    images: int
    started: float = field(default_factory=time.perf_counter)

    def run(
        self,
        train_epoch: Callable[[int, np.ndarray], Epoch],
        weights: Callable[[], Weights],
        on_epoch: OnEpoch,
        replay: Sequence[Epoch] = (),
        *,
        kept: Checkpoint | None = None,
        keep: Callable[[Sequence[Epoch], Weights], None] | None = None,
    ) -> TrainingResult:
        """Train until `on_epoch` stops it, a loss is not finite, or the epochs are used up.

        Args:
            train_epoch: trains an epoch and validates; is given its number, from 1, and the
                learning rate of each of its steps, float32.
            weights: returns a copy of the model's weights.
            on_epoch: see `HeadTrainer.train`; is told the epochs of `kept` first, in order. Only
                its answer to the last of them counts, as it was answered to the others before.
            replay: see `HeadTrainer.train`.
            kept: where the training stood when it was killed.
            keep: is given all epochs, and the weights at the best, after each.
        """
        schedule = schedule_of(self.task, self.images)
        epochs, held = ([], ()) if kept is None else (list(kept.epochs), kept.best)
        best = History(tuple(epochs)).best
        stop: StopReason | None = None
        error = None
        for epoch in epochs:
            stop = on_epoch(epoch)
        while stop is None and len(epochs) < (len(replay) or self.task.epochs):
            done = replay[: len(epochs)] if replay else epochs
            epoch = train_epoch(len(epochs) + 1, schedule(done))
            epochs.append(epoch)
            if not epoch.is_finite:
                stop, error = "diverged", f"the loss is not finite in epoch {epoch.epoch}"
                break
            if replay or best is None or epoch.merit > best.merit:
                best, held = epoch, weights()
            if keep is not None:
                keep(epochs, held)
            stop = on_epoch(epoch)
        history = History(
            epochs=tuple(epochs),
            stop_reason=stop or "epochs",
            error=error,
            seconds=time.perf_counter() - self.started,
        )
        return TrainingResult(history, held, optimizer_config(self.task))


class HeadTrainer:
    """Trains any number of heads on one set of features.

    Args:
        data: what to train and validate on; its features are shared, not copied.
        beside: trains on another division of the same features, in loops that both share.
    """

    def __init__(self, data: TrainingData, beside: HeadTrainer | None = None) -> None:
        self._data = data
        self.head_input = describe(data.features, data.train, data.classes)
        self._features: tf.Tensor = beside._features if beside else as_tensor(data.features)
        self._loops: dict[tuple[Any, ...], Loop] = beside._loops if beside else {}
        self._divisions: dict[str | None, Division] = {}

    @property
    def data(self) -> TrainingData:
        """What it trains and validates on."""
        return self._data

    def train(
        self,
        task: TrainingTask,
        on_epoch: OnEpoch,
        views: Views | None = None,
        replay: Sequence[Epoch] = (),
    ) -> TrainingResult:
        """Train one head from its first weights to the epoch where `on_epoch` stops it.

        Args:
            task: what to train.
            on_epoch: is told each epoch and decides whether to stop.
            views: what of the training images each epoch shows; None for the images as they
                are. They validate as they are anyway.
            replay: the first epochs of an earlier training of this task on fewer images. Then
                training ends after as many, whose last gives the weights, and a schedule that
                goes by the validation loss goes by the earlier one.

        Returns:
            The history; a loss that is no longer finite ends it as "diverged".
        """
        training = Training(task, len(self._data.train))
        loop = self.begin(task, views)

        def train_epoch(number: int, rates: np.ndarray) -> Epoch:
            epoch = self.epoch(loop, task, views, number, rates)
            known = self._data.validation_labels
            return scored(epoch, task.metric, known, lambda: loop.probabilities(self._features))

        result = training.run(train_epoch, loop.weights, on_epoch, replay)
        if not result.weights:
            return result
        return replace(result, probabilities=self.probabilities(loop, result.weights))

    def begin(self, task: TrainingTask, views: Views | None) -> Loop:
        """Return the loop of a task's kind, set back to the task's first state."""
        has_shares = bool(task.mixing) or (views is not None and views.mixes)
        return self._loop(task, len(task.mixing.operations) if has_shares else None)

    def turn(self, loop: Loop, task: TrainingTask) -> None:
        """Have a loop train and validate on this division; its state stays."""
        loop.turn_to(self._division(task))

    def probabilities(self, loop: Loop, weights: Weights) -> np.ndarray:
        """Return what a head says of the images that validate, float32 (m, classes)."""
        current = loop.weights()
        loop.set_weights(weights)
        found = loop.probabilities(self._features)
        loop.set_weights(current)
        return found

    def epoch(
        self, loop: Loop, task: TrainingTask, views: Views | None, number: int, rates: np.ndarray
    ) -> Epoch:
        """Train an epoch and validate; the epoch has no score yet.

        Args:
            loop: of the task's kind, on this division.
            task: what is trained.
            views: see `train`.
            number: of the epoch, from 1.
            rates: learning rate of each step, float32.
        """
        started = time.perf_counter()
        order = epoch_order(len(self._data.train), task.seed, number)
        if views is None:
            shown = Shown(self._features, self._data.train[order])
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
            return (self._data.train_labels[order],)
        labels = shown.labels
        if labels is None:
            labels = np.eye(self._data.classes, dtype=np.float32)[self._data.train_labels[order]]
        shares = np.empty((loop.mixings, len(order)), np.float32)
        if loop.mixings:
            names = [view_name(self._data.content_hashes[row], epoch) for row in order]
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
            data = self._data
            self._divisions[task.class_weight] = Division(
                self.head_input,
                data.validation,
                data.validation_labels,
                class_weights_of(task, data.train_labels, data.classes),
            )
        return self._divisions[task.class_weight]


def epoch_order(images: int, seed: int, epoch: int) -> np.ndarray:
    """Return the order in which an epoch visits the training images, int64, shape (images,)."""
    return np.random.default_rng([seed, epoch]).permutation(images)


def schedule_of(task: TrainingTask, images: int) -> Schedule:
    """Return the schedule of a task that trains on so many images."""
    entry = SCHEDULES[task.schedule]
    schedule: Schedule = entry.load()(
        Plan(task.learning_rate, task.epochs, -(-images // task.batch_size)),
        **entry.completed(task.schedule_parameters),
    )
    return schedule


def loss_of(task: TrainingTask) -> Loss:
    """Return what a task minimises."""
    entry = LOSSES[task.loss]
    loss: Loss = entry.load()(**entry.completed(task.loss_parameters))
    return loss


def class_weights_of(task: TrainingTask, labels: np.ndarray, classes: int) -> np.ndarray | None:
    """Return what a task multiplies the loss of each class's images by; None for nothing.

    Args:
        task: says whether there are weights.
        labels: class indices of the training images, int32.
        classes: number of classes.
    """
    return None if task.class_weight is None else balanced_weights(labels, classes)


def new_optimizer(task: TrainingTask) -> keras.Optimizer:
    """Return a task's optimizer, with the task's numbers in it."""
    own = dict(task.optimizer_parameters)
    if task.head_parameters.get("weight_decay", 0) > 0:
        own["weight_decay"] = task.head_parameters["weight_decay"]
    return OPTIMIZERS[task.optimizer].load()(learning_rate=task.learning_rate, **own)


def optimizer_config(task: TrainingTask) -> Mapping[str, Any]:
    """Return Keras's own description of a task's optimizer, its own defaults included."""
    config = new_optimizer(task).get_config()
    return {key: value for key, value in config.items() if value is not None}
