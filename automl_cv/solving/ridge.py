"""Ridge regression on the classes, one column of 0 and 1 each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from automl_cv.solving.shifted import Shifted
from automl_cv.solving.threads import one_thread


class Ridge:
    """What ridge regression of any penalty is solved from: one matrix, made tridiagonal.

    Minimises the sum of squared differences + penalty * |weights|^2, the bias free, as
    scikit-learn's `Ridge(alpha=penalty)` does. A class that training lacked has weights and
    bias 0. Logits lie about 0 and 1: they are no log-probabilities until scaled.
    """

    def __init__(self, features: np.ndarray, labels: np.ndarray, classes: int) -> None:
        """Take products, on the smaller side of images and features.

        Args:
            features: float64 (images, features), as `scaling` has them.
            labels: class indices (images,).
            classes: number of classes.
        """
        targets = np.eye(classes)[labels]
        self._mean, self._shares = features.mean(axis=0), targets.mean(axis=0)
        centred = features - self._mean
        towards = targets - self._shares
        # With fewer images than features, weights are X' (X X' + penalty)^-1 Y.
        self._images = centred if centred.shape[0] < centred.shape[1] else None
        with one_thread():
            if self._images is not None:
                self._systems = Shifted(centred @ centred.T, towards)
            else:
                self._systems = Shifted(centred.T @ centred, centred.T @ towards)

    def path(self, penalties: Iterable[float]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield what `solve` returns for each."""
        return map(self.solve, penalties)

    def solve(self, penalty: float) -> tuple[np.ndarray, np.ndarray]:
        """Return weights (features, classes) and bias (classes,), float64.

        Args:
            penalty: above 0.
        """
        found = self._systems.solve(penalty)
        weights = found if self._images is None else self._images.T @ found
        return weights, self._shares - self._mean @ weights
