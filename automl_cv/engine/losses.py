"""What training minimises for each image: losses, weighted by class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

# Below it a probability of being wrong counts as this: x ** gamma has no finite slope at 0
# where gamma is below 1.
LEAST_DOUBT = 1e-7


@dataclass(frozen=True, eq=False)
class Loss:
    """A loss as training loops ask for it.

    Args:
        of_labels: is given labels, either class indices, int32 (batch,), or shares of classes,
            float32 (batch, classes), and logits, (batch, classes); returns float32 (batch,).
        of_even_shares: likewise, given logits alone, of labels that are all classes in even
            shares: label smoothing mixes it in, as losses are linear in the shares.
    """

    of_labels: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
    of_even_shares: Callable[[tf.Tensor], tf.Tensor]


def cross_entropy() -> Loss:
    """Return the loss of a softmax classifier."""
    return Loss(
        of_labels=cross_entropies,
        of_even_shares=lambda logits: (
            tf.reduce_logsumexp(logits, axis=-1) - tf.reduce_mean(logits, axis=-1)
        ),
    )


def focal(gamma: float) -> Loss:
    """Return the loss of Lin et al. 2017 (https://arxiv.org/abs/1708.02002), without its alpha.

    Of shares of classes it is the mean of the classes' losses in these shares, as in Keras's
    `CategoricalFocalCrossentropy`.

    Args:
        gamma: how much less an image counts that is told well; 0 gives cross-entropy.
    """

    def of_classes(logits: tf.Tensor) -> tf.Tensor:
        """Return the loss that each class would have if it were the right one."""
        logarithms = tf.nn.log_softmax(logits)
        doubts = tf.maximum(-tf.math.expm1(logarithms), LEAST_DOUBT)
        return -(doubts**gamma) * logarithms

    def of_labels(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        losses = of_classes(logits)
        if labels.dtype == tf.float32:
            return tf.reduce_sum(labels * losses, axis=-1)
        return tf.gather(losses, labels, batch_dims=1)

    return Loss(of_labels, lambda logits: tf.reduce_mean(of_classes(logits), axis=-1))


def cross_entropies(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Return each image's cross-entropy; see `Loss.of_labels`."""
    if labels.dtype == tf.float32:
        return tf.nn.softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)


def weighted(
    losses: tf.Tensor, labels: tf.Tensor, weights: NDArray[np.float32] | tf.Variable
) -> tf.Tensor:
    """Return losses times the weights of the images' classes, float32 (batch,).

    Args:
        losses: float32 (batch,).
        labels: see `Loss.of_labels`; shares of classes have the mean weight in these shares.
        weights: one a class.
    """
    given = tf.convert_to_tensor(weights)
    if labels.dtype == tf.float32:
        return losses * tf.linalg.matvec(labels, given)
    return losses * tf.gather(given, labels)
