"""Whether one accuracy is higher than another, given the number of images they are of."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from automl_cv.scoring import wilson


def difference(
    better: float,
    worse: float,
    n_images: int,
    confidence: float = 0.95,
    *,
    n_worse: int | None = None,
) -> tuple[float, float]:
    """Return Newcombe's hybrid score interval of the difference of two accuracies.

    R. G. Newcombe, "Interval estimation for the difference between independent
    proportions", Statistics in Medicine 17 (1998), 873–890, method 10.

    Args:
        better: the higher accuracy, 0 to 1.
        worse: the lower one.
        n_images: number of images that each was measured on.
        confidence: 0 to 1.
        n_worse: of the lower one, where that is another number.

    Returns:
        The lower and the upper end of better - worse.
    """
    better_low, better_high = wilson(better, n_images, confidence)
    worse_low, worse_high = wilson(worse, n_worse or n_images, confidence)
    low = better - worse - math.hypot(better - better_low, worse_high - worse)
    high = better - worse + math.hypot(better_high - better, worse - worse_low)
    return low, high


def paired_images(both: int, left: int, right: int, neither: int) -> tuple[float, float]:
    """Return Newcombe's 95 % interval of the difference of two accuracies on the same images.

    R. G. Newcombe, "Improved confidence intervals for the difference between binomial
    proportions based on paired data", Statistics in Medicine 17 (1998), 2635–2650, method 10:
    the hybrid score interval with the correlation of the two, corrected for continuity where it
    is positive.

    Args:
        both: images that both classified right.
        left: that the left one alone did.
        right: that the right one alone did.
        neither: that none did.

    Returns:
        The lower and the upper end of left - right.
    """
    n_images = both + left + right + neither
    shares = (both + left) / n_images, (both + right) / n_images
    (left_low, left_high), (right_low, right_high) = (wilson(one, n_images) for one in shares)
    product = (both + left) * (right + neither) * (both + right) * (left + neither)
    agreement = float(both * neither - left * right)
    if agreement > 0:
        agreement = max(agreement - n_images / 2, 0)
    correlation = agreement / math.sqrt(product) if product else 0.0

    def margin(one: float, other: float) -> float:
        return math.sqrt(max(one**2 - 2 * correlation * one * other + other**2, 0.0))

    found = shares[0] - shares[1]
    return (
        found - margin(shares[0] - left_low, right_high - shares[1]),
        found + margin(left_high - shares[0], shares[1] - right_low),
    )


def paired_right(left: NDArray[np.bool_], right: NDArray[np.bool_]) -> tuple[float, float]:
    """Return the interval of `paired_images` for two classifiers of the same images.

    Args:
        left: which images the left one classified right, shape (images,) or more axes.
        right: likewise.
    """
    counts = (left & right, left & ~right, ~left & right, ~left & ~right)
    return paired_images(*(int(count.sum()) for count in counts))


def signed_difference(
    left: float, right: float, n_images: int, n_right: int | None = None
) -> tuple[float, float]:
    """Return Newcombe's 95 % interval of left - right, whichever is higher; see `difference`.

    Args:
        left: an accuracy, 0 to 1.
        right: likewise.
        n_images: number of images that `left` was measured on.
        n_right: that `right` was; None for as many.
    """
    n_right = n_images if n_right is None else n_right
    if left >= right:
        return difference(left, right, n_images, n_worse=n_right)
    low, high = difference(right, left, n_right, n_worse=n_images)
    return -high, -low


def differs(better: float, worse: float, n_images: int, confidence: float = 0.95) -> bool:
    """Tell whether one accuracy is higher than another by more than chance explains.

    The interval of their difference must lie above 0. To ask whether the two intervals
    overlap would not do: they overlap for differences that are real at this confidence.
    Both classifiers saw the same images, so their errors go together and the interval, made
    for independent ones, is if anything too wide: what counts as different here is. It does
    not correct for the number of trials compared.

    Args:
        better: the higher accuracy, 0 to 1.
        worse: the lower one.
        n_images: number of images that both were measured on.
        confidence: 0 to 1.
    """
    return difference(better, worse, n_images, confidence)[0] > 0
