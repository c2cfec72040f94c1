"""One traced epoch of training, which serves every trial of its kind, on any division of images.

Tracing costs 0.15 to 0.3 s, as much as a head's whole training. So weights, optimizer
state and seeds are set back for each trial; hyperparameters that leave the graph as it is, and
all that depends on which images train and validate, are live variables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from automl_cv.catalog.heads import HEADS, shape_of
from automl_cv.catalog.optimizers import OPTIMIZERS
from automl_cv.engine import mixing
from automl_cv.engine.losses import Loss, cross_entropies, cross_entropy, weighted
from automl_cv.training.head_input import HeadInput
from automl_cv.training.trainer import State

# Parameters of heads that a loop reads anew in every step. A loop for trials without them
# (0, or not declared) leaves them out, and is as fast as if they did not exist.
LIVE_PARAMETERS = ("dropout", "label_smoothing", "weight_decay")


class LiveNumber(keras.Variable):
    """A hyperparameter that a traced loop reads anew in every step.

    Keras asks `momentum != 0` and `momentum > 0` while it traces, to leave the
    momentum's variables out. A live number may become anything, so they stay in; at
    0 the update is then the same to the bit: 0 · m − g · rate. Likewise it asks
    `rate == 1` of a dropout.
    """

    def __ne__(self, other: object) -> bool:
        return True

    def __eq__(self, other: object) -> bool:
        return False

    def __gt__(self, other: object) -> bool:
        return True

    def get_shape(self) -> tf.TensorShape:
        """Return the shape, for which TensorFlow's dropout asks a rate that is no float."""
        return tf.TensorShape([])

    __hash__ = object.__hash__


def kind_of(
    optimizer: str,
    optimizer_parameters: Mapping[str, Any],
    head: str,
    head_parameters: Mapping[str, Any],
    mixings: int | None = None,
) -> tuple[tuple[Any, ...], ...]:
    """Return what a loop's graph depends on: trials of one kind share one loop."""
    structure = _structure(optimizer, optimizer_parameters)
    shape: dict[str, Any] = {
        name: value > 0 if name in LIVE_PARAMETERS else value
        for name, value in head_parameters.items()
    }
    return (
        ("optimizer", optimizer, *sorted(structure.items())),
        ("head", head),
        ("mixings", mixings),
        *sorted(shape.items()),
    )


@dataclass(frozen=True)
class Division:
    """What a loop must know of the images that train and those that validate.

    Args:
        head_input: what heads on the training images are built for.
        validation: rows to validate on, int64 (m,).
        validation_labels: their class indices, int32 (m,).
        class_weights: what the loss of each class's images is multiplied by, float32 (classes,);
            None for nothing.
    """

    head_input: HeadInput
    validation: np.ndarray
    validation_labels: np.ndarray
    class_weights: np.ndarray | None = None


class Loop:
    """A head, an optimizer of one class, their first states, and an epoch traced over them.

    Args:
        optimizer: an entry of the table of optimizers.
        optimizer_parameters: of a trial of this loop's kind, a value for each.
        head: an entry of the table of heads.
        head_parameters: of a trial of this loop's kind.
        division: of the images; `turn_to` sets another one.
        mixings: how often each batch is mixed with itself; None where every image has one
            class, which is faster than labels of several.
        loss: what training minimises; None for cross-entropy.
    """

    def __init__(
        self,
        *,
        optimizer: str,
        optimizer_parameters: Mapping[str, Any],
        head: str,
        head_parameters: Mapping[str, Any],
        division: Division,
        mixings: int | None = None,
        loss: Loss | None = None,
    ) -> None:
        head_input = division.head_input
        self._division = division
        self._loss = loss or cross_entropy()
        self.mixings = mixings
        self._validation = _live(division.validation, tf.int64)
        self._validation_labels = _live(division.validation_labels, tf.int32)
        weights = division.class_weights
        self._class_weights = None if weights is None else _live(weights, tf.float32)
        self._build_head = HEADS[head].load()
        self._model = self._new_head(head_parameters)
        self._statistics = _live_statistics(self._model)
        live = [name for name in LIVE_PARAMETERS if head_parameters.get(name, 0) > 0]
        self._live = {name: LiveNumber(0.0) for name in live}
        self._smoothing = self._live.get("label_smoothing")
        if "dropout" in self._live:
            for layer in self._model.layers:
                if isinstance(layer, keras.layers.Dropout):
                    # Past Keras's tracking, which would make a weight of it.
                    object.__setattr__(layer, "rate", self._live["dropout"])
        entry = OPTIMIZERS[optimizer]
        structure = _structure(optimizer, optimizer_parameters)
        self._optimizer = entry.load()(learning_rate=0.0, **structure)
        self._own = {
            name: LiveNumber(float(setting.default))
            for name, setting in entry.parameters.items()
            if name in entry.live
        }
        for name, number in self._own.items():
            setattr(self._optimizer, name, number)
        if "weight_decay" in self._live:
            self._optimizer.weight_decay = self._live["weight_decay"]
        self._optimizer.build(self._model.trainable_variables)
        self._first_state = [variable.numpy() for variable in self._optimizer.variables]
        self._rate = self._optimizer.learning_rate
        # One trace for any number of images and steps, so for any batch size.
        signature = [
            tf.TensorSpec([None, head_input.features], tf.float32),
            tf.TensorSpec([None, head_input.features], tf.float32),
            tf.TensorSpec([None], tf.int64),
            tf.TensorSpec([None], tf.int32)
            if mixings is None
            else tf.TensorSpec([None, head_input.classes], tf.float32),
            tf.TensorSpec([], tf.int32),
            tf.TensorSpec([None], tf.float32),
        ]
        if mixings is not None:
            signature.append(tf.TensorSpec([mixings, None], tf.float32))
        self.run = tf.function(self._run, input_signature=signature, jit_compile=False)

    def _new_head(self, parameters: Mapping[str, Any]) -> keras.Model:
        return self._build_head(self._division.head_input, **shape_of(parameters))

    def turn_to(self, division: Division) -> None:
        """Train and validate on other images from now on; weights and states stay.

        Args:
            division: of the same features; with class weights where the first one has them.
        """
        if division is self._division:
            return
        self._division = division
        self._validation.assign(division.validation)
        self._validation_labels.assign(division.validation_labels)
        if self._class_weights is not None:
            self._class_weights.assign(division.class_weights)
        for mean, variance in self._statistics:
            mean.assign(division.head_input.mean[np.newaxis])
            variance.assign(division.head_input.variance[np.newaxis])

    def reset(
        self,
        seed: int,
        head_parameters: Mapping[str, Any],
        optimizer_parameters: Mapping[str, Any],
    ) -> None:
        """Set weights, seeds, optimizer state and hyperparameters to a trial's first ones.

        Args:
            seed: of weights and dropout.
            head_parameters: of the trial, of this loop's kind.
            optimizer_parameters: likewise, a value for each of the optimizer's own.
        """
        keras.utils.set_random_seed(seed)
        first = self._new_head(head_parameters)
        # `variables` are the weights and the states of the dropouts' random numbers.
        for variable, value in zip(self._model.variables, first.variables, strict=True):
            variable.assign(value)
        for variable, state in zip(self._optimizer.variables, self._first_state, strict=True):
            variable.assign(state)
        for name, number in self._live.items():
            number.assign(head_parameters[name])
        for name, number in self._own.items():
            number.assign(optimizer_parameters[name])

    def state(self) -> State:
        """Return a copy of all that training changes."""
        return tuple(variable.numpy() for variable in self._changing())

    def restore(self, state: State) -> None:
        """Go on from a state of this loop, hyperparameters set as they were."""
        for variable, value in zip(self._changing(), state, strict=True):
            variable.assign(value)

    def _changing(self) -> list[keras.Variable]:
        return [*self._model.variables, *self._optimizer.variables]

    def weights(self) -> tuple[np.ndarray, ...]:
        """Return a copy of the head's weights."""
        return tuple(variable.numpy() for variable in self._model.weights)

    def set_weights(self, weights: Sequence[np.ndarray]) -> None:
        """Give the head weights that `weights` returned."""
        self._model.set_weights(list(weights))

    def probabilities(self, features: tf.Tensor) -> np.ndarray:
        """Return those of the validation images, float32 (m, classes).

        Args:
            features: of all images as they are, float32, shape (images, features).
        """
        logits = self._model(tf.gather(features, self._validation), training=False)
        return np.asarray(tf.nn.softmax(logits).numpy())

    def _run(self, training_features, features, order, labels, batch_size, rates, shares=None):
        """Run one epoch and validate.

        Args:
            training_features: float32, shape (images or views, features).
            features: of all images as they are, float32, shape (images, features).
            order: rows of `training_features` to train on, in order, int64, shape (n,).
            labels: their classes, int32, shape (n,); with mixings float32 (n, classes), rows
                of sum 1.
            batch_size: images a step, an int32 scalar.
            rates: learning rate of each step, float32, shape (steps,).
            shares: of each mixing, how much of each image stays, float32 (mixings, n).

        Returns:
            float32, shape (4,): loss, accuracy, val_loss, val_accuracy. Of mixed images the
            loss is against their mixed labels, and right is the largest of these, as in
            Keras's `CategoricalAccuracy`.
        """
        count = tf.shape(order)[0]
        loss_sum, right = tf.constant(0.0), tf.constant(0.0)
        for step in tf.range(tf.size(rates)):
            self._rate.assign(tf.gather(rates, step))
            start = step * batch_size
            rows = order[start : start + batch_size]
            targets = labels[start : start + batch_size]
            inputs = tf.gather(training_features, rows)
            for number in range(self.mixings or 0):
                kept = shares[number, start : start + batch_size]
                inputs, targets = mixing.mixed(inputs, kept), mixing.mixed(targets, kept)
            with tf.GradientTape() as tape:
                logits = self._model(inputs, training=True)
                losses = self._losses(targets, logits)
                loss = tf.reduce_mean(losses)
            variables = self._model.trainable_variables
            self._optimizer.apply(tape.gradient(loss, variables), variables)
            loss_sum += tf.reduce_sum(losses)
            right += _count_right(targets, logits)
        logits = self._model(tf.gather(features, self._validation), training=False)
        targets = tf.convert_to_tensor(self._validation_labels)
        val_losses = cross_entropies(targets, logits)
        images = tf.cast(count, tf.float32)
        validated = tf.cast(tf.shape(targets)[0], tf.float32)
        return tf.stack(
            [
                loss_sum / images,
                right / images,
                tf.reduce_mean(val_losses),
                # As TensorFlow divides by a number that it knows when it compiles: equal shares are
                # equal to the bit, of heads and of networks, now and in older databases.
                _count_right(targets, logits) * tf.math.reciprocal(validated),
            ]
        )

    def _losses(self, labels, logits):
        """Return what training minimises for each image, shape (batch,)."""
        losses = self._loss.of_labels(labels, logits)
        if self._smoothing is not None:
            # Keras smooths the labels: 1 - s + s / classes for the right one, s / classes for
            # the others. That is a mean, weighted by s, with the loss of labels all alike.
            alike = self._loss.of_even_shares(logits)
            losses = losses + self._smoothing.value * (alike - losses)
        if self._class_weights is None:
            return losses
        return weighted(losses, labels, self._class_weights)


def _live(values: np.ndarray, dtype: tf.DType) -> tf.Variable:
    """Return values that a traced loop reads anew in every epoch, of whatever length."""
    return tf.Variable(
        values, dtype=dtype, trainable=False, shape=[None] * np.ndim(values), name="live"
    )


def _live_statistics(model: keras.Model) -> list[tuple[tf.Variable, tf.Variable]]:
    """Make mean and variance of standardising layers live; return them."""
    found = []
    for layer in model.layers:
        if isinstance(layer, keras.layers.Normalization):
            pair = tuple(tf.Variable(one, trainable=False) for one in (layer.mean, layer.variance))
            for name, variable in zip(("mean", "variance"), pair, strict=True):
                # Past Keras's tracking, which would make a weight of it.
                object.__setattr__(layer, name, variable)
            found.append(pair)
    return found


def _structure(optimizer: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of an optimizer's parameters that a loop is built with."""
    live = OPTIMIZERS[optimizer].live
    return {name: value for name, value in parameters.items() if name not in live}


def _count_right(labels, logits):
    """Return how many images have their (largest) class as the largest logit, float32."""
    if labels.dtype == tf.float32:
        labels = tf.argmax(labels, axis=-1, output_type=tf.int32)
    predicted = tf.argmax(logits, axis=-1, output_type=labels.dtype)
    return tf.reduce_sum(tf.cast(predicted == labels, tf.float32))
