"""Trials that were trained again: their means, and which of two can be told apart.

A retrained trial carries two parameters besides its own: `source`, the trial that it repeats
("narrowed/4"), and `repeat`, which seed or which fold it had.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from statistics import mean
from typing import Any, Literal

from automl_cv.results.intervals import paired_right, signed_difference
from automl_cv.results.repeats import (
    Interval,
    interval,
    paired_difference,
    rounding,
    unpaired_difference,
)
from automl_cv.results.said import Key, Right, key
from automl_cv.store.facts import StudyFacts
from automl_cv.store.records import TrialRecord

SOURCE = "source"
REPEAT = "repeat"

Kind = Literal["stages", "winners", "sources", "places"]
Method = Literal["paired t", "paired t, Nadeau-Bengio", "Welch"]
Verdict = Literal[
    "better", "worse", "can't be told apart", "not judged over seeds", "not judged over folds"
]


@dataclass(frozen=True)
class Finalist:
    """One source trial over all its repeats.

    Args:
        source: stage and number of the trial that was retrained.
        parameters: its parameters, `source` and `repeat` left out.
        values: merit of the best epoch, by repeat: validation accuracy, or the study's metric
            turned so that higher is better.
        accuracies: validation accuracy there, by repeat.
        losses: validation loss there, by repeat.
        merit: over the repeats.
        right: which images it classified right, by repeat, where that was kept.
        behind_first: how far it lies behind the first one; None for the first itself and
            where they have no fold in common.
    """

    source: str
    parameters: Mapping[str, Any]
    values: Mapping[int, float]
    accuracies: Mapping[int, float]
    losses: Mapping[int, float]
    merit: Interval
    right: Mapping[int, Right]
    behind_first: Interval | None = None

    @property
    def stage(self) -> str:
        """Name of the stage that searched the trial."""
        return self.source.rpartition("/")[0]

    @property
    def val_loss(self) -> float:
        """Mean validation loss at the best epochs."""
        return mean(self.losses.values())


@dataclass(frozen=True)
class Retrained:
    """What came of one stage that trains trials again.

    Args:
        stage: its name.
        head: what learned from the features; empty where it is not known.
        folds: number of cross-validation folds the repeats stand for; None for seeds.
        n_images: images that validate one repeat; None where it is not known, and where the
            metric is not accuracy, which alone is a whole number of images.
        finalists: its trials, best first.
    """

    stage: str
    head: str
    folds: int | None
    n_images: int | None
    finalists: tuple[Finalist, ...]


@dataclass(frozen=True)
class Side:
    """One of two that are compared.

    Args:
        stage: the stage that trained the trial again.
        source: the trial.
        head: what learned from the features.
        merit: mean over the repeats that count, at the best epochs.
        val_accuracy: likewise.
        val_loss: likewise.
        n_repeats: how many repeats that are.
    """

    stage: str
    source: str
    head: str
    merit: float
    val_accuracy: float
    val_loss: float
    n_repeats: int


@dataclass(frozen=True)
class Pair:
    """Two retrained trials beside one another.

    Args:
        kind: "stages": the same trial in two stages; "winners": the firsts of two stages that
            have no trial in common; "sources": within one stage, the best trial from one
            searched stage and the best from another; "places": its first and its second.
        left: the one that may be better.
        right: the one it is compared with.
        difference: left's merit less right's.
        over: what the repeats are.
        method: how the interval was made.
        over_images: ends of the 95 % interval of the difference over images, where one repeat
            has none over repeats, and both sides are shares of the same images; else None. It is
            paired where both kept what they said of each image.
    """

    kind: Kind
    left: Side
    right: Side
    difference: Interval
    over: Literal["seeds", "folds"]
    method: Method
    over_images: tuple[float, float] | None = None

    @property
    def verdict(self) -> Verdict:
        """Whether left is better than right, worse, or neither at 95 % confidence.

        One repeat says nothing of how far another would lie from it, however far apart two
        trainings are on these images.
        """
        if self.difference.n_repeats < 2:
            return "not judged over folds" if self.over == "folds" else "not judged over seeds"
        if self.difference.holds_zero:
            return "can't be told apart"
        return "better" if self.difference.mean > 0 else "worse"


@dataclass(frozen=True)
class Comparison:
    """All that the retrained trials of a run say.

    Args:
        stages: those that train trials again, in order.
        pairs: what can be compared: between stages, later against earlier, then within them.
    """

    stages: tuple[Retrained, ...]
    pairs: tuple[Pair, ...]


def compare(
    repeated: Sequence[TrialRecord],
    facts: StudyFacts,
    right: Mapping[Key, Right] | None = None,
) -> Comparison:
    """Compare retrained trials between stages and within them.

    Between two stages that both trained a trial again it is the same trial, with the same
    seeds or folds: the interval is paired. Two stages without a common trial are compared by
    their winners. Different trials have no seed in common: over seeds their interval is
    Welch's, over the same folds it is paired. Stages with other folds, or one over seeds and
    one over folds, have other validation images and are not compared.

    Args:
        repeated: retrained trials of one run, in the order of their stages.
        facts: of that run; they say which stages have folds, and which head.
        right: which images each trial classified right, of those that kept it.
    """
    declared = {str(stage["name"]): stage for stage in facts.study.get("stage", ())}
    names = dict.fromkeys(record.stage for record in repeated)
    stages = tuple(
        _retrained(
            name,
            [record for record in repeated if record.stage == name],
            declared.get(name, {}),
            facts,
            right or {},
        )
        for name in names
    )
    between = [
        pair for earlier, later in combinations(stages, 2) for pair in _between(later, earlier)
    ]
    within = [pair for stage in stages for pair in _within(stage, list(declared))]
    return Comparison(stages, (*between, *within))


def finalists(
    records: Sequence[TrialRecord],
    *,
    folds: int | None,
    n_images: int | None = None,
    right: Mapping[Key, Right] | None = None,
) -> list[Finalist]:
    """Return the retrained trials by mean merit, then by mean validation loss.

    Args:
        records: trials of one stage that retrains.
        folds: number of cross-validation folds the repeats stand for; None for seeds.
        n_images: images that validate one repeat; None where it is not known.
        right: see `compare`.
    """
    groups: dict[str, dict[int, TrialRecord]] = {}
    for record in records:
        if record.is_ranked:
            of_source = groups.setdefault(str(record.parameters[SOURCE]), {})
            of_source[int(record.parameters[REPEAT])] = record
    found = [
        _finalist(source, group, folds, n_images, right or {}) for source, group in groups.items()
    ]
    found.sort(key=lambda one: (-one.merit.mean, one.val_loss))
    return [
        replace(one, behind_first=_apart(found[0], one, folds, n_images)) if place else one
        for place, one in enumerate(found)
    ]


def _retrained(
    name: str,
    records: Sequence[TrialRecord],
    declared: Mapping[str, Any],
    facts: StudyFacts,
    right: Mapping[Key, Right],
) -> Retrained:
    folds = (declared.get("retrain") or {}).get("folds")
    n_images = facts.n_validation if facts.metric.is_share_of_images else None
    if folds and n_images:
        n_images = (n_images + facts.split_sizes.get("train", 0)) // folds
    return Retrained(
        stage=name,
        head=str((declared.get("head") or {}).get("name", "")),
        folds=folds,
        n_images=n_images,
        finalists=tuple(finalists(records, folds=folds, n_images=n_images, right=right)),
    )


def _finalist(
    source: str,
    group: Mapping[int, TrialRecord],
    folds: int | None,
    n_images: int | None,
    right: Mapping[Key, Right],
) -> Finalist:
    best = {repeat: record.best for repeat, record in group.items()}
    values = {repeat: epoch.merit for repeat, epoch in best.items() if epoch}
    own = next(iter(group.values())).parameters
    return Finalist(
        source=source,
        parameters={k: v for k, v in own.items() if k not in (SOURCE, REPEAT)},
        values=values,
        accuracies={repeat: epoch.val_accuracy for repeat, epoch in best.items() if epoch},
        losses={repeat: epoch.val_loss for repeat, epoch in best.items() if epoch},
        merit=interval(list(values.values()), folds=folds, least_variance=rounding(n_images)),
        right={repeat: right[key(one)] for repeat, one in group.items() if key(one) in right},
    )


def _apart(
    left: Finalist, right: Finalist, folds: int | None, n_images: int | None
) -> Interval | None:
    """Return the interval of the difference of two different trials."""
    if folds is None:
        values = [list(one.values.values()) for one in (left, right)]
        return unpaired_difference(*values, n_images=n_images)
    return paired_difference(left.values, right.values, folds=folds, n_images=n_images)


def _between(later: Retrained, earlier: Retrained) -> Iterator[Pair]:
    """Compare two stages: trial by trial, or by their winners where they have none in common."""
    if later.folds != earlier.folds:
        return
    before = {one.source: one for one in earlier.finalists}
    common = [(one, before[one.source]) for one in later.finalists if one.source in before]
    if common:
        found = [_pair("stages", later, left, earlier, right) for left, right in common]
    else:
        winners = later.finalists[0], earlier.finalists[0]
        found = [_pair("winners", later, winners[0], earlier, winners[1])]
    yield from (pair for pair in found if pair)


def _within(stage: Retrained, order: Sequence[str]) -> Iterator[Pair]:
    """Compare the best trials of each searched stage, the later first; and first and second."""
    best: dict[str, Finalist] = {}
    for one in stage.finalists:
        best.setdefault(one.stage, one)
    names = sorted(best, key=lambda name: order.index(name) if name in order else -1)
    chosen: list[tuple[Kind, Finalist, Finalist]] = [
        ("sources", best[later], best[earlier]) for earlier, later in combinations(names, 2)
    ]
    if len(stage.finalists) > 1:
        chosen.append(("places", stage.finalists[0], stage.finalists[1]))
    for kind, left, right in chosen:
        pair = _pair(kind, stage, left, stage, right)
        if pair:
            yield pair


def _pair(
    kind: Kind, left_stage: Retrained, left: Finalist, right_stage: Retrained, right: Finalist
) -> Pair | None:
    """Return two trials of stages with the same folds as a pair; None without common repeats."""
    folds, n_images = left_stage.folds, left_stage.n_images
    if left.source == right.source:
        difference = paired_difference(left.values, right.values, folds=folds, n_images=n_images)
    else:
        difference = _apart(left, right, folds, n_images)
    if difference is None:
        return None
    is_paired = folds is not None or left.source == right.source
    repeats = set(left.values) & set(right.values) if is_paired else None
    method: Method = "paired t, Nadeau-Bengio" if folds else "paired t" if is_paired else "Welch"
    sides = _side(left_stage, left, repeats), _side(right_stage, right, repeats)
    over_images = None
    if difference.n_repeats < 2 and n_images:
        over_images = _over_images(left, right)
        if over_images is None:
            over_images = signed_difference(sides[0].merit, sides[1].merit, n_images)
    return Pair(
        kind=kind,
        left=sides[0],
        right=sides[1],
        difference=difference,
        over="folds" if folds else "seeds",
        method=method,
        over_images=over_images,
    )


def _over_images(left: Finalist, right: Finalist) -> tuple[float, float] | None:
    """Return the paired interval of two trials of one repeat; None where it was not kept."""
    if len(left.right) != 1 or left.right.keys() != right.right.keys():
        return None
    ((_, one),), ((_, other),) = left.right.items(), right.right.items()
    return paired_right(one, other)


def _side(stage: Retrained, one: Finalist, repeats: set[int] | None) -> Side:
    counted = set(one.values) if repeats is None else repeats
    return Side(
        stage=stage.stage,
        source=one.source,
        head=stage.head,
        merit=mean(one.values[repeat] for repeat in counted),
        val_accuracy=mean(one.accuracies[repeat] for repeat in counted),
        val_loss=mean(one.losses[repeat] for repeat in counted),
        n_repeats=len(counted),
    )
