"""Half precision: a copy of a network computes in float16, with numbers that stay in float32.

As Micikevicius et al. 2018 (https://arxiv.org/abs/1710.03740) have it, through Keras's policy
`mixed_float16` and its optimizer that scales the loss. A trained network itself is never turned
into half precision: it lends its copy its numbers for each step, is validated in float32, and is
saved as any other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from automl_cv.errors import UserError
from automl_cv.study.stage import MIXED, Stage

InHalf = Callable[[keras.Model], keras.Model]
"""Returns a copy of a network that computes in half precision, its variables in the same order."""


def halved(network: keras.Model) -> keras.Model:
    """Return a copy of a graph of layers that computes in float16; numbers are not copied.

    Layers that scale pixels and the last one stay in float32: half precision has no room for 255
    and fractions, nor for logits far apart.
    """
    last = network.layers[-1] if len(network.outputs) == 1 else None

    def cloned(layer: keras.layers.Layer) -> keras.layers.Layer:
        is_whole = layer is last or isinstance(layer, keras.layers.Rescaling)
        return layer.from_config(layer.get_config()) if is_whole else in_half(layer)

    return keras.models.clone_model(network, clone_function=cloned, recursive=True)


def in_half(layer: keras.layers.Layer) -> keras.layers.Layer:
    """Return a layer of the same kind that computes in float16."""
    config = {**layer.get_config(), "dtype": "mixed_float16"}
    return type(layer).from_config(config)


def logits_in_half(network: keras.Model, copy: keras.Model, inputs: Any) -> tf.Tensor:
    """Return what a network says as it trains, calculated by its copy, float32 (batch, classes).

    Statistics and states of random numbers go on in the network.
    """
    others = network.non_trainable_variables
    logits, states = copy.stateless_call(
        [one.value for one in network.trainable_variables],
        [one.value for one in others],
        inputs,
        training=True,
    )
    for variable, state in zip(others, states, strict=True):
        variable.assign(state)
    return tf.cast(logits, tf.float32)


def all_or_none(gradients: list[tf.Tensor]) -> list[tf.Tensor]:
    """Return gradients, none of them a number where one of them is none.

    Groups of variables have an optimizer each, and all must leave out the same steps.
    """
    finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(one)) for one in gradients])
    return [tf.where(finite, one, float("nan")) for one in gradients]


def check_device(stage: Stage) -> None:
    """Raise a UserError where a stage wants half precision and TensorFlow uses no GPU."""
    if stage.precision == MIXED and not tf.config.list_physical_devices("GPU"):
        raise UserError(
            f"stage.{stage.name}.precision: {MIXED!r} is for GPUs, and TensorFlow uses none here "
            "(`automl-cv doctor` says why): leave it out, or search on a machine with one"
        )
