"""Ridge regression on the classes, one column of 0 and 1 each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from automl_cv.solving.threads import one_thread


class Ridge:
    """What ridge regression of any penalty is solved from: one decomposition.

    Minimises the sum of squared differences + penalty * |weights|^2, the bias free, as
    scikit-learn's `Ridge(alpha=penalty)` does. A class that training lacked has weights and
    bias 0. Logits lie about 0 and 1: they are no log-probabilities until scaled.
    """

    def __init__(self, features: np.ndarray, labels: np.ndarray, classes: int) -> None:
        """Decompose, on the smaller side of images and features.

        Args:
            features: float64 (images, features), as `scaling` has them.
            labels: class indices (images,).
            classes: number of classes.
        """
        targets = np.eye(classes)[labels]
        self._mean, self._shares = features.mean(axis=0), targets.mean(axis=0)
        centred = features - self._mean
        self._wide = centred.shape[0] < centred.shape[1]
        with one_thread():
            side = centred @ centred.T if self._wide else centred.T @ centred
            self._values, vectors = np.linalg.eigh(side)
        towards = targets - self._shares
        if self._wide:
            # weights = X' U 1 / (values + penalty) U' Y
            self._basis, self._targets = centred.T @ vectors, vectors.T @ towards
        else:
            self._basis, self._targets = vectors, vectors.T @ (centred.T @ towards)

    def path(self, penalties: Iterable[float]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield what `solve` returns for each."""
        return map(self.solve, penalties)

    def solve(self, penalty: float) -> tuple[np.ndarray, np.ndarray]:
        """Return weights (features, classes) and bias (classes,), float64.

        Args:
            penalty: above 0.
        """
        divided = self._targets / (np.maximum(self._values, 0.0) + penalty)[:, None]
        weights = self._basis @ divided
        return weights, self._shares - self._mean @ weights
