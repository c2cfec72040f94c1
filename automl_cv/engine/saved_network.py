"""The network of a saved classifier: from raw images of any size to probabilities, in one graph.

    pixels      uint8 (batch, height, width, 3)
    floats      the same as float32
    resized     float32 in [0, 255], (batch, image_size, image_size, 3)
    network     float32 logits, (batch, classes)
    tempered    the same divided by a temperature; only in a calibrated classifier
    probabilities
    distance    float32, (batch, 1): how far the features are from those that it was trained on, 1
                the threshold; only where the features are a frozen backbone's

All are layers of Keras's own, so that the file loads in safe mode wherever Keras is installed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import keras
import numpy as np
from keras import layers

from automl_cv.engine import backbone as backbones
from automl_cv.errors import UserError
from automl_cv.saved.folder import SavedClassifier
from automl_cv.solving.distance import Distance
from automl_cv.study.studyfile import Backbone

RESIZED, PROBABILITIES = "resized", "probabilities"
FEATURES, DISTANCE = "features", "distance"


def save(
    network: keras.Model,
    path: Path,
    temperature: float = 1.0,
    distance: tuple[Distance, float] | None = None,
) -> None:
    """Write a classifier's network as a `.keras` file.

    Args:
        network: from float32 pixels in [0, 255], shape (batch, size, size, 3), to float32
            logits, shape (batch, classes); of Keras's own layers.
        path: the file.
        temperature: what the logits are divided by; 1 leaves them and the graph as they are.
        distance: what is measured of the layer FEATURES of `network`, and the threshold; None
            for nothing.
    """
    _, height, width, _ = network.input_shape
    pixels = keras.Input((None, None, 3), dtype="uint8", name="pixels")
    # Resizing would round its results to whole numbers if it were given whole numbers.
    floats = layers.Rescaling(1.0, dtype="float32", name="floats")(pixels)
    # The very operation of `images.resize_all`.
    resized = layers.Resizing(
        height, width, "bilinear", antialias=True, dtype="float32", name=RESIZED
    )(floats)
    if distance is None:
        logits, outputs = network(resized, training=False), []
    else:
        seen = network.get_layer(FEATURES).output
        both = keras.Model(network.input, [network.output, seen], name=network.name)
        logits, features = both(resized, training=False)
        outputs = [_distance(features, *distance)]
    if temperature != 1.0:
        logits = layers.Rescaling(1 / temperature, dtype="float32", name="tempered")(logits)
    probabilities = layers.Softmax(dtype="float32", name=PROBABILITIES)(logits)
    outputs = [probabilities, *outputs] if outputs else probabilities
    keras.Model(pixels, outputs, name="classifier").save(path)


def _distance(
    features: keras.KerasTensor, distance: Distance, threshold: float
) -> keras.KerasTensor:
    """Return `Distance.of` features over a threshold, by Keras's own layers and operations."""
    scaled = layers.Normalization(
        mean=distance.mean, variance=np.square(distance.scale), name="scaled"
    )(features)
    along = layers.Dense(len(distance.variances), use_bias=False, name="along")
    inside = layers.Dense(1, use_bias=False, name="inside")
    squares = keras.ops.sum(keras.ops.square(scaled), axis=-1, keepdims=True)
    weighed = inside(keras.ops.square(along(scaled)))
    along.set_weights([distance.directions.astype(np.float32)])
    share = 1 / distance.variances - 1 / distance.rest
    inside.set_weights([share[:, None].astype(np.float32)])
    over = threshold * len(distance.mean)
    summed = squares * (1 / (distance.rest * over)) + weighed * (1 / over)
    return layers.Activation("linear", dtype="float32", name=DISTANCE)(summed)


def load(saved: SavedClassifier) -> keras.Model:
    """Load the network of a saved classifier that `saved.folder.read` has checked.

    Returns:
        A model from uint8 images, shape (batch, height, width, 3), to float32 probabilities,
        shape (batch, classes). What `load_whole` has beside them is left out.

    Raises:
        UserError: see `load_whole`.
    """
    model = load_whole(saved)
    if len(model.outputs) == 1:
        return model
    return keras.Model(model.input, model.outputs[0], name="classifier")


def load_whole(saved: SavedClassifier) -> keras.Model:
    """Load the network of a saved classifier with all of its outputs.

    Returns:
        A model as `load` returns it; where it knows foreign images, with DISTANCE as a second
        output, float32 (batch, 1).

    Raises:
        UserError: Keras can't load it, or it is not of the form that `save` writes.
    """
    try:
        model = load_network(saved.network)
    except Exception as error:  # whatever a layer's from_config raises
        first = (str(error).strip() or type(error).__name__).split("\n")[0]
        written = ", ".join(map(" ".join, saved.manifest.versions.items()))
        raise UserError(
            f"{saved.network}: can't be loaded: {first}; use the versions that wrote it ({written})"
        ) from None
    names = [layer.name for layer in model.layers]
    shapes = [tuple(output.shape) for output in model.outputs]
    expected = [(None, len(saved.classes)), (None, 1)]
    if not {RESIZED, PROBABILITIES} <= set(names) or shapes not in (expected[:1], expected):
        raise UserError(
            f"{saved.network}: expected probabilities of {len(saved.classes)} classes from "
            f"images that a layer {RESIZED!r} has resized; fit the model again"
        )
    return model


def load_network(path: Path) -> keras.Model:
    """Load what `save` wrote; for files of others see `load`."""
    return keras.models.load_model(path, compile=False, safe_mode=True)


def from_resized(model: keras.Model) -> keras.Model:
    """Return the part of a loaded network that stands behind its resizing.

    Images of different sizes can't share a batch, so whoever predicts many of them resizes
    each by itself and goes on here.

    Returns:
        A model from float32 pixels in [0, 255], shape (batch, image_size, image_size, 3), to
        probabilities.
    """
    return keras.Model(model.get_layer(RESIZED).output, model.output, name="from_resized")


def with_logits(model: keras.Model) -> keras.Model:
    """Return what `from_resized` does, with the logits as a second output.

    Returns:
        A model from float32 pixels in [0, 255] to a list: probabilities; the logits, divided by
        the temperature where there is one, whose softmax they are; and DISTANCE, if there is one.
    """
    probabilities, *others = model.outputs
    logits = model.get_layer(PROBABILITIES).input
    outputs = [probabilities, logits, *others]
    return keras.Model(model.get_layer(RESIZED).output, outputs, name="from_resized")


def on_backbone(backbone: Backbone, image_size: int, heads: Sequence[keras.Model]) -> keras.Model:
    """Put trained heads behind the backbone whose features they learned from.

    Args:
        backbone: of the study or trial.
        image_size: height and width of the images, in pixels.
        heads: each from features to logits; of several, the logits are averaged.

    Returns:
        What `save` takes.
    """
    return behind(backbones.build(backbone, image_size), backbone.features, heads)


def behind(
    network: keras.Model, chosen: Literal["last", "all"], heads: Sequence[keras.Model]
) -> keras.Model:
    """Put trained heads behind a network that gives features.

    Args:
        network: from pixels to a vector for each block.
        chosen: the blocks whose vectors the heads learned from.
        heads: each from features to logits; of several, the logits are averaged.

    Returns:
        What `save` takes.
    """
    vectors = network.outputs if chosen == "all" else network.outputs[-1:]
    if len(vectors) > 1:
        features = layers.Concatenate(name=FEATURES)(vectors)
    else:
        features = layers.Activation("linear", name=FEATURES)(vectors[0])
    # Layers of one graph need names of their own, which heads of one kind don't have.
    named = [
        keras.Model(head.input, head.output, name=f"head{number}")
        for number, head in enumerate(heads, start=1)
    ]
    logits = [head(features) for head in named]
    mean = layers.Average(name="mean_logits")(logits) if len(logits) > 1 else logits[0]
    return keras.Model(network.input, mean, name="network")


def averaged(networks: Sequence[keras.Model]) -> keras.Model:
    """Return one network that gives the mean of the logits of several.

    Args:
        networks: each what `save` takes, for images of one size.

    Returns:
        What `save` takes.
    """
    if len(networks) == 1:
        return keras.Model(networks[0].input, networks[0].output, name="network")
    pixels = keras.Input(networks[0].input_shape[1:], name="pixels")
    named = [
        keras.Model(one.input, one.output, name=f"network{number}")
        for number, one in enumerate(networks, start=1)
    ]
    mean = layers.Average(name="mean_logits")([one(pixels, training=False) for one in named])
    return keras.Model(pixels, mean, name="network")
