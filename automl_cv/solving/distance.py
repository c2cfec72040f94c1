"""How far an image's features are from those that a classifier was trained on.

One Gaussian of all training images, whatever their class: variances along the directions they
vary in most, and one variance for all the rest (probabilistic principal components, Tipping and
Bishop 1999), shrunk towards the mean variance. The squared distance is Mahalanobis's, over the
number of features. Distances to the nearest class's mean (Lee et al. 2018, arXiv:1807.03888) or
to the nearest training images told strange images apart no better: `tests/benchmarks/foreign.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from automl_cv.solving.scaling import IMAGES_AT_ONCE, measured
from automl_cv.solving.threads import one_thread

DIRECTIONS = 128
# Images for each direction at least: of fewer its variance is that of chance.
IMAGES_A_DIRECTION = 4
SHRINKAGE = 0.1  # of variances, towards their mean
MOST_IMAGES = 20_000  # that directions are found from, evenly apart

# Out of ten folds a distance is measured from nine tenths of the images, hardly fewer than all.
FOLDS = 10
# Of its own kind of images, the share that a classifier calls foreign: one in a hundred.
SHARE = 0.01


@dataclass(frozen=True)
class Distance:
    """What squared distances are measured with.

    Args:
        mean: of each feature, float64 (features,).
        scale: what each is divided by.
        directions: of length 1, float64 (features, directions).
        variances: along them.
        rest: variance along any other direction.
    """

    mean: np.ndarray
    scale: np.ndarray
    directions: np.ndarray
    variances: np.ndarray
    rest: float

    def of(self, features: np.ndarray) -> np.ndarray:
        """Return squared distances over the number of features, float64 (images,)."""
        found = [np.empty(0)]
        for start in range(0, len(features), IMAGES_AT_ONCE):
            scaled = (features[start : start + IMAGES_AT_ONCE] - self.mean) / self.scale
            along = np.square(scaled @ self.directions)
            all_of_it = np.square(scaled).sum(axis=1)
            inside = along @ (1 / self.variances - 1 / self.rest)
            found.append((all_of_it / self.rest + inside) / len(self.mean))
        return np.concatenate(found)


@dataclass(frozen=True)
class Threshold:
    """From which distance on an image is foreign.

    Args:
        distance: squared, see `Distance.of`.
        share: of other images of the same kind, so many lie beyond it.
        images: that it was found from.
    """

    distance: float
    share: float
    images: int


def fitted(features: np.ndarray) -> Distance:
    """Measure where images lie.

    Args:
        features: (images, features) as a backbone gives them, may be memory-mapped.
    """
    some = np.asarray(features[:: max(1, -(-len(features) // MOST_IMAGES))])
    scaling = measured("standard", some)
    scaled = scaling.scaled(some)
    images, width = scaled.shape
    with one_thread():
        if images < width:
            values, vectors = np.linalg.eigh(scaled @ scaled.T)
        else:
            values, vectors = np.linalg.eigh(scaled.T @ scaled)
    total = float(values.sum()) / images
    kept = max(1, min(DIRECTIONS, images // IMAGES_A_DIRECTION, width - 1))
    values, vectors = values[::-1][:kept], vectors[:, ::-1][:, :kept]
    if images < width:
        vectors = scaled.T @ vectors / np.sqrt(np.maximum(values, np.finfo(float).tiny))
    values = np.maximum(values, 0.0) / images
    mean = max(total / width, float(np.finfo(np.float32).tiny))
    left = max(total - float(values.sum()), 0.0) / (width - kept)
    return Distance(
        mean=scaling.mean,
        scale=scaling.scale,
        directions=vectors,
        variances=(1 - SHRINKAGE) * values + SHRINKAGE * mean,
        rest=(1 - SHRINKAGE) * left + SHRINKAGE * mean,
    )


def threshold(
    features: np.ndarray, units: Sequence[str], *, seed: int, share: float = SHARE
) -> Threshold | None:
    """Find the distance that a share of other images of the same kind lies beyond.

    Each image is measured from the images of other folds. Of n distances the one of rank
    (n + 1)(1 - share), rounded up, is exceeded by at most that share of new images (Vovk et al.,
    conformal prediction); where that rank is beyond the last, the last serves, with the share
    that it stands for.

    Args:
        features: (images, features) of all images that train.
        units: images of one name stay in one fold: copies, and those of a group.
        seed: of the folds.
        share: wanted.

    Returns:
        None where there are too few images to tell.
    """
    names, places = np.unique(np.asarray(units), return_inverse=True)
    if len(names) < 2 * FOLDS:
        return None
    order = np.random.default_rng(seed).permutation(len(names))
    folds = (order % FOLDS)[places]
    distances = np.empty(len(features))
    for fold in range(FOLDS):
        own = folds == fold
        distances[own] = fitted(features[~own]).of(features[own])
    count = len(distances)
    rank = min(int(np.ceil((count + 1) * (1 - share) - 1e-9)), count)
    promised = max(share, 1 - rank / (count + 1))
    return Threshold(float(np.sort(distances)[rank - 1]), float(promised), count)
