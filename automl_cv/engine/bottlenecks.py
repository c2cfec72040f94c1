"""Places in a network that every path from input to output goes through."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers


def bottlenecks(network: keras.Model) -> list[int]:
    """Return the numbers of the operations that every path goes through, ascending.

    Most are layers; some networks of Keras's add and multiply without one. They stand in an
    order in which each comes after those that it reads. So a path misses one exactly where one
    before it is read by one behind it.

    Args:
        network: a functional model, none of whose layers is used twice.
    """
    numbers = {
        id(tensor): number
        for number, step in enumerate(network.operations)
        for tensor in keras.tree.flatten(step.output)
    }
    furthest = [0] * len(network.operations)  # the last operation that reads each
    for number, step in enumerate(network.operations[1:], start=1):
        for tensor in keras.tree.flatten(step.input):
            furthest[numbers[id(tensor)]] = number
    found, reached = [], 0
    for number, last in enumerate(furthest):
        if reached <= number:
            found.append(number)
        reached = max(reached, last)
    return found


def last_of_each_size(network: keras.Model, image_size: int) -> list[keras.KerasTensor]:
    """Return, of the feature maps that every path goes through, the last of each size.

    In a ResNet these are the ends of its stages. Empty where a layer is used twice.

    Args:
        network: a functional model of images.
        image_size: height and width of the images, in pixels.
    """
    try:
        places = bottlenecks(network)
    except (AttributeError, ValueError, KeyError):  # Keras: such a layer has no one output
        return []
    maps = [
        step.output
        for step in (network.operations[place] for place in places[1:])
        # Borders only make another size of the same map.
        if not isinstance(step, layers.ZeroPadding2D)
        if keras.backend.is_keras_tensor(step.output)
        # What is done to pixels is no feature.
        if len(step.output.shape) == 4 and step.output.shape[-1] > 3
    ]
    if not maps:
        return []
    shapes = keras.Model(network.input, maps).compute_output_shape(
        (None, image_size, image_size, 3)
    )
    sizes = np.reshape([-1 if one is None else one for one in keras.tree.flatten(shapes)], (-1, 4))
    return list(
        {tuple(size[1:3]): tensor for size, tensor in zip(sizes, maps, strict=True)}.values()
    )
