"""Means over repeated trainings and differences of them, with Student's intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, variance

from automl_cv.catalog.metrics import MetricEntry

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean over repeats and where it may lie.

    Args:
        mean: of the repeats' values.
        low: lower end of the 95 % interval; minus infinity for a single repeat.
        high: upper end.
        n_repeats: how many values it rests on; of two unlike numbers, the smaller one.
    """

    mean: float
    low: float
    high: float
    n_repeats: int

    @property
    def holds_zero(self) -> bool:
        """Whether a difference with this interval can't be told from none."""
        return self.low <= 0.0 <= self.high


def in_own_units(merits: Interval, metric: MetricEntry) -> Interval:
    """Return an interval of merits, or of their difference, as one of the metric itself."""
    if metric.direction == "maximize":
        return merits
    return Interval(-merits.mean, -merits.high, -merits.low, merits.n_repeats)


def paired_difference(
    left: Mapping[int, float],
    right: Mapping[int, float],
    *,
    folds: int | None = None,
    n_images: int | None = None,
) -> Interval | None:
    """Return the interval of left - right over the repeats that both have; None without any.

    Args:
        left: value by repeat.
        right: likewise.
        folds: number of cross-validation folds the repeats stand for; None for seeds.
        n_images: images that validate one repeat; see `interval`.
    """
    common = sorted(set(left) & set(right))
    if not common:
        return None
    differences = [left[repeat] - right[repeat] for repeat in common]
    return interval(differences, folds=folds, least_variance=2 * rounding(n_images))


def unpaired_difference(
    left: Sequence[float], right: Sequence[float], *, n_images: int | None = None
) -> Interval:
    """Return Welch's 95 % interval of the difference of two means, left - right.

    B. L. Welch, "The generalization of 'Student's' problem when several different population
    variances are involved", Biometrika 34 (1947), 28-35. For values without anything in
    common, such as two trials that were each trained with seeds of their own.

    Args:
        left: one value a repeat.
        right: likewise; their numbers may differ.
        n_images: images that validate one repeat; see `interval`.
    """
    middle = mean(left) - mean(right)
    n_repeats = min(len(left), len(right))
    if n_repeats < 2:
        return Interval(middle, -math.inf, math.inf, n_repeats)
    least = rounding(n_images)
    shares = [max(variance(values), least) / len(values) for values in (left, right)]
    total = sum(shares)
    weights = [
        share * share / (len(values) - 1)
        for share, values in zip(shares, (left, right), strict=True)
    ]
    freedom = total * total / sum(weights) if total else n_repeats - 1
    half = _quantile(freedom) * math.sqrt(total)
    return Interval(middle, middle - half, middle + half, n_repeats)


def interval(
    values: Sequence[float], *, folds: int | None = None, least_variance: float = 0.0
) -> Interval:
    """Return mean and Student's 95 % interval of a mean.

    Over seeds the values are independent, and the interval speaks of training alone: another
    validation split may decide otherwise. Over folds their training sets overlap, which makes
    the plain interval too narrow; the variance is corrected by 1/k + 1/(k - 1) in place of
    1/k (Nadeau and Bengio, "Inference for the generalization error", Machine Learning 52,
    2003, 239-281), and the interval speaks of images as well.

    Args:
        values: one a repeat.
        folds: number k of cross-validation folds; None where each value is another seed.
        least_variance: what the variance is at least. An accuracy is a whole number of images,
            so that a few repeats may well agree by chance; no spread at all would then make
            any difference certain.
    """
    n_values = len(values)
    middle = mean(values)
    if n_values < 2:
        return Interval(middle, -math.inf, math.inf, n_values)
    share = 1 / n_values if folds is None else 1 / folds + 1 / (folds - 1)
    spread = max(variance(values), least_variance)
    half = _quantile(n_values - 1) * math.sqrt(share * spread)
    return Interval(middle, middle - half, middle + half, n_values)


def _quantile(freedom: float) -> float:
    from scipy.special import stdtrit  # t quantiles without scipy.stats, which loads slowly

    return float(stdtrit(freedom, (1 + CONFIDENCE) / 2))


def rounding(n_images: int | None) -> float:
    """Return the variance that rounding to a whole number of images makes: 1/12 of a step."""
    return 1 / (12 * n_images * n_images) if n_images else 0.0
