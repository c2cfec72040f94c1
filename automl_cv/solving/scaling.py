"""Features brought to one scale, by what was measured over given images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

Name = Literal["standard", "unit"]

SMALLEST_VARIANCE = 0.01
"""Least variance of a feature that standardising divides by, as a share of the mean variance."""

SHORTEST = 1e-12
"""A vector shorter than this is divided by this: what `keras.layers.UnitNormalization` has."""

IMAGES_AT_ONCE = 4096
"""Features are read in blocks of about so many images: they may be memory-mapped."""


@dataclass(frozen=True)
class Scaling:
    """What features are scaled by.

    Args:
        name: "standard" brings each feature to mean 0 and variance 1; "unit" divides each
            image's features by their Euclidean length first, and does the same then.
        mean: of each feature, of the unit-length ones with "unit", float64 (features,).
        scale: standard deviation likewise, never 0.
    """

    name: Name
    mean: np.ndarray
    scale: np.ndarray

    def scaled(self, features: np.ndarray) -> np.ndarray:
        """Return scaled features, float64 (images, features)."""
        exact = unit_length(features) if self.name == "unit" else features.astype(np.float64)
        exact -= self.mean
        exact /= self.scale
        return exact


def measured(name: Name, features: np.ndarray) -> Scaling:
    """Measure what scales features.

    Args:
        name: see `Scaling`.
        features: (images, features) of the images to measure, at least one.
    """
    blocks = np.array_split(features, max(1, len(features) // IMAGES_AT_ONCE))
    if name == "unit":
        mean, variance = moments(unit_length(block) for block in blocks)
    else:
        mean, variance = moments(block.astype(np.float64) for block in blocks)
    return Scaling(name, mean, np.sqrt(variance))


def moments(blocks: Iterator[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and variance of each feature, no variance too small to divide by.

    Args:
        blocks: float64 (images, features) each.
    """
    images, total, squares = 0, np.zeros(1), np.zeros(1)
    for block in blocks:
        images += len(block)
        total = total + block.sum(axis=0)
        squares = squares + np.square(block).sum(axis=0)
    mean = total / images
    variance = np.maximum(squares / images - np.square(mean), 0.0)
    # A feature that hardly varies in training (a unit that is almost always 0) would be blown
    # up without bound on an image that wakes it: one image gave a validation loss of 314.
    return mean, np.maximum(variance, SMALLEST_VARIANCE * max(float(variance.mean()), 1e-12))


def unit_length(features: np.ndarray) -> np.ndarray:
    """Return each image's features divided by their length, float64; a vector of 0 stays 0."""
    exact = features.astype(np.float64)
    length = np.sqrt(np.einsum("if,if->i", exact, exact))
    exact /= np.maximum(length, SHORTEST)[:, None]
    return exact
