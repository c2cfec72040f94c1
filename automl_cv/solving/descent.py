"""Multinomial logistic regressions of one set of images, solved side by side.

Nonlinear conjugate gradients (Polak and Ribiere 1969, with Powell's restart; Nocedal and Wright,
"Numerical Optimization", section 5.2). Logits along a direction are linear in the step, so a
line search takes softmaxes and no product. An iteration has one product, of all problems'
residuals and the Gram matrix of the images; or two with the features, where these are fewer.
Arrays have the images last: (problems, classes, images), so that a softmax runs along memory.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from automl_cv.solving.linear import FAR_BELOW

ITERATIONS = 1000
"""After so many a problem is left as it is; the usual number is below 20, or 100 from zero."""

FINE = 1e-8
"""How far above its minimum the objective may be, as a share of it; probabilities were within
2e-4 of scikit-learn's where both stop, usually within 5e-5."""

COARSE = 1e-6
"""The same where penalties are compared out of folds: half to two thirds of the iterations, and
probabilities within 1e-3."""

STEPS = 10
"""Trials of a line search at most; the usual number is one or two."""

FLAT = 0.1
"""A line search ends where the slope is this share of the first one."""


@dataclass(frozen=True)
class Point:
    """Weights of every problem, or a direction of them.

    Args:
        coefficients: float32 (problems, classes, features); or (problems, classes, images), by
            which the images' features are multiplied to give weights.
        logits: of all images, without the bias, float32 (problems, classes, images).
        bias: float32 (problems, classes).
    """

    coefficients: np.ndarray
    logits: np.ndarray
    bias: np.ndarray

    def plus(self, factors: np.ndarray, other: Point) -> Point:
        """Return this and another times `factors` (problems,)."""
        each = factors.astype(np.float32)[:, None, None]
        return Point(
            self.coefficients + each * other.coefficients,
            self.logits + each * other.logits,
            self.bias + each[:, :, 0] * other.bias,
        )

    def downwards(self, bias_scale: float) -> Point:
        """Return the direction against this gradient."""
        return Point(-self.coefficients, -self.logits, -np.float32(bias_scale) * self.bias)

    def all_logits(self) -> np.ndarray:
        """Return logits with the bias."""
        logits: np.ndarray = self.logits + self.bias[:, :, None]
        return logits


class Space:
    """Where weights are looked for, and what logits they give.

    With fewer images than features weights are kept as coefficients of the images: the
    solution lies in their span.

    Args:
        features: float64 (images, features).
    """

    def __init__(self, features: np.ndarray) -> None:
        self.centre = features.mean(axis=0)
        self.features = features - self.centre
        self.wide = features.shape[0] < features.shape[1]
        self._narrow = self.features.astype(np.float32)
        self._gram = self._narrow @ self._narrow.T if self.wide else self._narrow.T
        self.mean_square = float(np.square(self._narrow).mean()) or 1.0

    def gradient(self, residuals: np.ndarray, point: Point, penalty: float) -> Point:
        """Return the gradient by the weights, of the one by logits.

        Args:
            residuals: of the latter, float32 (problems, classes, images).
            point: where.
            penalty: see `logistic`.
        """
        factor = np.float32(penalty)
        pulled = residuals if self.wide else product(residuals, self._narrow)
        coefficients = pulled + factor * point.coefficients
        logits = product(residuals if self.wide else coefficients, self._gram)
        if self.wide:
            logits += factor * point.logits
        return Point(coefficients, logits, residuals.sum(axis=2))

    def inner(self, one: Point, other: Point) -> np.ndarray:
        """Return the inner products of weights, without the bias, (problems,)."""
        return dots(one.coefficients, other.logits if self.wide else other.coefficients)

    def solution(self, point: Point) -> tuple[np.ndarray, np.ndarray]:
        """Return weights (features, classes) and bias (classes,) of the first problem, float64."""
        coefficients = point.coefficients[0].astype(np.float64)
        weights = (coefficients @ self.features if self.wide else coefficients).T
        return weights, point.bias[0] - self.centre @ weights


def product(rows: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Return rows (problems, classes, -1) times a matrix: one product, the matrix read once."""
    problems, classes, size = rows.shape
    multiplied: np.ndarray = rows.reshape(-1, size) @ matrix
    return multiplied.reshape(problems, classes, -1)


def dots(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the sum of products of each problem, float64 (problems,)."""
    pairs = zip(one, other, strict=True)
    return np.array([np.vdot(left, right) for left, right in pairs], np.float64)


class Descent:
    """Problems that differ in the images they learn from.

    Args:
        space: of all images.
        labels: class indices (images,).
        classes: number of classes. One that a problem's images lack stays FAR_BELOW.
        learned: which images each problem learns from, bool (problems, images).
        tolerance: how far above its minimum an objective may be, as a share of it.
    """

    def __init__(
        self,
        space: Space,
        labels: np.ndarray,
        classes: int,
        *,
        learned: np.ndarray,
        tolerance: float = FINE,
    ) -> None:
        self.space, self._tolerance = space, tolerance
        self._learned = learned.astype(np.float32)
        one_hot = np.eye(classes, dtype=np.float32)[labels].T
        self._targets = one_hot * self._learned[:, None, :]
        self._own = labels[None, None, :]

    def start(self) -> Point:
        """Return weights of 0, and the bias that says each class's share."""
        counts = self._targets.sum(axis=2, dtype=np.float64)
        present = counts > 0
        logs = np.log(np.where(present, counts, 1.0))
        logs -= logs.sum(axis=1, keepdims=True) / present.sum(axis=1, keepdims=True)
        bias = np.where(present, logs, -FAR_BELOW).astype(np.float32)
        none = np.zeros_like(self._targets)
        size = none.shape[2] if self.space.wide else self.space.features.shape[1]
        return Point(np.zeros((*none.shape[:2], size), np.float32), none, bias)

    def solved(self, point: Point, penalty: float, before: Point | None = None) -> Point:
        """Return where the objective of each problem is lowest.

        Args:
            point: where to begin.
            penalty: see `logistic`.
            before: the solution before `point` on a path; the line through both is tried first.
        """
        space, residuals = self.space, self._residuals(point.all_logits())
        # The bias moves as a weight of a feature of usual size, that bends as much as others.
        bias_scale = space.mean_square + penalty * len(self._targets[0]) / self._own.size

        def inner(one: Point, other: Point) -> np.ndarray:
            return space.inner(one, other) + bias_scale * dots(one.bias, other.bias)

        if before is not None:
            line = point.plus(np.full(len(point.bias), -1.0), before)
            point, residuals = self._lowest(point, line, penalty, residuals)
        gradient: Point | None = None
        along: Point | None = None
        squares: np.ndarray | None = None
        for _ in range(ITERATIONS):
            last, last_squares = gradient, squares
            gradient = space.gradient(residuals, point, penalty)
            squares = inner(gradient, gradient)
            # The objective bends by at least the penalty, which bounds how much is left.
            objective = self._objective(point, residuals, penalty)
            if (squares <= 2 * penalty * self._tolerance * objective).all():
                break
            down = gradient.downwards(bias_scale)
            if last is None or along is None or last_squares is None:
                along = down
            else:
                turned = np.maximum(squares - inner(gradient, last), 0.0)
                along = down.plus(turned / np.maximum(last_squares, 1e-30), along)
            point, residuals = self._lowest(point, along, penalty, residuals)
        return point

    def _residuals(self, logits: np.ndarray) -> np.ndarray:
        """Return probabilities less targets, 0 for images not learned from; overwrites logits."""
        logits -= logits.max(axis=1, keepdims=True)
        np.exp(logits, out=logits)
        logits *= (self._learned / logits.sum(axis=1))[:, None, :]
        logits -= self._targets
        return logits

    def _objective(self, point: Point, residuals: np.ndarray, penalty: float) -> np.ndarray:
        """Return the objectives, (problems,)."""
        own = 1 + np.take_along_axis(residuals, self._own, axis=1)[:, 0]
        losses = -np.log(np.maximum(own, 1e-30)).sum(axis=1, dtype=np.float64)
        objective: np.ndarray = losses + penalty / 2 * self.space.inner(point, point)
        return objective

    def _lowest(
        self, point: Point, along: Point, penalty: float, residuals: np.ndarray
    ) -> tuple[Point, np.ndarray]:
        """Return the lowest point along a direction, and the residuals there.

        The first step is Newton's, the next are of the secant, or the middle where that leaves
        what is known to hold the minimum.
        """
        base, rise = point.all_logits(), along.all_logits()
        straight = penalty * self.space.inner(point, along)
        bent = penalty * self.space.inner(along, along)
        slope = first = dots(residuals, rise) + straight
        weighted = (residuals + self._targets) * rise
        bend = dots(weighted, rise) - np.square(weighted.sum(axis=1)).sum(axis=1) + bent
        low, low_slope = np.zeros_like(slope), slope
        high, high_slope = np.full_like(slope, np.inf), np.zeros_like(slope)
        # Near the minimum rounding may leave no bend at all: such a step would have no end.
        bends = (first < 0) & (bend > 1e-30)
        step = np.where(bends, -first / np.maximum(bend, 1e-30), 0.0)
        for _ in range(STEPS):
            each = step.astype(np.float32)[:, None, None]
            residuals = self._residuals(base + each * rise)
            slope = dots(residuals, rise) + straight + step * bent
            open_ = (np.abs(slope) > FLAT * np.abs(first)) & (first < 0)
            if not open_.any():
                break
            under = slope < 0
            low, low_slope = np.where(under, step, low), np.where(under, slope, low_slope)
            high, high_slope = np.where(under, high, step), np.where(under, high_slope, slope)
            known = np.isfinite(high)
            width = np.where(known, high, 0.0) - low
            share = -low_slope / np.maximum(high_slope - low_slope, 1e-30)
            inside = low + np.clip(share, 0.1, 0.9) * width
            step = np.where(open_, np.where(known, inside, 2 * np.maximum(low, 1e-30)), step)
        return point.plus(step, along), residuals
