"""Heads whose logits are added, as one Keras model: all that are linear merge into one layer."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
from keras import layers

from automl_cv.solving.linear import Linear, summed


def added(heads: Sequence[Linear | keras.Model], features: int) -> keras.Model:
    """Return a model that gives the sum of the logits of heads.

    Args:
        heads: at least one. Those that are linear in features of one form, plain or of length
            1, become one dense layer; others are run beside it.
        features: length of a feature vector.
    """
    inputs = keras.Input((features,), name="features")
    linear = [head for head in heads if isinstance(head, Linear)]
    others = [head for head in heads if not isinstance(head, Linear)]
    outputs = []
    for head in summed(linear):
        x = layers.UnitNormalization(name="unit")(inputs) if head.on == "unit" else inputs
        layer = layers.Dense(len(head.bias), name=f"logits_{head.on}")
        outputs.append(layer(x))
        layer.set_weights([head.weights.astype(np.float32), head.bias.astype(np.float32)])
    for number, other in enumerate(others, start=1):
        named = keras.Model(other.input, other.output, name=f"member{number}")
        outputs.append(named(inputs))
    logits = layers.Add(name="logits")(outputs) if len(outputs) > 1 else outputs[0]
    return keras.Model(inputs, logits, name="added_heads")


def weighed(head: Linear | keras.Model, weight: float) -> Linear | keras.Model:
    """Return a head whose logits are those of another times a weight; linear if it can be."""
    linear = head if isinstance(head, Linear) else as_linear(head)
    if linear is not None:
        return linear.times(weight)
    assert isinstance(head, keras.Model)
    scaled = layers.Rescaling(weight, name="weight")(head.output)
    return keras.Model(head.input, scaled, name="weighed")


def as_linear(model: keras.Model) -> Linear | None:
    """Return a head of one dense layer, on standardised features or plain ones, as one matrix.

    None of any other.
    """
    inner = [layer for layer in model.layers if not isinstance(layer, layers.InputLayer)]
    if not inner or type(inner[-1]) is not layers.Dense or inner[-1].activation is not LINEAR:
        return None
    weights, bias = (np.asarray(one, np.float64) for one in inner[-1].get_weights())
    match inner[:-1]:
        case []:
            return Linear("plain", weights, bias)
        case [layers.Normalization() as scaling]:
            mean, variance = (
                np.asarray(one, np.float64).ravel() for one in (scaling.mean, scaling.variance)
            )
            unscaled = weights / np.maximum(np.sqrt(variance), keras.backend.epsilon())[:, None]
            return Linear("plain", unscaled, bias - mean @ unscaled)
    return None


LINEAR = keras.activations.linear
