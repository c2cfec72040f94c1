"""Ridge regression on the likeness of an image to each of those that it was solved on.

The likeness is Gaussian, exp(-|x - a|^2 / (2 w^2)), of features of length 1: there it is
exp(f (x . a - 1)) with f = 1 / w^2, one dense layer with an exponential and another one behind it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from automl_cv.solving.scaling import Form, formed
from automl_cv.solving.shifted import Shifted


@dataclass(frozen=True)
class KernelHead:
    """Logits that are linear in likenesses.

    Args:
        on: the form of the features that it takes, of length 1.
        anchors: features of the images that likenesses are to, in that form, float64
            (anchors, features).
        factor: how fast the likeness falls.
        weights: float64 (anchors, classes).
        bias: float64 (classes,).
    """

    on: Form
    anchors: np.ndarray
    factor: float
    weights: np.ndarray
    bias: np.ndarray

    def logits(self, features: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
        """Return logits of features as a backbone gives them; see `linear.Linear`."""
        logits: np.ndarray = self.inputs(features, rows) @ self.weights + self.bias
        return logits

    def inputs(self, features: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
        """Return what logits are linear in: likenesses, float64 (images, anchors)."""
        return likeness(formed(self.on, features, rows), self.anchors, self.factor)

    def times(self, factor: float) -> KernelHead:
        """Return the head whose logits are these times a factor."""
        return replace(self, weights=factor * self.weights, bias=factor * self.bias)


class Kernel:
    """What kernel ridge regression of any penalty is solved from: one matrix, made tridiagonal.

    Args:
        features: float64 (images, features), each image's of length 1.
        labels: class indices (images,).
        classes: number of classes.
        reach: the likeness of two images of median distance is exp(-`reach`); the median is over
            pairs of the images.
    """

    def __init__(
        self, features: np.ndarray, labels: np.ndarray, classes: int, *, reach: float
    ) -> None:
        self.anchors = features
        # Half the squared distance of two vectors of length 1 is 1 less their product.
        products = features @ features.T
        median = 1 - float(np.median(products[~np.tri(len(features), dtype=bool)]))
        self.factor = reach / max(median, 1e-12)
        targets = np.eye(classes)[labels]
        self._shares = targets.mean(axis=0)  # the kernel is not centred: they are the bias
        self._systems = Shifted(likeness_of(products, self.factor), targets - self._shares)

    def solve(self, penalty: float) -> tuple[np.ndarray, np.ndarray]:
        """Return weights (images, classes) and bias (classes,), float64; penalty above 0."""
        return self._systems.solve(penalty), self._shares

    def path(self, penalties: Iterable[float]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield what `solve` returns for each."""
        return map(self.solve, penalties)

    def head(self, on: Form, weights: np.ndarray, bias: np.ndarray) -> KernelHead:
        """Return a solution as it is kept and asked."""
        return KernelHead(on, self.anchors, self.factor, weights, bias)


def likeness(features: np.ndarray, anchors: np.ndarray, factor: float) -> np.ndarray:
    """Return how alike images are to anchors, float64 (images, anchors), at most 1."""
    return likeness_of(features @ anchors.T, factor)


def likeness_of(products: np.ndarray, factor: float) -> np.ndarray:
    """Return likenesses of products of features of length 1."""
    near: np.ndarray = products - 1
    near *= factor
    np.exp(near, out=near)
    return near
