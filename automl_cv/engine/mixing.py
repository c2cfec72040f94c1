"""Mixing of two images of a batch, pixels or features, and of their labels.

An image's partner is the one before it in the batch; the first image's is the last. In which
share they mix is drawn from the image's own view (see `augment.uniform`), not from its company.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from scipy.special import betaincinv

from automl_cv.engine.augment import Numbers, uniform


def draw_boxes(
    seed: int, views: Sequence[str], size: int, alpha: float, probability: float
) -> NDArray[np.int32]:
    """Draw CutMix's boxes (https://arxiv.org/abs/1905.04899), one an image.

    Args:
        seed: another seed gives other boxes.
        views: names of views (see `features.view_name`), one an image.
        size: height and width of the images, in pixels.
        alpha: the share that stays is drawn from Beta(alpha, alpha), 1 being uniform; it
            grows where a box reaches over the edge and is cut off.
        probability: how often an image gets a box at all.

    Returns:
        int32 (images, 4): left, top, right and bottom in pixels, the last two outside.
    """
    kept = _beta(alpha, uniform(seed, views, "cutmix share"))
    pasted = uniform(seed, views, "cutmix") < probability
    side = np.where(pasted, np.floor(size * np.sqrt(1 - kept)), 0.0)
    centres = (uniform(seed, views, f"cutmix {axis}") for axis in "xy")
    left, top = (np.floor(size * centre) - side // 2 for centre in centres)
    edges = np.stack([left, top, left + side, top + side], axis=1)
    return np.clip(edges, 0, size).astype(np.int32)


def cutmix(pixels: tf.Tensor, boxes: tf.Tensor) -> tf.Tensor:
    """Fill a box of each image with what its partner has there.

    Args:
        pixels: float32 (images, size, size, 3).
        boxes: of `draw_boxes`, int32 (images, 4).

    Returns:
        float32 (images, size, size, 3).
    """
    places = tf.range(tf.shape(pixels)[1])
    left, top, right, bottom = (boxes[:, edge, None] for edge in range(4))
    columns = (places >= left) & (places < right)
    rows = (places >= top) & (places < bottom)
    inside = rows[:, :, None, None] & columns[:, None, :, None]
    return tf.where(inside, _partners(pixels), pixels)


def kept_shares(boxes: NDArray[np.int32], size: int) -> NDArray[np.float32]:
    """Return how much of each image its box leaves, float32 (images,): the shares of labels."""
    left, top, right, bottom = boxes.T
    return (1 - (right - left) * (bottom - top) / size**2).astype(np.float32)


def draw_shares(seed: int, views: Sequence[str], alpha: float) -> NDArray[np.float32]:
    """Draw MixUp's shares from Beta(alpha, alpha), float32 (images,).

    MixUp (https://arxiv.org/abs/1710.09412) mixes pixels. On the features before the head it
    is the last layer's case of manifold mixup (https://arxiv.org/abs/1806.05236), and cached
    features will do: `mixed` for the features, and for the labels.

    Args:
        seed: another seed gives other shares.
        views: names of views (see `features.view_name`), one an image.
        alpha: near 0 the shares are near 0 or 1, at 1 uniform.
    """
    return _beta(alpha, uniform(seed, views, "mixup")).astype(np.float32)


def mixed(values: tf.Tensor, shares: tf.Tensor) -> tf.Tensor:
    """Mix a batch's features, or its labels, with those of the images' partners.

    Args:
        values: float32 (images, width); labels are rows of sum 1.
        shares: how much of each image stays, float32 (images,).

    Returns:
        float32 (images, width).
    """
    return shares[:, None] * values + (1.0 - shares[:, None]) * _partners(values)


def _beta(alpha: float, uniform_numbers: Numbers) -> Numbers:
    """Turn uniform numbers into such of Beta(alpha, alpha)."""
    numbers: Numbers = betaincinv(alpha, alpha, uniform_numbers)
    return numbers


def _partners(values: tf.Tensor) -> tf.Tensor:
    return tf.roll(values, shift=1, axis=0)
