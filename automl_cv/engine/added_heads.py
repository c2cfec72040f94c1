"""Heads whose logits are added, as one Keras model: all that are linear merge into one layer."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
from keras import layers

from automl_cv.solving.kernel import KernelHead
from automl_cv.solving.linear import Linear, summed
from automl_cv.solving.scaling import Form

Solved = Linear | KernelHead


def added(heads: Sequence[Solved | keras.Model], features: int) -> keras.Model:
    """Return a model that gives the sum of the logits of heads.

    Args:
        heads: at least one. Those that are linear in features of one form become one dense
            layer; others are run beside it.
        features: length of a feature vector.
    """
    inputs = keras.Input((features,), name="features")
    forms: dict[Form, keras.KerasTensor] = {}

    def in_form(form: Form) -> keras.KerasTensor:
        if form not in forms:
            forms[form] = _formed(inputs, form)
        return forms[form]

    outputs = [
        _dense(in_form(head.on), head.weights, head.bias, f"logits_{head.on}")
        for head in summed(head for head in heads if isinstance(head, Linear))
    ]
    others = [head for head in heads if not isinstance(head, Linear)]
    for number, other in enumerate(others, start=1):
        if isinstance(other, KernelHead):
            # exp(f (x . a - 1)): how alike an image is to each anchor.
            scaled, start = other.factor * other.anchors.T, np.full(len(other.anchors), 1.0)
            near = _dense(
                *(in_form(other.on), scaled, -other.factor * start),
                f"likeness{number}",
                activation="exponential",
            )
            outputs.append(_dense(near, other.weights, other.bias, f"logits_likeness{number}"))
        else:
            named = keras.Model(other.input, other.output, name=f"member{number}")
            outputs.append(named(inputs))
    logits = layers.Add(name="logits")(outputs) if len(outputs) > 1 else outputs[0]
    return keras.Model(inputs, logits, name="added_heads")


def _formed(inputs: keras.KerasTensor, form: Form) -> keras.KerasTensor:
    """Return features in a form, by Keras's own operations; see `solving.scaling.formed`."""
    if form == "plain":
        return inputs
    if form == "root":
        inputs = keras.ops.sign(inputs) * keras.ops.sqrt(keras.ops.abs(inputs))
    return layers.UnitNormalization(name=form)(inputs)


def _dense(
    inputs: keras.KerasTensor, weights: np.ndarray, bias: np.ndarray, name: str, **own: str
) -> keras.KerasTensor:
    layer = layers.Dense(len(bias), name=name, **own)
    outputs = layer(inputs)
    layer.set_weights([weights.astype(np.float32), bias.astype(np.float32)])
    return outputs


def weighed(head: Solved | keras.Model, weight: float) -> Solved | keras.Model:
    """Return a head whose logits are those of another times a weight; linear if it can be."""
    if isinstance(head, Linear | KernelHead):
        return head.times(weight)
    linear = as_linear(head)
    if linear is not None:
        return linear.times(weight)
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
