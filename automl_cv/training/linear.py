"""Heads of one dense layer, trained in NumPy: a step takes as long as its arithmetic.

A step of such a head is two small products. TensorFlow's operations around them took longer than
these (docs/benchmarks.md), and its import longer than all of them. The Keras loop (`engine.loop`)
stays what this is tested against: the same first weights, order, batches, rates and updates.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl_cv.catalog.augmentations import AUGMENTATIONS
from automl_cv.catalog.heads import HEADS
from automl_cv.catalog.losses import CROSS_ENTROPY
from automl_cv.catalog.optimizers import OPTIMIZERS
from automl_cv.history import Epoch
from automl_cv.solving.threads import one_thread
from automl_cv.study.space import Parameter, Space
from automl_cv.study.stage import Stage
from automl_cv.study.studyfile import StudyFile
from automl_cv.study.trial import TrainingTask, task_of
from automl_cv.trained import TrainingData
from automl_cv.training.epochs import Weights, class_weights_of, epoch_order
from automl_cv.training.first_weights import glorot_uniform
from automl_cv.training.head_input import describe
from automl_cv.training.optimizers import Array, Step
from automl_cv.training.trainer import State, Trainer

# Features are gathered for several steps at once, as many as stay in a core's own cache.
VALUES_AT_ONCE = 1 << 18

# Of a trial whose steps do not matter.
ANY_STEPS = {"batch_size": 1, "learning_rate": 1.0}

# What `keras.layers.Normalization` divides by at least (keras.config.epsilon).
LEAST_DEVIATION = 1e-7


def takes(task: TrainingTask) -> bool:
    """Tell whether a task is trained here, where its training images are not altered.

    The one place where this is decided: whatever else trains a head is Keras.
    """
    head = HEADS[task.head]
    return (
        head.is_one_layer(head.completed(task.head_parameters))
        and bool(OPTIMIZERS[task.optimizer].step)
        and task.loss == CROSS_ENTROPY
        and not task.mixing
    )


def takes_all(study: StudyFile, stage: Stage) -> bool:
    """Tell whether no trial that a stage may have is trained in steps anywhere else.

    Args:
        study: has the stages that this one rests on.
        stage: of any kind.
    """
    if not stage.training.in_steps:
        return True
    if stage.training.is_long:
        return False
    if stage.retrained_stages:
        return all(takes_all(study, study.stage(source)) for source in stage.retrained_stages)
    space = Space(parameters=_searched(study, stage))
    if stage.alteration or any(entry.name in space.parameters for entry in AUGMENTATIONS):
        return False
    deciding = {"optimizer", "head", *(name for head in HEADS for name in head.one_layer or ())}
    drawn = space.combinations(deciding)
    return all(takes(task_of(stage, {**ANY_STEPS, **one}, seed=0)) for one in drawn)


def _searched(study: StudyFile, stage: Stage) -> dict[str, Parameter]:
    """Return what a stage draws from, or more: where it narrows, all that is narrowed."""
    sources = (_searched(study, study.stage(source)) for source in stage.narrowed_stages)
    found = {name: one for source in sources for name, one in source.items()}
    return {**found, **stage.space.parameters}


@dataclass(frozen=True)
class _Buffers:
    """Where several steps' features and what comes of them lie, first axis images."""

    features: Array
    logits: Array
    sums: Array

    @staticmethod
    def of(images: int, features: int, classes: int) -> _Buffers:
        """Return room for so many images."""
        widths = (features, classes, 1)
        return _Buffers(*(np.empty((images, width), np.float32) for width in widths))


class LinearLoop:
    """A dense layer and its optimizer.

    Args:
        weights: kernel, and bias as the last row, float32 (features + 1, classes).
        step: the optimizer.
        parameters: of the head, a value for each.
    """

    def __init__(self, weights: Array, step: Step, parameters: Mapping[str, Any]) -> None:
        self.held = weights
        self.step = step
        self.normalization = bool(parameters["normalization"])
        self.smoothing = np.float32(parameters["label_smoothing"])
        self.decay = np.float32(parameters["weight_decay"])
        self.gradient, self.decayed = np.empty_like(weights), np.empty_like(weights)
        self._buffers = _Buffers.of(0, 0, 0)

    def state(self) -> State:
        """Return a copy of all that training changes."""
        return tuple(one.copy() for one in (self.held, *self.step.state))

    def restore(self, state: State) -> None:
        """Go on from a state of this loop."""
        for own, value in zip((self.held, *self.step.state), state, strict=True):
            own[...] = value

    def weights(self) -> Weights:
        """Return a copy of kernel and bias."""
        return self.held[:-1].copy(), self.held[-1].copy()

    def set_weights(self, weights: Weights) -> None:
        """Give the head weights that `weights` returned."""
        self.held[:-1], self.held[-1] = weights

    def buffers(self, images: int) -> _Buffers:
        """Return room for at least so many images; new memory costs as much as a step."""
        if len(self._buffers.sums) < images:
            features, classes = len(self.held) - 1, self.held.shape[1]
            self._buffers = _Buffers.of(images, features, classes)
        return self._buffers


@dataclass(frozen=True)
class _Batches:
    """Some images that train, in batches.

    Args:
        features: float32 (images, features).
        targets: of each the shares of classes it should have, times its weight, float32
            (images, classes).
        weights: how much it counts of its batch, float32 (images, 1).
        size: of a batch; the last one may be smaller.
    """

    features: Array
    targets: Array
    weights: Array
    size: int


class LinearTrainer(Trainer[LinearLoop, None]):
    """Trains heads of one dense layer; see `Trainer`.

    Args:
        data: what to train and validate on.
    """

    def __init__(self, data: TrainingData) -> None:
        super().__init__(data, describe(data.features, data.train, data.classes))
        # A memory-mapped array as a plain one of the same memory, of which parts are made faster.
        self._features: Array = np.asarray(data.features)
        self._deviation = np.maximum(np.sqrt(self.head_input.variance), LEAST_DEVIATION)

    def begin(self, task: TrainingTask, views: None = None) -> LinearLoop:
        """Return a head of first weights; see `Trainer`."""
        entry, given = OPTIMIZERS[task.optimizer], self.head_input
        own = {
            name: np.float32(value) if name in entry.live else value
            for name, value in entry.completed(task.optimizer_parameters).items()
        }
        weights = np.zeros((given.features + 1, given.classes), np.float32)
        weights[:-1] = glorot_uniform(task.seed, given.features, given.classes)
        parameters = HEADS[task.head].completed(task.head_parameters)
        return LinearLoop(weights, entry.load_step()(weights.shape, own), parameters)

    def turn(self, loop: LinearLoop, task: TrainingTask) -> None:
        """Do nothing: a loop knows nothing of the images."""

    def epoch(
        self, loop: LinearLoop, task: TrainingTask, views: None, number: int, rates: np.ndarray
    ) -> Epoch:
        """Train an epoch and validate; see `Trainer`."""
        started = time.perf_counter()
        # A head that diverges is told by its loss, not by warnings of what led there.
        with one_thread(), np.errstate(all="ignore"):
            loss, accuracy = self._train(loop, task, number, rates)
            val_loss, val_accuracy = self._validate(loop)
        return Epoch(
            epoch=number,
            accuracy=accuracy,
            val_accuracy=val_accuracy,
            loss=loss,
            val_loss=val_loss,
            learning_rate=float(rates[-1]),
            seconds=time.perf_counter() - started,
        )

    def said(self, loop: LinearLoop) -> np.ndarray:
        """Return what a loop's head says of the images that validate; see `Trainer`."""
        with one_thread():
            return np.concatenate([np.exp(logits) / sums for logits, sums in self._logits(loop)])

    def _train(
        self, loop: LinearLoop, task: TrainingTask, number: int, rates: np.ndarray
    ) -> tuple[float, float]:
        """Train an epoch; return mean loss and accuracy over its batches as they came."""
        images, data = len(self.data.train), self.data
        order = epoch_order(images, task.seed, number)
        rows, labels = data.train[order], data.train_labels[order]
        size = min(task.batch_size, images)
        importance = np.ones(images, np.float32)
        class_weights = class_weights_of(task, data.train_labels, data.classes)
        if class_weights is not None:
            importance = class_weights[labels]
        last = images % size
        weights = importance / np.float32(size)
        weights[images - last :] = importance[images - last :] / np.float32(max(last, 1))
        even = loop.smoothing / np.float32(data.classes)
        shares = np.eye(data.classes, dtype=np.float32) * (1 - loop.smoothing) + even
        together = size * max(1, VALUES_AT_ONCE // (size * self.head_input.features))
        loss, right = 0.0, 0
        for start in range(0, images, together):
            chosen = slice(start, start + together)
            own, counts = labels[chosen], weights[chosen, None]
            batches = _Batches(
                self._gathered(loop, rows[chosen]), shares[own] * counts, counts, size
            )
            done = start // size
            logits, sums = _steps(loop, batches, rates[done:])
            losses = _losses(logits, sums, own)
            if loop.smoothing:
                alike = np.log(sums[:, 0]) - logits.mean(axis=1)
                losses += loop.smoothing * (alike - losses)
            loss += float((losses * importance[chosen]).sum(dtype=np.float64))
            right += _count_right(logits, own)
        return _mean(loss, images), float(np.float32(right) / np.float32(images))

    def _validate(self, loop: LinearLoop) -> tuple[float, float]:
        """Return mean loss and accuracy of the images that validate."""
        labels, loss, right, done = self.data.validation_labels, 0.0, 0, 0
        for logits, sums in self._logits(loop):
            own = labels[done : done + len(logits)]
            loss += float(_losses(logits, sums, own).sum(dtype=np.float64))
            right += _count_right(logits, own)
            done += len(logits)
        # As the Keras loop: equal shares are equal to the bit, of all heads and networks.
        accuracy = np.float32(right) * (np.float32(1) / np.float32(done))
        return _mean(loss, done), float(accuracy)

    def _logits(self, loop: LinearLoop) -> Iterator[tuple[Array, Array]]:
        """Yield what the head says of the images that validate, some after the other.

        Yields:
            Logits whose largest is 0, float32 (images, classes), and the sums of their
            exponentials, float32 (images, 1); they hold until the next.
        """
        rows = self.data.validation
        together = max(1, VALUES_AT_ONCE // self.head_input.features)
        for start in range(0, len(rows), together):
            features = self._gathered(loop, rows[start : start + together])
            logits = features @ loop.held[:-1]
            logits += loop.held[-1]
            logits -= logits.max(axis=1, keepdims=True)
            yield logits, np.exp(logits).sum(axis=1, keepdims=True)

    def _gathered(self, loop: LinearLoop, rows: NDArray[np.int64]) -> Array:
        """Return the features of some images, standardised where the head has it so."""
        found = loop.buffers(len(rows)).features[: len(rows)]
        # "clip" writes where it is told; the default has a copy between, to raise on a bad row.
        np.take(self._features, rows, axis=0, out=found, mode="clip")
        if loop.normalization:
            np.subtract(found, self.head_input.mean, out=found)
            np.divide(found, self._deviation, out=found)
        return found


def _steps(loop: LinearLoop, batches: _Batches, rates: np.ndarray) -> tuple[Array, Array]:
    """Train on some batches, a step each, of which each has its own rate.

    Returns:
        What the head said of each image when it came: logits whose largest is 0, float32
        (images, classes), and the sums of their exponentials, float32 (images, 1).
    """
    images, size = len(batches.features), batches.size
    buffers = loop.buffers(images)
    logits, sums = buffers.logits[:images], buffers.sums[:images]
    weights, gradient, step = loop.held, loop.gradient, loop.step
    kernel, bias = weights[:-1], weights[-1]
    kernel_gradient, bias_gradient = gradient[:-1], gradient[-1]
    slopes = np.empty((size, weights.shape[1]), np.float32)
    scratch = np.empty((size, 1), np.float32)
    for number, start in enumerate(range(0, images, size)):
        part = slice(start, start + size)
        features, said, total = batches.features[part], logits[part], sums[part]
        slope, factor = slopes[: len(said)], scratch[: len(said)]
        np.matmul(features, kernel, out=said)
        np.add(said, bias, out=said)
        np.maximum.reduce(said, axis=1, keepdims=True, out=factor)
        np.subtract(said, factor, out=said)
        np.exp(said, out=slope)
        np.add.reduce(slope, axis=1, keepdims=True, out=total)
        # Of cross-entropy: probabilities less targets, each image as much as it counts.
        np.divide(batches.weights[part], total, out=factor)
        np.multiply(slope, factor, out=slope)
        np.subtract(slope, batches.targets[part], out=slope)
        np.matmul(features.T, slope, out=kernel_gradient)
        np.add.reduce(slope, axis=0, out=bias_gradient)
        rate = rates[number]
        if loop.decay:
            np.multiply(weights, loop.decay, out=loop.decayed)
            np.multiply(loop.decayed, rate, out=loop.decayed)
            np.subtract(weights, loop.decayed, out=weights)
        step.step(weights, gradient, rate)
    return logits, sums


def _losses(logits: Array, sums: Array, labels: NDArray[np.int32]) -> Array:
    """Return each image's cross-entropy, float32 (images,); see `_steps` for logits and sums."""
    losses: Array = np.log(sums[:, 0]) - logits[np.arange(len(labels)), labels]
    return losses


def _mean(total: float, images: int) -> float:
    """Return a mean as float32 has it: of a sum past its numbers it is infinite."""
    return float(np.float32(total) / np.float32(images))


def _count_right(logits: Array, labels: NDArray[np.int32]) -> int:
    """Return how many images have their class as the largest logit."""
    return int((logits.argmax(axis=1) == labels).sum())
