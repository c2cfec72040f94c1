"""Multinomial logistic regression."""

from __future__ import annotations

import numpy as np


class Logistic:
    """Temporary."""

    def __init__(self, features: np.ndarray, labels: np.ndarray, classes: int) -> None:
        self._given = features, labels

    def solve(self, penalty: float) -> tuple[np.ndarray, np.ndarray]:
        """Solve."""
        from sklearn.linear_model import LogisticRegression

        model = LogisticRegression(C=1 / penalty, max_iter=1000).fit(*self._given)
        return model.coef_.T, model.intercept_
