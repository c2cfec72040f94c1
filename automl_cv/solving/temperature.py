"""What logits are divided by, or log-probabilities weighed with, for the lowest log loss.

Temperature scaling: Guo et al. 2017, "On Calibration of Modern Neural Networks",
https://arxiv.org/abs/1706.04599, section 4.2. Weighed log-probabilities: a logarithmic opinion
pool, Genest and Zidek 1986, https://doi.org/10.1214/ss/1177013825.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.optimize import minimize, minimize_scalar

from automl_cv.solving.threads import one_thread

LOWEST, HIGHEST = 0.05, 20.0
"""Between which a temperature is looked for."""

PULL = 0.03
"""How strongly weights are pulled towards equal ones. One of 0, 0.01, 0.03 and 0.1, which were
tried on 36 splits of six sets with four heads: log loss on other images better than logistic
regression's in 33 without, 35 with it, accuracy the same (docs/benchmarks.md)."""

SMALLEST_SHARE = 1e-3
"""A weight below this share of all becomes 0."""


def fitted(labels: np.ndarray, logits: np.ndarray) -> float:
    """Return what logits are divided by to give the lowest log loss, from LOWEST to HIGHEST.

    Where all images are classified right it is 1: the lower the temperature the lower the loss,
    so these images do not say how unsure to be.

    Args:
        labels: class indices, int32 (images,).
        logits: (images, classes).
    """
    if (logits.argmax(axis=1) == labels).all():
        return 1.0
    rows = np.arange(len(labels))
    # The loss is convex in 1 / temperature, so it has one lowest place.
    return _lowest_between(LOWEST, HIGHEST, logits, lambda below: float(below[rows, labels].mean()))


def fitted_to_scores(labels: np.ndarray, scores: np.ndarray) -> float:
    """Return what scores are divided by to be logits, of heads that never tried to give such.

    Ridge's lie about 0 and 1, so that 1 would say nothing of how sure they are; and where all
    images are classified right these can't say. So each image is taken for (images + 1) in
    (images + 2) of its class only, as Platt 1999 does ("Probabilistic Outputs for Support Vector
    Machines", section 2.2): the lowest loss is then at a temperature above 0.

    Args:
        labels: class indices (images,).
        scores: (images, classes).
    """
    images, classes = scores.shape
    rows = np.arange(images)
    doubt = 1 / (images + 2)
    other = doubt / max(classes - 1, 1)

    def agreed(below: np.ndarray) -> float:
        own = below[rows, labels]
        return float(((1 - doubt) * own + other * (below.sum(axis=1) - own)).mean())

    spread = max(float(scores.std(dtype=np.float64)), 1e-12)
    return _lowest_between(1e-3 * spread, 1e3 * spread, scores, agreed)


def _lowest_between(
    least: float, most: float, logits: np.ndarray, agreed: Callable[[np.ndarray], float]
) -> float:
    """Return the temperature of lowest log loss.

    Args:
        least: temperature.
        most: temperature.
        logits: (images, classes).
        agreed: returns the mean logit of the true class, of logits whose highest is 0.
    """
    # Only what the logits add up to takes all of them at each temperature.
    below = logits.astype(np.float64)
    below -= below.max(axis=1, keepdims=True)
    mean, scaled = agreed(below), np.empty_like(below)

    def log_loss(log_temperature: float) -> float:
        factor = np.exp(-log_temperature)
        np.exp(np.multiply(below, factor, out=scaled), out=scaled)
        return float(np.log(scaled.sum(axis=1)).mean() - factor * mean)

    found = minimize_scalar(log_loss, bounds=np.log([least, most]), method="bounded")
    return float(np.exp(found.x))


def combined(labels: np.ndarray, log_probabilities: Sequence[np.ndarray]) -> np.ndarray:
    """Return the weights whose sum of log-probabilities, as logits, has the lowest log loss.

    Their sum is free: it is 1 / temperature. Weights are pulled a little towards equal ones of
    sum 1: PULL times the squares of their distances is added to the mean loss. Where the mean of
    all members classifies every image right they are equal ones, for the reason that `fitted` has.

    Args:
        labels: class indices of images that no member was trained on, (images,).
        log_probabilities: of each member, finite, (images, classes).

    Returns:
        float64 (members,), none negative; all 0 if no member says more than that classes are
        alike.
    """
    stacked = np.stack([one.astype(np.float64) for one in log_probabilities])
    if (stacked.mean(axis=0).argmax(axis=1) == labels).all():
        return np.full(len(stacked), 1 / len(stacked))
    kept = np.arange(len(stacked))
    while True:
        weights = np.zeros(len(stacked))
        weights[kept] = _lowest(labels, stacked[kept])
        heavy = np.flatnonzero(weights > SMALLEST_SHARE * weights.sum())
        if len(heavy) == len(kept) or len(heavy) == 0:
            return weights
        kept = heavy


def _lowest(labels: np.ndarray, stacked: np.ndarray) -> np.ndarray:
    """Return the weights of lowest mean log loss: convex, so the start decides nothing.

    Args:
        labels: class indices (images,).
        stacked: log-probabilities (members, images, classes).
    """
    images, equal = len(labels), 1 / len(stacked)
    said = stacked[:, np.arange(images), labels].mean(axis=1)
    flat = stacked.reshape(len(stacked), -1)

    def loss_and_gradient(weights: np.ndarray) -> tuple[float, np.ndarray]:
        shares = (weights @ flat).reshape(stacked.shape[1:])
        highest = shares.max(axis=1, keepdims=True)
        shares -= highest
        np.exp(shares, out=shares)
        sums = shares.sum(axis=1, keepdims=True)
        shares /= sums
        away = weights - equal
        loss = float((highest + np.log(sums)).mean() - weights @ said) + PULL * float(away @ away)
        return loss, flat @ shares.ravel() / images - said + 2 * PULL * away

    # Products this narrow gain nothing by a second thread, which waits by spinning.
    with one_thread():
        found = minimize(
            loss_and_gradient,
            np.full(len(stacked), equal),
            jac=True,
            method="L-BFGS-B",
            bounds=[(0, None)] * len(stacked),
            options={"maxiter": 500, "ftol": 1e-13, "gtol": 1e-8},
        )
    weights: np.ndarray = found.x
    return weights
