"""Whether one accuracy is higher than another, given the number of images they are of."""

from __future__ import annotations

import math

from automl_cv.scoring import wilson


def difference(
    better: float, worse: float, n_images: int, confidence: float = 0.95
) -> tuple[float, float]:
    """Return Newcombe's hybrid score interval of the difference of two accuracies.

    R. G. Newcombe, "Interval estimation for the difference between independent
    proportions", Statistics in Medicine 17 (1998), 873–890, method 10.

    Args:
        better: the higher accuracy, 0 to 1.
        worse: the lower one.
        n_images: number of images that each was measured on.
        confidence: 0 to 1.

    Returns:
        The lower and the upper end of better - worse.
    """
    better_low, better_high = wilson(better, n_images, confidence)
    worse_low, worse_high = wilson(worse, n_images, confidence)
    low = better - worse - math.hypot(better - better_low, worse_high - worse)
    high = better - worse + math.hypot(better_high - better, worse - worse_low)
    return low, high


def signed_difference(left: float, right: float, n_images: int) -> tuple[float, float]:
    """Return Newcombe's 95 % interval of left - right, whichever is higher; see `difference`."""
    if left >= right:
        return difference(left, right, n_images)
    low, high = difference(right, left, n_images)
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
