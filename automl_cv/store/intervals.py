"""How sure an accuracy is, given the number of images it was measured on."""

from __future__ import annotations

import math
from statistics import NormalDist


def wilson(share: float, n_images: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the score interval of a proportion.

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference",
    Journal of the American Statistical Association 22 (1927), 209–212. It keeps its
    coverage near 0 and 1, where the normal interval does not.

    Args:
        share: share of images classified right, 0 to 1.
        n_images: number of images, from 1.
        confidence: 0 to 1.

    Returns:
        The lower and the upper end.
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    scale = 1 + z * z / n_images
    center = (share + z * z / (2 * n_images)) / scale
    spread = share * (1 - share) / n_images + z * z / (4 * n_images * n_images)
    half = z * math.sqrt(spread) / scale
    return max(0.0, center - half), min(1.0, center + half)


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
