"""Linear discriminant analysis with a shrunk covariance."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from automl_cv.solving.linear import with_absent
from automl_cv.solving.scaling import IMAGES_AT_ONCE
from automl_cv.solving.threads import one_thread

NOTHING = 1e-12
"""A variance below this share of the largest is 0, where nothing is shrunk."""


class Discriminant:
    """What discriminant analysis of any shrinkage is solved from: one decomposition.

    The covariance S within classes (maximum likelihood, pooled by the classes' shares) becomes
    (1 - shrinkage) S + shrinkage * trace(S) / features * I, and classes have their shares as
    priors: scikit-learn's `LinearDiscriminantAnalysis(solver="lsqr", shrinkage=...)`. For a
    class that training lacked see `linear.with_absent`.

    Logits are log-densities under the model and too sure of themselves with many features:
    they want a temperature.
    """

    def __init__(self, features: np.ndarray, labels: np.ndarray, classes: int) -> None:
        """Decompose, on the smaller side of images and features.

        Args:
            features: float64 (images, features), as `scaling` has them.
            labels: class indices (images,).
            classes: number of classes.
        """
        self._classes = classes
        self._present, places, counts = np.unique(labels, return_inverse=True, return_counts=True)
        self._log_shares = np.log(counts / len(labels))
        one_hot = np.eye(len(counts))[places]
        self._means = (features.T @ one_hot) / counts
        within = np.empty_like(features)
        for start in range(0, len(features), IMAGES_AT_ONCE):
            block = slice(start, start + IMAGES_AT_ONCE)
            np.subtract(features[block], self._means.T[places[block]], out=within[block])
        within /= np.sqrt(len(labels))
        images, dimensions = within.shape
        self._mean_variance = float(np.einsum("if,if->", within, within)) / dimensions
        self._wide = images < dimensions
        with one_thread():
            side = within @ within.T if self._wide else within.T @ within
            values, vectors = np.linalg.eigh(side)
        self._values = np.maximum(values, 0.0)
        self._basis = within.T @ vectors if self._wide else vectors
        self._turned = self._basis.T @ self._means

    def path(self, shrinkages: Iterable[float]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield what `solve` returns for each."""
        return map(self.solve, shrinkages)

    def solve(self, shrinkage: float) -> tuple[np.ndarray, np.ndarray]:
        """Return weights (features, classes) and bias (classes,), float64.

        Args:
            shrinkage: from 0, which leaves S as it is and takes its pseudo-inverse, to 1.
        """
        floor = shrinkage * self._mean_variance
        variances = (1 - shrinkage) * self._values + floor
        if floor == 0:
            weights = self._basis @ (self._pseudo_inverse()[:, None] * self._turned)
        elif self._wide:
            # The inverse of c B' B + f I is (I - c B' U 1 / (c values + f) U' B) / f.
            inner = ((1 - shrinkage) / variances)[:, None] * self._turned
            weights = (self._means - self._basis @ inner) / floor
        else:
            weights = self._basis @ (self._turned / variances[:, None])
        bias = self._log_shares - 0.5 * np.einsum("fc,fc->c", self._means, weights)
        return with_absent(weights, bias, self._present, self._classes)

    def _pseudo_inverse(self) -> np.ndarray:
        """Return what the turned means are multiplied by if nothing is shrunk."""
        kept = self._values > NOTHING * self._values.max()
        inverse: np.ndarray = np.zeros_like(self._values)
        inverse[kept] = 1 / np.square(self._values[kept]) if self._wide else 1 / self._values[kept]
        return inverse
