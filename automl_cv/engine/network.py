"""Trains a whole network, or the last part of one, on batches that are made as they are needed.

The numbers of a step depend on how its work is divided among threads, so TensorFlow keeps one
thread an operation here too (see `runtime`). Two did not help either: a step of a small ResNet,
64 images of 32 pixels, took 47 ms with one, 52 ms with two. A second core is used by dividing
the batch in two within the graph: 24 ms. Whatever cores a machine has, the halves are the same.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from automl_cv.catalog.metrics import METRICS
from automl_cv.engine.images import in_order
from automl_cv.engine.losses import cross_entropies, weighted
from automl_cv.engine.mixed_precision import InHalf, all_or_none, halved, logits_in_half
from automl_cv.engine.rate_groups import RateFactors, grouped, one_rate
from automl_cv.engine.runtime import versions
from automl_cv.engine.training import loss_of
from automl_cv.history import Epoch
from automl_cv.study.stage import MIXED
from automl_cv.study.trial import TrainingTask
from automl_cv.trained import OnEpoch, TrainingResult, scored
from automl_cv.training import checkpoints
from automl_cv.training.checkpoints import Checkpoint
from automl_cv.training.epochs import Training, Weights, class_weights_of, epoch_order

VALIDATION_BATCH_SIZE = 64
BATCHES_AHEAD = 2

Inputs = tuple[np.ndarray, ...]
Batch = tuple[Inputs, np.ndarray]
"""The network's inputs, uint8 or float32, first axis images; and labels, either class
indices, int32 (images,), or shares of classes, float32 (images, classes), rows of sum 1."""

Seen = tuple[np.ndarray, np.ndarray]
"""Labels of a batch, shares of classes, and its logits; both float32 (images, classes)."""

TrainingBatch = Callable[[np.ndarray, int, int], Batch]
"""Is given positions among the training images, int64 (batch,), number of the epoch, from 1,
and the trial's seed; is called in another thread."""

ValidationBatch = Callable[[np.ndarray], Batch]
"""Is given positions among the validation images, int64 (batch,)."""

Build = Callable[[TrainingTask], keras.Model]
"""Builds the network, called as network(inputs, training=…) on one tensor or a list, to logits."""


@dataclass(frozen=True)
class NetworkData:
    """Images to train and to validate on, batch by batch.

    Args:
        training_batch: see `TrainingBatch`.
        training_labels: class indices of all training images, int32, shape (images,).
        validation_batch: see `ValidationBatch`.
        validation_images: how many.
        classes: number of classes.
        fingerprint: tells these images, labels and their alterations from all others.
    """

    training_batch: TrainingBatch
    training_labels: np.ndarray
    validation_batch: ValidationBatch
    validation_images: int
    classes: int
    fingerprint: str

    @property
    def training_images(self) -> int:
        """How many images train."""
        return len(self.training_labels)


class NetworkTrainer:
    """Trains networks of one kind on one set of images.

    Args:
        data: what to train and validate on.
        build: makes a trial's network. Keras's seed is set to the task's before; all
            random numbers in the network must come from Keras's seed generators.
        shards: parts of equal size that a batch is divided into, which run beside each other.
            More than one only for networks whose images do not depend on each other while
            they train: BatchNorm in training mode would normalise each part by itself.
        rate_factors: see `RateFactors`; None for one rate.
        in_half: makes the copy that trials in half precision compute with.
    """

    def __init__(
        self,
        data: NetworkData,
        build: Build,
        *,
        shards: int = 1,
        rate_factors: RateFactors | None = None,
        in_half: InHalf = halved,
    ) -> None:
        self._data = data
        self._build = build
        self._shards = shards
        self._rate_factors = rate_factors or one_rate
        self._in_half = in_half

    def train(
        self,
        task: TrainingTask,
        on_epoch: OnEpoch,
        checkpoint: Path | None = None,
        replay: Sequence[Epoch] = (),
    ) -> TrainingResult:
        """Train one network from its first weights to the epoch where `on_epoch` stops it.

        Args:
            task: what to train.
            on_epoch: see `Training.run`.
            checkpoint: the trial's own folder. A checkpoint in it of the same task, data, replay
                and versions of packages is gone on from; any other is removed. The folder stays
                when training ends: whoever stores the result removes it. None for none.
            replay: see `training.HeadTrainer.train`.

        Returns:
            The history; a loss that is no longer finite ends it as "diverged".
        """
        training = Training(task, self._data.training_images)
        keras.utils.set_random_seed(task.seed)
        class_weights = class_weights_of(task, self._data.training_labels, self._data.classes)
        network = self._build(task)
        steps = _Steps(
            network,
            task,
            self._shards,
            class_weights,
            rate_factors=self._rate_factors(network),
            half=self._in_half(network) if task.precision == MIXED else None,
        )
        kept = keep = None
        if checkpoint is not None:
            fingerprint = self._fingerprint(task, replay)
            kept = checkpoints.load(checkpoint, fingerprint)
            keep = partial(_keep, checkpoint, fingerprint, steps)
        if kept is not None:
            steps.restore(kept.state)
        run_epoch = partial(self._epoch, steps, task)
        result = training.run(run_epoch, steps.weights, on_epoch, replay, kept=kept, keep=keep)
        if replay or not result.weights:
            return result
        # Validated once more: a checkpoint holds the best weights, not what they say.
        steps.turn_to(result.weights)
        seen: list[Seen] = []
        self._validate(steps, seen)
        logits = np.concatenate([logits for _, logits in seen])
        return replace(result, probabilities=tf.nn.softmax(logits).numpy())

    def _epoch(self, steps: _Steps, task: TrainingTask, number: int, rates: np.ndarray) -> Epoch:
        started = time.perf_counter()
        data = self._data
        order = epoch_order(data.training_images, task.seed, number)
        loss, accuracy = steps.run(
            self._batches(
                order, task.batch_size, lambda rows: data.training_batch(rows, number, task.seed)
            ),
            rates,
        )
        seen: list[Seen] | None = [] if METRICS[task.metric].of_epoch is None else None
        val_loss, val_accuracy = self._validate(steps, seen)
        epoch = Epoch(
            epoch=number,
            accuracy=accuracy,
            val_accuracy=val_accuracy,
            loss=loss,
            val_loss=val_loss,
            learning_rate=float(rates[-1]),
            seconds=time.perf_counter() - started,
        )
        if seen is None:
            return scored(epoch, task.metric, np.empty(0), lambda: np.empty(0))
        labels, logits = (np.concatenate(parts) for parts in zip(*seen, strict=True))
        return scored(
            epoch, task.metric, labels.argmax(axis=1), lambda: tf.nn.softmax(logits).numpy()
        )

    def _validate(self, steps: _Steps, seen: list[Seen] | None) -> tuple[float, float]:
        """Return loss and accuracy of the validation images; see `_Steps.run`."""
        data = self._data
        rows = np.arange(data.validation_images)
        batches = self._batches(rows, VALIDATION_BATCH_SIZE, data.validation_batch)
        return steps.run(batches, seen=seen)

    def _batches(
        self, order: np.ndarray, batch_size: int, make: Callable[[np.ndarray], Batch]
    ) -> Iterator[Batch]:
        """Yield batches with shares of classes as labels, made while others are trained on."""

        def whole(start: int) -> Batch:
            inputs, labels = make(order[start : start + batch_size])
            if labels.ndim == 1:
                labels = np.eye(self._data.classes, dtype=np.float32)[labels]
            return inputs, labels

        with ThreadPoolExecutor(1, "batches") as pool:
            yield from in_order(pool, whole, range(0, len(order), batch_size), ahead=BATCHES_AHEAD)

    def _fingerprint(self, task: TrainingTask, replay: Sequence[Epoch]) -> str:
        about = (task, self._data.fingerprint, self._shards, sorted(versions().items()), *replay)
        text = repr(about)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


class _Steps:
    """A network, its optimizer, and their steps, traced for batches of any size."""

    def __init__(
        self,
        network: keras.Model,
        task: TrainingTask,
        shards: int,
        class_weights: np.ndarray | None,
        *,
        rate_factors: Sequence[float],
        half: keras.Model | None,
    ) -> None:
        self._network = network
        self._half = half
        self._loss = loss_of(task)
        self._class_weights = class_weights
        self._shards = shards
        self._smoothing = float(task.head_parameters.get("label_smoothing", 0.0))
        self._groups = grouped(network.trainable_variables, rate_factors, task)
        self._traced: dict[tuple[bool, bool, int], Callable[..., tf.Tensor]] = {}

    def run(
        self,
        batches: Iterator[Batch],
        rates: np.ndarray | None = None,
        seen: list[Seen] | None = None,
    ) -> tuple[float, float]:
        """Train on batches at these rates, or without rates validate; return loss and accuracy.

        Args:
            batches: with shares of classes as labels.
            rates: one a batch.
            seen: is given each batch's labels and logits; None where nobody asks for them.
        """
        sums, images = [], 0
        for number, (inputs, labels) in enumerate(batches):
            images += len(labels)
            given = [[tf.constant(array) for array in inputs], tf.constant(labels)]
            if rates is not None:
                given.append(tf.constant(rates[number]))
            # oneDNN takes no empty part, as of a last batch of one image.
            kind = (rates is not None, seen is not None, min(self._shards, len(labels)))
            if kind not in self._traced:
                step: Callable[..., Any] = self._training_step
                if rates is None:
                    step = self._validation_step if seen is None else self._seen_step
                self._traced[kind] = _trace(partial(step, kind[2]), given)
            found = self._traced[kind](*given)
            if seen is not None:
                found, logits = found
                seen.append((labels, logits.numpy()))
            sums.append(found)
        # Read at the end: before, the reading would wait for each step of a GPU.
        totals = np.asarray([pair.numpy() for pair in sums], np.float64).sum(axis=0)
        # In the loop of the heads, TensorFlow makes a multiplication of the division by the
        # number of validation images. The same share must be the same number here.
        loss, accuracy = totals.astype(np.float32) * (np.float32(1) / np.float32(images))
        return float(loss), float(accuracy)

    def state(self) -> tuple[np.ndarray, ...]:
        """Return a copy of every variable; the states of random numbers are among them."""
        return tuple(variable.numpy() for variable in self._variables())

    def restore(self, state: tuple[np.ndarray, ...]) -> None:
        """Set every variable back to what `state` returned."""
        for variable, value in zip(self._variables(), state, strict=True):
            variable.assign(value)

    def weights(self) -> Weights:
        """Return a copy of the network's weights."""
        return tuple(variable.numpy() for variable in self._network.weights)

    def turn_to(self, weights: Weights) -> None:
        """Give the network other weights of its own."""
        self._network.set_weights(list(weights))

    def _variables(self) -> list[Any]:
        own = [variable for group in self._groups for variable in group.optimizer.variables]
        return [*self._network.variables, *own]

    def _training_step(self, shards, inputs, labels, rate):
        """Take one step; return the sums of losses and of images classified right, (2,)."""
        variables = self._network.trainable_variables
        images = tf.cast(tf.shape(labels)[0], tf.float32)
        parts, gradients = [], []
        for own_inputs, own_labels in _divided(inputs, labels, shards):
            with tf.GradientTape() as tape:
                logits = self._training_logits(own_inputs)
                losses = self._losses(own_labels, logits)
                loss = self._groups[0].optimizer.scale_loss(tf.reduce_sum(losses) / images)
            gradients.append(tape.gradient(loss, variables))
            parts.append(_sums(losses, own_labels, logits))
        summed = [
            sum(of_variable[1:], of_variable[0]) for of_variable in zip(*gradients, strict=True)
        ]
        if self._half is not None:
            summed = all_or_none(summed)
        for group in self._groups:
            group.rate.assign(rate * group.factor)
            own = [(summed[place], variables[place]) for place in group.places]
            group.optimizer.apply(*zip(*own, strict=True))
        return tf.add_n(parts)

    def _training_logits(self, inputs):
        """Return logits as training has them, float32 (batch, classes)."""
        if self._half is None:
            return self._network(inputs, training=True)
        return logits_in_half(self._network, self._half, inputs)

    def _validation_step(self, shards, inputs, labels):
        """Return the sums of losses and of images classified right, float32 (2,)."""
        return self._seen_step(shards, inputs, labels)[0]

    def _seen_step(self, shards, inputs, labels):
        """Return what `_validation_step` does, and the logits, float32 (batch, classes)."""
        parts, seen = [], []
        for own_inputs, own_labels in _divided(inputs, labels, shards):
            logits = self._network(own_inputs, training=False)
            parts.append(_sums(cross_entropies(own_labels, logits), own_labels, logits))
            seen.append(logits)
        return tf.add_n(parts), tf.concat(seen, axis=0)

    def _losses(self, labels, logits):
        """Return what training minimises for each image, shape (batch,)."""
        smoothed = labels
        if self._smoothing:
            # As Keras does it.
            smoothed = labels * (1 - self._smoothing) + self._smoothing / labels.shape[-1]
        losses = self._loss.of_labels(smoothed, logits)
        if self._class_weights is None:
            return losses
        return weighted(losses, labels, self._class_weights)


def _keep(
    checkpoint: Path, fingerprint: str, steps: _Steps, epochs: Sequence[Epoch], best: Weights
) -> None:
    held = Checkpoint(tuple(epochs), steps.state(), best)
    checkpoints.save(checkpoint, fingerprint, held)


def _trace(step: Callable[..., tf.Tensor], given: list[Any]) -> Callable[..., tf.Tensor]:
    """Trace a step once for batches of any size; XLA would compile each size anew."""
    signature = tf.nest.map_structure(
        lambda one: tf.TensorSpec([None, *one.shape[1:]] if one.shape.rank else [], one.dtype),
        given,
    )
    return tf.function(step, input_signature=signature, jit_compile=False)


def _divided(inputs, labels, shards):
    """Yield each part's inputs and labels; its operations stand apart in the graph."""
    images = tf.shape(labels)[0]
    floats = [tf.cast(one, tf.float32) for one in inputs]
    for shard in range(shards):
        start, end = images * shard // shards, images * (shard + 1) // shards
        own = [one[start:end] for one in floats]
        yield own[0] if len(own) == 1 else own, labels[start:end]


def _sums(losses, labels, logits):
    """Return the sums of losses and of images whose largest logit is their (largest) class."""
    right = tf.argmax(labels, axis=-1) == tf.argmax(logits, axis=-1)
    return tf.stack([tf.reduce_sum(losses), tf.reduce_sum(tf.cast(right, tf.float32))])
