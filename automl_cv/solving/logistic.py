"""Multinomial logistic regression: for one penalty, along many, and out of folds along many.

The sum of cross-entropies + penalty / 2 * |weights|^2 is minimised, the bias is free: a penalty
is 1 / C of scikit-learn's `LogisticRegression` (2 / C of two classes, which have one column
there and two of opposite sign here). Products are float32; the objective comes within
`descent.TOLERANCE` of its minimum. A class that training lacked stays `linear.FAR_BELOW`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from automl_cv.solving.descent import Descent, Point, Space


class Logistic:
    """What logistic regression of any penalty is solved from.

    Args:
        features: float64 (images, features), as `scaling` has them.
        labels: class indices (images,).
        classes: number of classes.
    """

    def __init__(self, features: np.ndarray, labels: np.ndarray, classes: int) -> None:
        self._space = Space(features)
        everything = np.ones((1, len(labels)), bool)
        self._descent = Descent(self._space, labels, classes, everything)

    def solve(self, penalty: float) -> tuple[np.ndarray, np.ndarray]:
        """Return weights (features, classes) and bias (classes,), float64.

        They do not depend on what was solved before.

        Args:
            penalty: above 0.
        """
        return self._space.solution(self._descent.solved(self._descent.start(), penalty))

    def path(self, penalties: Iterable[float]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the same for each penalty, each begun where the ones before it ended.

        Args:
            penalties: falling, which is the fastest way.
        """
        for point in _along(self._descent, penalties):
            yield self._space.solution(point)


def path(
    features: np.ndarray, labels: np.ndarray, classes: int, penalties: Iterable[float]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return weights and bias for each penalty; see `Logistic`."""
    return list(Logistic(features, labels, classes).path(penalties))


def out_of_fold(
    features: np.ndarray,
    labels: np.ndarray,
    classes: int,
    folds: np.ndarray,
    penalties: Iterable[float],
) -> Iterator[np.ndarray]:
    """Yield for each penalty the logits of images by a head that did not learn from their fold.

    All folds are solved side by side, with one Gram matrix. Ask for as many as are wanted:
    a penalty is solved when its logits are asked for.

    Args:
        features: float64 (images, features), as `scaling` has them: one scaling for all folds.
        labels: class indices (images,).
        classes: number of classes.
        folds: the fold of each image, (images,).
        penalties: falling.

    Yields:
        float32 (images, classes).
    """
    names, places = np.unique(folds, return_inverse=True)
    learned = np.arange(len(names))[:, None] != places
    descent = Descent(Space(features), labels, classes, learned)
    images = np.arange(len(labels))
    for point in _along(descent, penalties):
        yield point.logits[places, :, images] + point.bias[places]


def _along(descent: Descent, penalties: Iterable[float]) -> Iterator[Point]:
    """Yield solutions, each begun from those of the two penalties before."""
    before, point = None, descent.start()
    for penalty in penalties:
        before, point = point, descent.solved(point, penalty, before)
        yield point
