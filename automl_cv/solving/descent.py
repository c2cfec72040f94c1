"""A multinomial logistic regression, solved from where another one of the same images ended.

Nonlinear conjugate gradients (Polak and Ribiere 1969, with Powell's restart; Nocedal and Wright,
"Numerical Optimization", section 5.2). Logits along a direction are linear in the step, so a
line search takes softmaxes and no product. Gradients are preconditioned: along the directions that
the features vary in most, by the bend that their variance and the usual p (1 - p) of the images
give; along all others by one bend. Products are float32, all else is float64: in float32 the
slopes near the lowest point were rounding alone, and a small penalty took 1,000 iterations.
Arrays have the images last: (classes, images), so that a softmax runs along memory.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from automl_cv.solving.linear import FAR_BELOW

ITERATIONS = 1000
"""After so many a problem is left as it is; the usual number is below 30, or 180 from zero."""

FINE = 3e-9
"""How far above its minimum the objective may be, as a share of it and as far as the gradient and
the bends that it is preconditioned by tell; probabilities were within 1e-4 of scikit-learn's."""

COARSE = 2e-7
"""The same where penalties are compared: two thirds of the iterations, probabilities within
1e-3."""

STEPS = 10
"""Trials of a line search at most; the usual number is one or two."""

FLAT = 0.1
"""A line search ends where the slope is this share of the first one."""

DIRECTIONS = 64
"""Directions that have a bend of their own. Of 360 features (`compact`, digits) 64, 128 and all of
them took about as many iterations."""

MUCH = 2.0
"""The gradient is preconditioned anew where the mean bend is by such a factor another one."""

ROUNDS = 2
"""How often they are multiplied by the Gram matrix to be found: they need not be exact."""


@dataclass(frozen=True)
class Point:
    """Weights, or a direction of them.

    Args:
        coefficients: float64 (classes, features); or (classes, images), by which the images'
            features are multiplied to give weights.
        logits: of all images, without the bias, float64 (classes, images).
        bias: float64 (classes,).
    """

    coefficients: np.ndarray
    logits: np.ndarray
    bias: np.ndarray

    def plus(self, factor: float, other: Point) -> Point:
        """Return this and another times a factor."""
        return Point(
            self.coefficients + factor * other.coefficients,
            self.logits + factor * other.logits,
            self.bias + factor * other.bias,
        )

    def all_logits(self) -> np.ndarray:
        """Return logits with the bias."""
        logits: np.ndarray = self.logits + self.bias[:, None]
        return logits


@dataclass(frozen=True)
class Slope:
    """The gradient by coefficients and bias; see `Point` for their shapes."""

    coefficients: np.ndarray
    bias: np.ndarray


class Space:
    """Where weights are looked for, and what logits they give.

    With fewer images than features weights are kept as coefficients of the images: the
    solution lies in their span.

    Args:
        features: float64 (images, features).
    """

    def __init__(self, features: np.ndarray) -> None:
        self.centre = features.mean(axis=0)
        self.images = len(features)
        self.wide = features.shape[0] < features.shape[1]
        self._features = (features - self.centre).astype(np.float32)
        # A product reads it as it lies: one with the transposed took half as long again.
        turned = np.ascontiguousarray(self._features.T)
        self._gram = self._features @ turned if self.wide else turned
        self._directions, self._squares = self._widest()

    def _widest(self) -> tuple[np.ndarray, np.ndarray]:
        """Return directions of coefficients, and how much logits vary along each, falling.

        Subspace iteration: Halko, Martinsson and Tropp 2011, arXiv:0909.4061, algorithm 4.4.
        """
        size = len(self._gram)
        draw = np.random.default_rng(0)
        found = draw.normal(size=(size, min(DIRECTIONS, size))).astype(np.float32)
        for _ in range(ROUNDS):
            found, _ = np.linalg.qr(self._times_gram(found))
        inner = (found.T @ self._times_gram(found)).astype(np.float64)
        values, vectors = np.linalg.eigh((inner + inner.T) / 2)
        directions = found @ vectors[:, ::-1].astype(np.float32)
        return directions, np.maximum(values[::-1], 0.0)

    def _times_gram(self, columns: np.ndarray) -> np.ndarray:
        """Return the products of images, or of features where these are fewer, times columns."""
        product: np.ndarray = self._gram @ (columns if self.wide else self._features @ columns)
        return product

    def gradient(self, residuals: np.ndarray, point: Point, penalty: float) -> Slope:
        """Return the gradient by the weights, of the one by logits.

        Args:
            residuals: of the latter, float64 (classes, images).
            point: where.
            penalty: see `logistic`.
        """
        pulled = residuals
        if not self.wide:
            pulled = residuals.astype(np.float32) @ self._features
        return Slope(pulled + penalty * point.coefficients, residuals.sum(axis=1))

    def downwards(self, gradient: Slope, bend: float, penalty: float) -> Point:
        """Return the direction against a gradient, preconditioned.

        Args:
            gradient: where the direction begins.
            bend: by logits, the mean of all images and classes.
            penalty: see `logistic`.
        """
        # Along all other directions features vary less than along the last of these.
        least = bend * self._squares[-1] / 2 + penalty
        more = (1 / (bend * self._squares + penalty) - 1 / least).astype(np.float32)
        narrow = gradient.coefficients.astype(np.float32)
        along = ((narrow @ self._directions) * more) @ self._directions.T
        coefficients = -(along + gradient.coefficients / least)
        logits = (coefficients.astype(np.float32) @ self._gram).astype(np.float64)
        return Point(coefficients, logits, -gradient.bias / max(bend * self.images, 1e-12))

    def descent(self, gradient: Slope, along: Point) -> float:
        """Return how fast the objective falls along a direction, from where the gradient is."""
        by = along.logits if self.wide else along.coefficients
        return -float(np.vdot(gradient.coefficients, by) + gradient.bias @ along.bias)

    def inner(self, one: Point, other: Point) -> float:
        """Return the inner product of weights, without the bias."""
        by = other.logits if self.wide else other.coefficients
        return float(np.vdot(one.coefficients, by))

    def solution(self, point: Point) -> tuple[np.ndarray, np.ndarray]:
        """Return weights (features, classes) and bias (classes,), float64."""
        weights = point.coefficients.T
        if self.wide:
            weights = (point.coefficients @ self._features).T
        return weights, point.bias - self.centre @ weights


class Descent:
    """A problem without its penalty.

    Args:
        space: of the images.
        labels: class indices (images,).
        classes: number of classes. One that the images lack stays FAR_BELOW.
        tolerance: how far above its minimum an objective may be, as a share of it.
    """

    def __init__(
        self, space: Space, labels: np.ndarray, classes: int, *, tolerance: float = FINE
    ) -> None:
        self.space, self._tolerance = space, tolerance
        self._targets = np.ascontiguousarray(np.eye(classes)[labels].T)
        self._own = labels, np.arange(len(labels))

    def start(self) -> Point:
        """Return weights of 0, and the bias that says each class's share."""
        counts = self._targets.sum(axis=1)
        present = counts > 0
        logs = np.log(np.where(present, counts, 1.0))
        logs -= logs.sum() / present.sum()
        none = np.zeros_like(self._targets)
        size = self.space.images if self.space.wide else len(self.space.centre)
        coefficients = np.zeros((len(none), size))
        return Point(coefficients, none, np.where(present, logs, -FAR_BELOW))

    def solved(self, point: Point, penalty: float, before: Point | None = None) -> Point:
        """Return where the objective is lowest.

        Args:
            point: where to begin.
            penalty: see `logistic`.
            before: the solution before `point` on a path; the line through both is tried first.
        """
        space, residuals = self.space, self._residuals(point.all_logits())
        if before is not None:
            line = point.plus(-1.0, before)
            step, residuals = self._lowest(point, line, penalty, residuals)
            point = point.plus(step, line)
        bend = self._bend(residuals)
        last: Slope | None = None
        along: Point | None = None
        fall = 1.0
        for _ in range(ITERATIONS):
            now = self._bend(residuals)
            if not bend / MUCH < now < bend * MUCH:
                bend = now
            gradient = space.gradient(residuals, point, penalty)
            down = space.downwards(gradient, bend, penalty)
            last_fall, fall = fall, space.descent(gradient, down)
            # Newton's step would lower the objective by half of that, were the bends exact.
            if fall <= 2 * self._tolerance * self._objective(point, residuals, penalty):
                break
            steepest = down
            if last is not None and along is not None:
                turned = max(fall - space.descent(last, down), 0.0)
                down = down.plus(turned / last_fall, along)
                if space.descent(gradient, down) <= 0:
                    down = steepest
            last, along = gradient, down
            step, residuals = self._lowest(point, along, penalty, residuals)
            if step == 0:
                break  # what is left is rounding
            point = point.plus(step, along)
        return point

    def _residuals(self, logits: np.ndarray) -> np.ndarray:
        """Return probabilities less targets; overwrites logits."""
        logits -= logits.max(axis=0)
        np.exp(logits, out=logits)
        logits /= logits.sum(axis=0)
        logits -= self._targets
        return logits

    def _bend(self, residuals: np.ndarray) -> float:
        """Return the mean p (1 - p) of images and classes."""
        shares = residuals + self._targets
        return float((shares.shape[1] - np.vdot(shares, shares)) / shares.size)

    def _objective(self, point: Point, residuals: np.ndarray, penalty: float) -> float:
        own = np.maximum(1 + residuals[self._own], np.finfo(np.float64).tiny)
        return -float(np.log(own).sum()) + penalty / 2 * self.space.inner(point, point)

    def _lowest(
        self, point: Point, along: Point, penalty: float, residuals: np.ndarray
    ) -> tuple[float, np.ndarray]:
        """Return the step to the lowest point along a direction, and the residuals there.

        The first step is Newton's, the next are of the secant, or the middle where that leaves
        what is known to hold the minimum. Where the direction does not fall the step is 0.
        """
        base, rise = point.all_logits(), along.all_logits()
        straight = penalty * self.space.inner(point, along)
        bent = penalty * self.space.inner(along, along)
        slope = first = float(np.vdot(residuals, rise)) + straight
        weighted = (residuals + self._targets) * rise
        means = weighted.sum(axis=0)
        bend = float(np.vdot(weighted, rise)) - float(means @ means) + bent
        # Near the minimum rounding may leave no bend at all: such a step would have no end.
        if first >= 0 or bend <= 1e-30:
            return 0.0, residuals
        step, low, low_slope, high, high_slope = -first / bend, 0.0, slope, np.inf, 0.0
        for trial in range(STEPS):
            residuals = self._residuals(base + step * rise)
            slope = float(np.vdot(residuals, rise)) + straight + step * bent
            if abs(slope) <= FLAT * abs(first) or trial == STEPS - 1:
                break
            if slope < 0:
                low, low_slope = step, slope
            else:
                high, high_slope = step, slope
            if np.isfinite(high):
                share = -low_slope / max(high_slope - low_slope, 1e-30)
                step = low + min(max(share, 0.1), 0.9) * (high - low)
            else:
                step = 2 * low
        return step, residuals
