"""Trains heads on cached features, epoch by epoch, in a compiled loop.

Tracing a training loop costs 0.15 to 0.3 s, as much as a head's whole training.
So one loop is traced for each head and optimizer class and serves every trial:
weights and optimizer state are set back, hyperparameters are live variables.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from automl_cv.catalog.heads import HEADS
from automl_cv.catalog.optimizers import OPTIMIZERS
from automl_cv.engine.head import HeadInput, describe
from automl_cv.engine.runtime import as_tensor
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
    """

    features: np.ndarray
    train: np.ndarray
    train_labels: np.ndarray
    validation: np.ndarray
    validation_labels: np.ndarray
    classes: int


@dataclass(frozen=True)
class TrainingTask:
    """What one trial trains: everything its numbers depend on but the data.

    Args:
        optimizer: an entry of the table of optimizers.
        batch_size: images a step; the last batch of an epoch may be smaller.
        learning_rate: above 0.
        epochs: passes over the training images at most.
        seed: decides first weights and the order of images in each epoch.
        optimizer_parameters: searched hyperparameters of the optimizer, by name.
        head: an entry of the table of heads.
        head_parameters: parameters of the head, by name.
    """

    optimizer: str
    batch_size: int
    learning_rate: float
    epochs: int
    seed: int
    head: str
    head_parameters: Mapping[str, Any]
    optimizer_parameters: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainingResult:
    """What came of a task.

    Args:
        history: every epoch, and why training ended.
        weights: the head's variables at the best epoch, in the model's order; empty if
            no epoch ended well.
        optimizer_config: what Keras made of the optimizer, its own defaults included.
    """

    history: History
    weights: tuple[np.ndarray, ...]
    optimizer_config: Mapping[str, Any]


OnEpoch = Callable[[Epoch], StopReason | None]
"""Is told each epoch; returns why training should stop, or None to go on."""


class LiveNumber(keras.Variable):
    """A hyperparameter that a traced loop reads anew in every step.

    Keras asks `momentum != 0` and `momentum > 0` while it traces, to leave the
    momentum's variables out. A live number may become anything, so they stay in; at
    0 the update is then the same to the bit: 0 · m − g · rate.
    """

    def __ne__(self, other: object) -> bool:
        return True

    def __gt__(self, other: object) -> bool:
        return True

    __hash__ = object.__hash__


class HeadTrainer:
    """Trains any number of heads on one set of features.

    Args:
        data: what to train and validate on; its features are shared, not copied.
    """

    def __init__(self, data: TrainingData) -> None:
        self._data = data
        self._features = as_tensor(data.features)
        self._head_input = describe(data.features, data.train, data.classes)
        self._loops: dict[tuple[Any, ...], _Loop] = {}

    def train(self, task: TrainingTask, on_epoch: OnEpoch) -> TrainingResult:
        """Train one head from its first weights to the epoch where `on_epoch` stops it.

        Args:
            task: what to train.
            on_epoch: is told each epoch and decides whether to stop.

        Returns:
            The history; a loss that is no longer finite ends it as "diverged".
        """
        started = time.perf_counter()
        loop = self._loop(task)
        loop.reset(task)
        epochs: list[Epoch] = []
        best: Epoch | None = None
        weights: tuple[np.ndarray, ...] = ()
        stop: StopReason | None = None
        error = None
        for number in range(1, task.epochs + 1):
            epoch = self._epoch(loop, task, number)
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
        return TrainingResult(history, weights, loop.optimizer_config(task))

    def _epoch(self, loop: _Loop, task: TrainingTask, number: int) -> Epoch:
        started = time.perf_counter()
        order = epoch_order(len(self._data.train), task.seed, number)
        loss, accuracy, val_loss, val_accuracy = loop.run(
            self._features,
            tf.constant(self._data.train[order]),
            tf.constant(self._data.train_labels[order]),
            tf.constant(task.batch_size),
        ).numpy()
        return Epoch(
            epoch=number,
            accuracy=float(accuracy),
            val_accuracy=float(val_accuracy),
            loss=float(loss),
            val_loss=float(val_loss),
            learning_rate=loop.learning_rate(),
            seconds=time.perf_counter() - started,
        )

    def _loop(self, task: TrainingTask) -> _Loop:
        key = (task.optimizer, task.head, tuple(sorted(task.head_parameters.items())))
        if key not in self._loops:
            self._loops[key] = _Loop(task, self._data, self._head_input)
        return self._loops[key]


def epoch_order(images: int, seed: int, epoch: int) -> np.ndarray:
    """Return the order in which an epoch visits the training images, int64, shape (images,)."""
    return np.random.default_rng([seed, epoch]).permutation(images)


class _Loop:
    """One traced epoch: a head, an optimizer of one class, and their first states."""

    def __init__(self, task: TrainingTask, data: TrainingData, head_input: HeadInput) -> None:
        self._data = data
        self._head_input = head_input
        self._build_head = HEADS[task.head].load()
        self._model = self._new_head(task)
        entry = OPTIMIZERS[task.optimizer]
        self._live = {name: LiveNumber(own.default) for name, own in entry.parameters.items()}
        self._optimizer = entry.load()(learning_rate=task.learning_rate)
        for name, number in self._live.items():
            setattr(self._optimizer, name, number)
        self._optimizer.build(self._model.trainable_variables)
        self._first_state = [variable.numpy() for variable in self._optimizer.variables]
        self._rate = self._optimizer.learning_rate
        self.run = tf.function(self._run, jit_compile=False, reduce_retracing=True)

    def _new_head(self, task: TrainingTask) -> keras.Model:
        return self._build_head(self._head_input, **task.head_parameters)

    def reset(self, task: TrainingTask) -> None:
        """Set weights, optimizer state and hyperparameters to a task's first ones."""
        keras.utils.set_random_seed(task.seed)
        first = self._new_head(task)
        for variable, value in zip(self._model.variables, first.variables, strict=True):
            variable.assign(value)
        for variable, state in zip(self._optimizer.variables, self._first_state, strict=True):
            variable.assign(state)
        self._rate.assign(task.learning_rate)
        own = OPTIMIZERS[task.optimizer].parameters
        for name, number in self._live.items():
            number.assign(task.optimizer_parameters.get(name, own[name].default))

    def weights(self) -> tuple[np.ndarray, ...]:
        """Return a copy of the head's variables."""
        return tuple(variable.numpy() for variable in self._model.variables)

    def learning_rate(self) -> float:
        """Return the rate in force."""
        return float(self._rate.numpy())

    def optimizer_config(self, task: TrainingTask) -> Mapping[str, Any]:
        """Return Keras's own description of the optimizer, with the task's numbers in it."""
        entry = OPTIMIZERS[task.optimizer]
        fresh = entry.load()(learning_rate=task.learning_rate, **task.optimizer_parameters)
        return {key: value for key, value in fresh.get_config().items() if value is not None}

    def _run(self, features, order, labels, batch_size):
        """Run one epoch and validate.

        Args:
            features: float32, shape (images, features).
            order: rows to train on, in order, shape (n,).
            labels: their classes, int32, shape (n,).
            batch_size: images a step, a scalar.

        Returns:
            float32, shape (4,): loss, accuracy, val_loss, val_accuracy.
        """
        count = tf.shape(order)[0]
        loss_sum, right = tf.constant(0.0), tf.constant(0.0)
        for start in tf.range(0, count, batch_size):
            rows = order[start : start + batch_size]
            targets = labels[start : start + batch_size]
            with tf.GradientTape() as tape:
                logits = self._model(tf.gather(features, rows), training=True)
                losses = _cross_entropy(targets, logits)
                loss = tf.reduce_mean(losses)
            variables = self._model.trainable_variables
            self._optimizer.apply(tape.gradient(loss, variables), variables)
            loss_sum += tf.reduce_sum(losses)
            right += _count_right(targets, logits)
        logits = self._model(tf.gather(features, self._data.validation), training=False)
        targets = tf.constant(self._data.validation_labels)
        val_losses = _cross_entropy(targets, logits)
        images = tf.cast(count, tf.float32)
        return tf.stack(
            [
                loss_sum / images,
                right / images,
                tf.reduce_mean(val_losses),
                _count_right(targets, logits) / tf.cast(tf.shape(targets)[0], tf.float32),
            ]
        )


def _cross_entropy(labels, logits):
    """Return each image's cross-entropy, shape (batch,)."""
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)


def _count_right(labels, logits):
    """Return how many images have their class as the largest logit, a float32 scalar."""
    predicted = tf.argmax(logits, axis=-1, output_type=labels.dtype)
    return tf.reduce_sum(tf.cast(predicted == labels, tf.float32))
