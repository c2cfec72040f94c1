"""Cutting a backbone in two: what stays as it is, and the last blocks, which are fine-tuned.

The cut lies where every path goes through one layer, so that nothing jumps over it: all before
it runs once for each image, and what comes out is cached as features are.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np

from automl_cv.engine import backbone as backbones
from automl_cv.engine.bottlenecks import bottlenecks
from automl_cv.errors import UserError
from automl_cv.study.studyfile import Backbone


@dataclass(frozen=True)
class Cut:
    """A backbone in two parts.

    Args:
        frozen: from pixels to a flattened feature map (a list of one, as of `backbone.build`),
            shape (batch, height * width * channels); of a transformer, to its tokens.
        trained: from that map, shape (batch, height, width, channels), to the outputs of the
            blocks behind it, not pooled; trainable.
        weights: those that the trained part begins with.
        shape: height, width and channels of the map; of tokens how many, and their width.
        n_frozen: blocks whose output lies before the cut, or is the cut.
        whole: both parts as one, from pixels to a vector for each block, as of
            `backbone.build`. Its last layers are those of the trained part.
    """

    frozen: keras.Model
    trained: keras.Model
    weights: Sequence[np.ndarray]
    shape: tuple[int, ...]
    n_frozen: int
    whole: keras.Model


def cut(backbone: Backbone, image_size: int, n_blocks: int) -> Cut:
    """Cut a backbone before its last blocks.

    The cut is the latest layer, at or before the output of the block before them, that every
    path goes through. With all blocks it is the image: the stem is trained too.

    Args:
        backbone: of the study or trial.
        image_size: height and width of the images, in pixels.
        n_blocks: how many blocks are trained.

    Raises:
        UserError: the backbone can't be built, or hasn't so many blocks.
    """
    network, preprocessing = backbones.load_blocks(backbone, image_size)
    outputs = network.outputs
    if n_blocks > len(outputs):
        raise UserError(
            f"fine_tune.blocks: {backbone.name} has {len(outputs)} blocks, "
            f"can't train the last {n_blocks}"
        )
    try:
        place, behind = _place(network, n_blocks)
    except KeyError:  # Keras tells the first output of a layer alone
        raise UserError(
            f"fine_tune: {backbone.name} has a layer that is used twice; it can't be cut"
        ) from None
    layer = network.operations[place]
    trained = keras.Model(layer.output, behind, name="trained")
    for own in trained.layers:
        own.trainable = True
    # Keras takes no graph without a layer.
    end = layer.output if place else keras.layers.Identity()(network.input)
    before = keras.Model(network.input, end, name="frozen")
    shape = before.compute_output_shape((None, image_size, image_size, 3))[1:]
    frozen = backbones.on_pixels(
        before,
        preprocessing,
        image_size,
        lambda maps: [keras.layers.Flatten(name="map")(one) for one in maps],
    )
    whole = backbones.on_pixels(network, preprocessing, image_size, backbones.pool)
    n_frozen = len(outputs) - len(behind)
    return Cut(frozen, trained, trained.get_weights(), shape, n_frozen, whole)


def blocks_of_layers(network: keras.Model) -> dict[str, int]:
    """Return by a layer's name which block it belongs to, the last one being 0.

    Args:
        network: of one output for each block, as the trained part of a cut is.
    """
    numbers = {step.name: number for number, step in enumerate(network.operations)}
    # Keras copies the graph behind the cut, and its tensors: what made them tells them.
    ends = sorted(numbers[output._keras_history.operation.name] for output in network.outputs)
    return {
        layer.name: len(ends) - 1 - bisect_left(ends, numbers[layer.name])
        for layer in network.layers
    }


def _place(network: keras.Model, n_blocks: int) -> tuple[int, list[keras.KerasTensor]]:
    """Return the number of the operation that is cut behind, and the outputs that lie behind it.

    Raises:
        KeyError: an operation is used twice.
    """
    outputs = network.outputs
    numbers = {id(step.output): number for number, step in enumerate(network.operations)}
    places = {id(output): numbers[id(output)] for output in outputs}
    # The output of the last block that stays may lie behind the cut, and is trained then.
    highest = places[id(outputs[-n_blocks - 1])] if n_blocks < len(outputs) else 0
    place = max(place for place in bottlenecks(network) if place <= highest)
    return place, [output for output in outputs if places[id(output)] > place]
