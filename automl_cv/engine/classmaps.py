"""Which places of an image speak for a class: Grad-CAM and Score-CAM.

Both weigh the feature maps of one layer, add them up, and keep what is above 0. Grad-CAM
(Selvaraju et al. 2017, https://arxiv.org/abs/1610.02391) takes a channel's weight from the
gradient of the class's score; Score-CAM (Wang et al. 2020, https://arxiv.org/abs/1910.01279)
from the class's probability for the image where that channel masks it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from automl_cv.engine import images, layer_outputs
from automl_cv.engine.layer_outputs import Step
from automl_cv.engine.maps import Network, choose, names_of
from automl_cv.errors import UserError, suggest
from automl_cv.pictures.maps import ClassMap, Values

BATCH_SIZE = 32  # masked images that pass the network at once


@dataclass(frozen=True)
class Scores:
    """What a classifier says of images.

    Args:
        logits: the classes' scores before the softmax, shape (batch, classes).
        probabilities: after it.
    """

    logits: tf.Tensor
    probabilities: tf.Tensor


def scores_of(outputs: Any, steps: Sequence[Step]) -> Scores | None:
    """Return a run's scores; None where the network does not end in scores of classes.

    Such an end is a softmax, or a dense layer, whose outputs are then taken for logits.
    """
    last = steps[-1]
    if outputs is not last.output or len(last.output.shape) != 2 or last.output.shape[1] < 2:
        return None
    operation = last.operation
    is_softmax = getattr(operation, "activation", None) is keras.activations.softmax
    if isinstance(operation, keras.layers.Dense):
        if is_softmax:
            logits = tf.matmul(last.inputs[0], operation.kernel)
            if operation.use_bias:
                logits += operation.bias
            return Scores(logits, last.output)
        if operation.activation is keras.activations.linear:
            return Scores(last.output, tf.nn.softmax(last.output))
    # A layer or an operation of `keras.ops`.
    if is_softmax or type(operation).__name__ == "Softmax":
        return Scores(last.inputs[0], last.output)
    return None


def class_maps(
    network: Network,
    pixels: images.Pixels,
    names: Sequence[str] = (),
    class_name: str | None = None,
    score_channels: int = 256,
) -> list[ClassMap]:
    """Map where an image speaks for a class, once with each method.

    Args:
        network: the network.
        pixels: uint8, shape (height, width, 3).
        names: of layers, as for `maps.feature_maps`; the deepest is mapped.
        class_name: the class, by name, or by number where the names are not known; None for
            the most probable one.
        score_channels: see `score_cam`.

    Returns:
        Grad-CAM and Score-CAM, or nothing for a network that does not end in scores.

    Raises:
        UserError: there is no such class or layer, or the scores do not depend on the layer.
    """
    resized = tf.constant(network.resized(pixels)[None])
    with tf.GradientTape() as tape:
        # Frozen weights are not watched, so that nothing would be without this.
        tape.watch(resized)
        outputs, steps = layer_outputs.run(network.model, resized)
        scores = scores_of(outputs, steps)
        if scores is None:
            if class_name is not None:
                raise UserError(f"--class {class_name}: {no_scores(network)}")
            return []
        predicted = int(tf.argmax(scores.probabilities[0]))
        classes = network.classes or tuple(map(str, range(scores.logits.shape[1])))
        number = predicted if class_name is None else _number(network, class_name, classes)
        score = scores.logits[0, number]
    layer = max(choose(network, steps, names), key=steps.index)
    gradient = tape.gradient(score, layer.output)
    if gradient is None:
        raise UserError(
            f"{network.name}: the classes' scores don't depend on the layer {layer.path!r}; "
            "choose another with --layers"
        )
    ends_in_logits = scores.logits is outputs

    def probability(masked: tf.Tensor) -> Values:
        # Not `layer_outputs.run`, which would hold what every layer gives for all of them.
        given = network.model(masked, training=False)
        return (tf.nn.softmax(given) if ends_in_logits else given)[:, number].numpy()

    maps = layer.output.numpy()[0].astype("f4")
    varying = np.count_nonzero(maps.var(axis=(0, 1)))
    by_gradient = ClassMap(
        method="Grad-CAM",
        layer=names_of(steps)[layer.path],
        values=grad_cam(maps, gradient.numpy()[0]),
        class_name=classes[number],
        probability=float(scores.probabilities[0, number]),
        predicted=classes[predicted],
    )
    some = varying > score_channels
    by_score = replace(
        by_gradient,
        method="Score-CAM",
        values=score_cam(resized, maps, probability, score_channels),
        note=f"{score_channels} of {maps.shape[-1]:,} channels tried" if some else "",
    )
    return [by_gradient, by_score]


def no_scores(network: Network) -> str:
    """Return why there are no class maps of a network."""
    return (
        f"{network.name} does not end in scores of classes: class maps need a trained model, which "
        "`automl-cv fit` makes"
    )


def grad_cam(maps: Values, gradient: Values) -> Values:
    """Weigh each channel by the mean of the score's gradient over its places (equations 1 and 2).

    Args:
        maps: what the layer gives, shape (height, width, channels).
        gradient: of the class's score before the softmax, by `maps`.

    Returns:
        float32, not negative, shape (height, width).
    """
    weights = gradient.astype("f4").mean(axis=(0, 1))
    return np.maximum(maps @ weights, 0)


def score_cam(
    resized: tf.Tensor,
    maps: Values,
    probability: Callable[[tf.Tensor], Values],
    channels: int,
) -> Values:
    """Weigh each channel by the class's probability for the image that the channel masks.

    A channel, enlarged to the image and brought to 0 … 1, is multiplied with the pixels: what
    it leaves out turns black. Weights are probabilities, as in the authors' code
    (github.com/haofanwang/Score-CAM, cam/scorecam.py); like there, channels of one value are
    left out.

    Args:
        resized: the image, float32, shape (1, image_size, image_size, 3).
        maps: what the layer gives for it, shape (height, width, channels).
        probability: of the class, for each of a batch of images.
        channels: how many are tried at most, those of highest variance; each is an image that
            passes the network.

    Returns:
        float32, not negative, shape (height, width).
    """
    variances = maps.var(axis=(0, 1))
    chosen = np.argsort(-variances, kind="stable")[:channels]
    chosen = chosen[variances[chosen] > 0]
    weights = np.zeros(maps.shape[-1], "f4")
    for start in range(0, len(chosen), BATCH_SIZE):
        batch = chosen[start : start + BATCH_SIZE]
        masks = tf.image.resize(maps[..., batch], resized.shape[1:3], "bilinear")
        lowest, highest = (f(masks, (0, 1)) for f in (tf.reduce_min, tf.reduce_max))
        # Where maps are larger than the image, one that varies may be of one value now.
        masks = tf.math.divide_no_nan(masks - lowest, highest - lowest)
        weights[batch] = probability(resized * tf.transpose(masks, (2, 0, 1))[..., None])
    return np.maximum(maps @ weights, 0)


def _number(network: Network, name: str, classes: Sequence[str]) -> int:
    if name not in classes:
        raise UserError(
            f"--class: {network.name} knows no class {name!r}: {suggest(name, classes)}"
        )
    return classes.index(name)
