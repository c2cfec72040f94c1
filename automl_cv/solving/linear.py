"""A solved head as it is kept and asked: one matrix and one bias, on features as they come."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from automl_cv.solving.scaling import Form, Scaling, formed

FAR_BELOW = 1000.0
"""How far the logit of a class that training lacked lies below the mean of the others."""


@dataclass(frozen=True)
class Linear:
    """Logits that are linear in the features.

    Args:
        on: the form of the features that it takes, see `scaling.formed`.
        weights: float64 (features, classes).
        bias: float64 (classes,).
    """

    on: Form
    weights: np.ndarray
    bias: np.ndarray

    def logits(self, features: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
        """Return logits of features as a backbone gives them, float64 (images, classes).

        Args:
            features: (images, features); may be memory-mapped.
            rows: of those that are wanted; None for all.
        """
        logits: np.ndarray = self.inputs(features, rows) @ self.weights + self.bias
        return logits

    def inputs(self, features: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
        """Return what logits are linear in: features in their form, float64."""
        return formed(self.on, features, rows)

    def times(self, factor: float) -> Linear:
        """Return the head whose logits are these times a factor."""
        return Linear(self.on, factor * self.weights, factor * self.bias)


def folded(scaling: Scaling, weights: np.ndarray, bias: np.ndarray) -> Linear:
    """Return a head on features as they come, of one on scaled features.

    Args:
        scaling: of the features that the weights are for.
        weights: (features, classes).
        bias: (classes,).
    """
    unscaled = weights / scaling.scale[:, None]
    return Linear(scaling.form, unscaled, bias - scaling.mean @ unscaled)


def summed(heads: Iterable[Linear]) -> tuple[Linear, ...]:
    """Return heads whose logits add up to the sum of all: one for each `on`, in their order."""
    sums: dict[str, Linear] = {}
    for head in heads:
        one = sums.get(head.on)
        sums[head.on] = (
            Linear(head.on, one.weights + head.weights, one.bias + head.bias) if one else head
        )
    return tuple(sums.values())


def with_absent(
    weights: np.ndarray, bias: np.ndarray, present: np.ndarray, classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return weights and bias of all classes, of those that training had.

    The logit of a class that it lacked is the mean of the others less FAR_BELOW, whatever the
    image: never the highest, and finite, so that logits can be averaged.

    Args:
        weights: (features, classes that training had).
        bias: of these.
        present: their indices, rising.
        classes: number of all classes.
    """
    if len(present) == classes:
        return weights, bias
    all_weights = np.repeat(weights.mean(axis=1, keepdims=True), classes, axis=1)
    all_bias = np.full(classes, bias.mean() - FAR_BELOW)
    all_weights[:, present] = weights
    all_bias[present] = bias
    return all_weights, all_bias
