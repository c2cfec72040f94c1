"""Multinomial logistic regression: for one penalty, along many, and out of folds along many.

The sum of cross-entropies + penalty / 2 * |weights|^2 is minimised, the bias is free: a penalty
is 1 / C of scikit-learn's `LogisticRegression` (2 / C of two classes, which have one column
there and two of opposite sign here). Products are float32; the objective comes within
`descent.FINE` of its minimum. A class that training lacked stays `linear.FAR_BELOW`.

`tests/benchmarks/solving_speed.py`, 24 penalties and 5 folds of 10 classes, on two busy cores:
2,000 images of 2,048 features took 3.3 s of processor time where scikit-learn's solver took 28
(more loosely, at its own tolerance), 1,440 of 360 features 0.6 s where it took 3.6.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from automl_cv.solving.descent import COARSE, FINE, Descent, Point, Space
from automl_cv.solving.threads import one_thread


class Logistic:
    """What logistic regression of any penalty is solved from.

    Args:
        features: float64 (images, features), as `scaling` has them.
        labels: class indices (images,).
        classes: number of classes.
    """

    def __init__(self, features: np.ndarray, labels: np.ndarray, classes: int) -> None:
        with one_thread():
            self._space = Space(features)
        self._labels, self._classes = labels, classes
        self._descent = self._descended(FINE)

    def _descended(self, tolerance: float) -> Descent:
        everything = np.ones((1, len(self._labels)), bool)
        return Descent(
            self._space, self._labels, self._classes, learned=everything, tolerance=tolerance
        )

    def solve(self, penalty: float) -> tuple[np.ndarray, np.ndarray]:
        """Return weights (features, classes) and bias (classes,), float64.

        They do not depend on what was solved before.

        Args:
            penalty: above 0.
        """
        with one_thread():
            return self._space.solution(self._descent.solved(self._descent.start(), penalty))

    def path(
        self, penalties: Iterable[float], *, tolerance: float = COARSE
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield nearly the same for each penalty, each begun where the ones before it ended.

        Args:
            penalties: falling, which is the fastest way.
            tolerance: how far above its minimum an objective may be, as a share of it.
        """
        descent = self._descended(tolerance)
        for [point] in _along([descent], penalties):
            yield self._space.solution(point)


def out_of_fold(
    features: np.ndarray,
    labels: np.ndarray,
    classes: int,
    folds: np.ndarray,
    penalties: Iterable[float],
    *,
    tolerance: float = COARSE,
) -> Iterator[np.ndarray]:
    """Yield for each penalty the logits of images by a head that did not learn from their fold.

    All folds are solved side by side, with one Gram matrix, a half of them in each of two
    threads. A penalty is solved when its logits are asked for: ask for as many as are wanted.

    Args:
        features: float64 (images, features), as `scaling` has them: one scaling for all folds.
        labels: class indices (images,).
        classes: number of classes.
        folds: the fold of each image, (images,).
        penalties: falling.
        tolerance: how far above its minimum an objective may be, as a share of it.

    Yields:
        float32 (images, classes).
    """
    names, places = np.unique(folds, return_inverse=True)
    learned = np.arange(len(names))[:, None] != places
    with one_thread():
        space = Space(features)
    halves = [half for half in np.array_split(learned, 2) if len(half)]
    descents = [
        Descent(space, labels, classes, learned=half, tolerance=tolerance) for half in halves
    ]
    images = np.arange(len(labels))
    for points in _along(descents, penalties):
        logits = np.concatenate([point.logits for point in points])
        bias = np.concatenate([point.bias for point in points])
        yield logits[places, :, images] + bias[places]


def _along(descents: list[Descent], penalties: Iterable[float]) -> Iterator[list[Point]]:
    """Yield solutions, each begun from those of the two penalties before.

    Args:
        descents: a thread solves each: half of the folds on a core, whatever there is of them.
        penalties: falling.
    """
    befores: list[Point | None] = [None for _ in descents]
    points = [descent.start() for descent in descents]
    with ThreadPoolExecutor(len(descents)) as threads:
        for penalty in penalties:
            with one_thread():
                found = threads.map(
                    lambda descent, point, before, penalty=penalty: descent.solved(
                        point, penalty, before
                    ),
                    descents,
                    points,
                    befores,
                )
                befores, points = [*points], list(found)
            yield points
