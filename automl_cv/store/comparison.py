"""Trials that were retrained several times: their means, and whether first and second differ.

A retrained trial carries two parameters besides its own: `source`, the trial that it repeats
("narrowed/4"), and `repeat`, which seed or which fold it had.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, variance
from typing import Any

from automl_cv.store.records import TrialRecord

SOURCE = "source"
REPEAT = "repeat"
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean over repeats and where it may lie.

    Args:
        mean: of the repeats' values.
        low: lower end of the 95 % interval; minus infinity for a single repeat.
        high: upper end.
        n_repeats: how many values it rests on.
    """

    mean: float
    low: float
    high: float
    n_repeats: int

    @property
    def holds_zero(self) -> bool:
        """Whether a difference with this interval can't be told from none."""
        return self.low <= 0.0 <= self.high


@dataclass(frozen=True)
class Finalist:
    """One source trial over all its repeats.

    Args:
        source: stage and number of the trial that was retrained.
        parameters: its parameters, `source` and `repeat` left out.
        accuracy: validation accuracy over the repeats.
        values: validation accuracy by repeat.
        val_loss: mean validation loss at the best epochs.
        behind_first: how far it lies behind the first one, paired by repeat; None for the
            first itself and where no repeat is common to both.
    """

    source: str
    parameters: Mapping[str, Any]
    accuracy: Interval
    values: Mapping[int, float]
    val_loss: float
    behind_first: Interval | None


def finalists(records: Sequence[TrialRecord], *, folds: int | None) -> list[Finalist]:
    """Return the retrained trials by mean validation accuracy, then by mean validation loss.

    Args:
        records: trials of one stage that retrains.
        folds: number of cross-validation folds the repeats stand for; None for seeds.
    """
    groups: dict[str, dict[int, TrialRecord]] = {}
    for record in records:
        if record.is_ranked:
            of_source = groups.setdefault(str(record.parameters[SOURCE]), {})
            of_source[int(record.parameters[REPEAT])] = record
    values = {source: _values(group) for source, group in groups.items()}
    losses = {source: _mean_loss(group) for source, group in groups.items()}
    order = sorted(groups, key=lambda source: (-mean(values[source].values()), losses[source]))
    ranked = []
    for source in order:
        own = next(iter(groups[source].values())).parameters
        first = values[order[0]]
        ranked.append(
            Finalist(
                source=source,
                parameters={k: v for k, v in own.items() if k not in (SOURCE, REPEAT)},
                accuracy=interval(list(values[source].values()), folds=folds),
                values=values[source],
                val_loss=losses[source],
                behind_first=None
                if source == order[0]
                else paired_difference(first, values[source], folds=folds),
            )
        )
    return ranked


def paired_difference(
    left: Mapping[int, float], right: Mapping[int, float], *, folds: int | None = None
) -> Interval | None:
    """Return the interval of left - right over the repeats that both have; None without any.

    Args:
        left: value by repeat.
        right: likewise.
        folds: number of cross-validation folds the repeats stand for; None for seeds.
    """
    common = sorted(set(left) & set(right))
    if not common:
        return None
    return interval([left[repeat] - right[repeat] for repeat in common], folds=folds)


def interval(values: Sequence[float], *, folds: int | None = None) -> Interval:
    """Return mean and Student's 95 % interval of a mean.

    Over seeds the values are independent, and the interval speaks of training alone: another
    validation split may decide otherwise. Over folds their training sets overlap, which makes
    the plain interval too narrow; the variance is corrected by 1/k + 1/(k - 1) in place of
    1/k (Nadeau and Bengio, "Inference for the generalization error", Machine Learning 52,
    2003, 239-281), and the interval speaks of images as well.

    Args:
        values: one a repeat.
        folds: number k of cross-validation folds; None where each value is another seed.
    """
    from scipy.special import stdtrit  # t quantiles without scipy.stats, which loads slowly

    n_values = len(values)
    middle = mean(values)
    if n_values < 2:
        return Interval(middle, -math.inf, math.inf, n_values)
    share = 1 / n_values if folds is None else 1 / folds + 1 / (folds - 1)
    half = float(stdtrit(n_values - 1, (1 + CONFIDENCE) / 2)) * math.sqrt(share * variance(values))
    return Interval(middle, middle - half, middle + half, n_values)


def _values(group: Mapping[int, TrialRecord]) -> dict[int, float]:
    return {repeat: record.value for repeat, record in group.items() if record.value is not None}


def _mean_loss(group: Mapping[int, TrialRecord]) -> float:
    losses = [record.history.best.val_loss for record in group.values() if record.history.best]
    return mean(losses)
