"""Which of many is the best, of one set of figures or of many at once. NumPy alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Figures = NDArray[np.float64]
Rule = Callable[[Figures, Figures], NDArray[np.intp]]
"""Is given merits and log losses, (rows, candidates), and returns the best of each row, (rows,)."""


def highest(merits: Figures, losses: Figures) -> NDArray[np.intp]:
    """Choose the highest merit; of equals the lowest log loss; of equals the first."""
    best: NDArray[np.intp] = _least(losses, merits >= merits.max(axis=1, keepdims=True))
    return best


def within_one_standard_error(n_images: int) -> Rule:
    """Return the rule that chooses the lowest log loss of those near the highest share.

    Of equals the higher share, then the first.

    Args:
        n_images: how many the shares are of.
    """

    def choose(merits: Figures, losses: Figures) -> NDArray[np.intp]:
        top = merits.max(axis=1, keepdims=True)
        close = merits >= least_share(top, n_images)
        lowest = np.where(close, losses, np.inf).min(axis=1, keepdims=True)
        return _least(-merits, close & (losses <= lowest))

    return choose


def least_share(highest: Any, n_images: int) -> Any:
    """Return the share that is one standard error below a highest one, or below each of many.

    Of the estimate by Agresti and Coull 1998, which is not sure where all images are right.
    """
    share = (highest * n_images + 2) / (n_images + 4)
    return highest - np.sqrt(share * (1 - share) / (n_images + 4))


def _least(values: Figures, among: NDArray[np.bool_]) -> NDArray[np.intp]:
    best: NDArray[np.intp] = np.where(among, values, np.inf).argmin(axis=1)
    return best
