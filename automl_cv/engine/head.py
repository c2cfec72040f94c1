"""The heads of the table: small Keras models from features to one logit a class."""

from __future__ import annotations

import keras


def linear(features: int, classes: int) -> keras.Model:
    """Return one dense layer.

    The softmax is left to the loss, which is exact on logits; on probabilities
    Keras clips at 1e-7 and a loss never passes 16.1.

    Args:
        features: length of a feature vector.
        classes: number of classes.
    """
    inputs = keras.Input((features,), name="features")
    logits = keras.layers.Dense(classes, name="logits")(inputs)
    return keras.Model(inputs, logits, name="linear_head")
