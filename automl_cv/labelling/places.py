"""Places of images: features of few dimensions, in which near means alike."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from automl_cv.solving.scaling import IMAGES_AT_ONCE, Scaling, measured

Places = npt.NDArray[np.float32]

# Measured with `tests/benchmarks/suggest.py` on digits and clothes: with 32 to 128 dimensions and
# half a whitening the labels found a class most classes early; without whitening one to three
# directions outweigh all others and the first ten labels were worth a fifth less.
DIMENSIONS = 64
WHITENING = 0.5  # of the power 1 that gives each direction the same variance
# Directions of more images than this are those of so many of them, evenly apart.
DIRECTIONS_FROM = 20_000
# A direction of less than this share of the largest variance says nothing.
NOTHING = 1e-10


def places(features: np.ndarray) -> Places:
    """Return where images lie, by their features' roots along the directions they vary in most.

    Args:
        features: (images, features) as a backbone gives them, may be memory-mapped.

    Returns:
        float32 (images, dimensions), DIMENSIONS at most.
    """
    some = features[:: max(1, -(-len(features) // DIRECTIONS_FROM))]
    scaling = measured("root", some)
    values, vectors = _directions(some, scaling)
    turned = vectors * values ** (-WHITENING / 2)
    return np.concatenate(
        [(scaling.scaled(block) @ turned).astype(np.float32) for block in _blocks(features)]
    )


def _directions(features: np.ndarray, scaling: Scaling) -> tuple[np.ndarray, np.ndarray]:
    """Return variances and directions of the largest, on the smaller side of images and features.

    Returns:
        float64 (dimensions,), falling, and (features, dimensions).
    """
    images, width = features.shape
    if images < width:
        scaled = scaling.scaled(features)
        values, vectors = np.linalg.eigh(scaled @ scaled.T)
    else:
        side = np.zeros((width, width))
        for block in _blocks(features):
            scaled = scaling.scaled(block)
            side += scaled.T @ scaled
        values, vectors = np.linalg.eigh(side)
    kept = np.flatnonzero(values > NOTHING * values[-1])[::-1][:DIMENSIONS]
    values, vectors = values[kept], vectors[:, kept]
    if images < width:
        vectors = scaled.T @ vectors / np.sqrt(values)
    return values / images, vectors


def _blocks(features: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(features), IMAGES_AT_ONCE):
        yield features[start : start + IMAGES_AT_ONCE]
