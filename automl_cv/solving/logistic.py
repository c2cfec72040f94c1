"""Multinomial logistic regression: for one penalty, and along many.

The sum of cross-entropies + penalty / 2 * |weights|^2 is minimised, the bias is free: a penalty
is 1 / C of scikit-learn's `LogisticRegression` (2 / C of two classes, which have one column
there and two of opposite sign here). The objective comes within `descent.FINE` of its minimum. A
class that training lacked stays `linear.FAR_BELOW`. What it costs beside scikit-learn's solver:
`tests/benchmarks/solving_speed.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from automl_cv.solving.descent import COARSE, FINE, Descent, Space
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
        self._problem = self._space, labels, classes

    def solve(self, penalty: float) -> tuple[np.ndarray, np.ndarray]:
        """Return weights (features, classes) and bias (classes,), float64.

        They do not depend on what was solved before.

        Args:
            penalty: above 0.
        """
        descent = Descent(*self._problem, tolerance=FINE)
        with one_thread():
            return self._space.solution(descent.solved(descent.start(), penalty))

    def path(
        self, penalties: Iterable[float], *, tolerance: float = COARSE
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield nearly the same for each penalty, each begun where the ones before it ended.

        Args:
            penalties: falling, which is the fastest way.
            tolerance: how far above its minimum an objective may be, as a share of it.
        """
        descent = Descent(*self._problem, tolerance=tolerance)
        point, before = descent.start(), None
        for penalty in penalties:
            with one_thread():
                before, point = point, descent.solved(point, penalty, before)
            yield self._space.solution(point)
