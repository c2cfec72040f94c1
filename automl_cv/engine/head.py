"""The heads of the table: small Keras models from features to one logit a class."""

from __future__ import annotations

import keras

from automl_cv.training.head_input import HeadInput


def linear(given: HeadInput, *, normalization: bool) -> keras.Model:
    """Return one dense layer, on standardised features if asked.

    The softmax is left to the loss, which is exact on logits; on probabilities
    Keras clips at 1e-7 and a loss never passes 16.1.

    Args:
        given: what the head is built for.
        normalization: whether each feature is brought to mean 0 and variance 1 first.
    """
    inputs = keras.Input((given.features,), name="features")
    x = _standardised(inputs, given) if normalization else inputs
    logits = keras.layers.Dense(given.classes, name="logits")(x)
    return keras.Model(inputs, logits, name="linear_head")


def mlp(
    given: HeadInput,
    *,
    hidden_layers: int,
    width: int,
    activation: str,
    dropout: float,
    normalization: bool,
) -> keras.Model:
    """Return hidden dense layers, each with its activation and dropout, and a dense layer.

    Args:
        given: what the head is built for.
        hidden_layers: from 0, which makes it the linear head.
        width: units of each hidden layer.
        activation: of the hidden layers, by Keras's name.
        dropout: share of a hidden layer's units that a training step leaves out; its random
            numbers come from a seed that is drawn when the layer is built.
        normalization: as in `linear`.
    """
    inputs = keras.Input((given.features,), name="features")
    x = _standardised(inputs, given) if normalization else inputs
    for number in range(1, hidden_layers + 1):
        x = keras.layers.Dense(width, activation=activation, name=f"hidden{number}")(x)
        if dropout > 0:
            x = keras.layers.Dropout(dropout, name=f"dropout{number}")(x)
    logits = keras.layers.Dense(given.classes, name="logits")(x)
    return keras.Model(inputs, logits, name="mlp_head")


def _standardised(x: keras.KerasTensor, given: HeadInput) -> keras.KerasTensor:
    """Bring each feature to mean 0 and variance 1 over the training images."""
    layer = keras.layers.Normalization(
        mean=given.mean, variance=given.variance, name="normalization"
    )
    return layer(x)
