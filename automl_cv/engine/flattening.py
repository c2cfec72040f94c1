"""Takes the models within a network apart: the same layers and weights, as one flat graph.

A classifier that somebody saved often holds its backbone as one layer. Its blocks lie within.
"""

from __future__ import annotations

from collections import Counter

import keras

from automl_cv.engine.layer_outputs import go_through


def flattened(model: keras.Model) -> keras.Model:
    """Return a copy of a network in which no layer is a model.

    Args:
        model: functional or sequential, of one input. Functional and sequential models in it
            are taken apart; anything else counts as one layer.

    Returns:
        Its operations with the same weights, each once however often it is used. They are
        named as before; a number follows where two models have the same name in them, and an
        underscore in front is left out, which SavedModel and LiteRT refuse.
    """
    copies: dict[int, tuple[keras.Operation, keras.Operation]] = {}
    times: Counter[str] = Counter()

    def copied(operation: keras.Operation, path: str) -> keras.Operation:
        if id(operation) not in copies:
            name = operation.name.lstrip("_") or "layer"
            times[name] += 1
            number = f"_{times[name]}" if times[name] > 1 else ""
            config = {**operation.get_config(), "name": name + number}
            copies[id(operation)] = operation, type(operation).from_config(config)
        return copies[id(operation)][1]

    pixels = keras.Input(model.input_shape[1:], name="pixels")
    flat = keras.Model(pixels, go_through(model, pixels, copied), name=model.name)
    for operation, copy in copies.values():
        if isinstance(operation, keras.layers.Layer):
            copy.set_weights(operation.get_weights())
        if isinstance(copy, keras.layers.Normalization):
            copy.finalize_state()  # else it goes on with the statistics it was made with
    return flat
