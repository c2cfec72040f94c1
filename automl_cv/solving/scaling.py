"""Features brought to one scale, by what was measured over given images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

Name = Literal["standard", "unit", "root"]
Form = Literal["plain", "unit", "root"]

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
        name: "standard" brings each feature to mean 0 and variance 1. "unit" divides each image's
            features by their Euclidean length, "root" takes their square roots first, their
            signs kept; both then bring each feature to mean 0 and all together to a mean
            variance of 1, so that a feature that says little stays small.
        mean: of each feature in that form, float64 (features,).
        scale: what each is divided by, never 0.
    """

    name: Name
    mean: np.ndarray
    scale: np.ndarray

    @property
    def form(self) -> Form:
        """What is done to an image's features by itself."""
        return "plain" if self.name == "standard" else self.name

    def scaled(self, features: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
        """Return scaled features, float64 (images, features), of some rows; None for all."""
        exact = formed(self.form, features, rows)
        exact -= self.mean
        exact /= self.scale
        return exact


def measured(name: Name, features: np.ndarray, rows: np.ndarray | None = None) -> Scaling:
    """Measure what scales features.

    Args:
        name: see `Scaling`.
        features: (images, features), at least one.
        rows: of the images to measure; None for all.
    """
    form: Form = "plain" if name == "standard" else name
    count = len(features) if rows is None else len(rows)
    blocks = np.array_split(np.arange(count), max(1, count // IMAGES_AT_ONCE))
    mean, variance = moments(
        formed(form, features, block if rows is None else rows[block]) for block in blocks
    )
    if name != "standard":
        variance = np.full_like(variance, variance.mean())
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


def formed(form: Form, features: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
    """Return features in a form that each image has by itself, float64 (images, features).

    Args:
        form: "plain" as they are; "unit" of Euclidean length 1; "root" square roots, their signs
            kept, of length 1: activations above 0 spread less (Perronnin et al. 2010, "Improving
            the Fisher Kernel for Large-Scale Image Classification", section 3.3).
        features: (images, features); may be memory-mapped, only what is returned is held.
        rows: of those that are wanted; None for all.
    """
    count = len(features) if rows is None else len(rows)
    found = np.empty((count, features.shape[1]))
    for start in range(0, count, IMAGES_AT_ONCE):
        block = slice(start, start + IMAGES_AT_ONCE)
        exact = features[block if rows is None else rows[block]].astype(np.float64)
        if form == "root":
            exact = np.sign(exact) * np.sqrt(np.abs(exact))
        found[block] = exact if form == "plain" else unit_length(exact)
    return found


def unit_length(features: np.ndarray) -> np.ndarray:
    """Return each image's features divided by their length, float64; a vector of 0 stays 0."""
    exact = features.astype(np.float64)
    length = np.sqrt(np.einsum("if,if->i", exact, exact))
    exact /= np.maximum(length, SHORTEST)[:, None]
    return exact
