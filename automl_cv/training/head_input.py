"""What a head is built for: the shape of its features, and how they vary."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from automl_cv.solving.scaling import IMAGES_AT_ONCE, moments


@dataclass(frozen=True)
class HeadInput:
    """What a head is built for.

    Args:
        features: length of a feature vector.
        classes: number of classes.
        mean: of each feature over the training images, float32, shape (features,).
        variance: likewise.
    """

    features: int
    classes: int
    mean: np.ndarray
    variance: np.ndarray


def describe(features: np.ndarray, rows: np.ndarray, classes: int) -> HeadInput:
    """Measure mean and variance over the training images, a block of them at a time.

    Args:
        features: float32, shape (images, features); may be memory-mapped.
        rows: the training images, shape (n,).
        classes: number of classes.
    """
    blocks = np.array_split(rows, max(1, len(rows) // IMAGES_AT_ONCE))
    mean, variance = moments(features[block].astype(np.float64) for block in blocks)
    return HeadInput(
        features.shape[1], classes, mean.astype(np.float32), variance.astype(np.float32)
    )
