"""Two runs beside one another: how far their firsts are apart, and what of them differs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from automl_cv.results.intervals import paired_right, signed_difference
from automl_cv.results.leaderboard import RunTrials
from automl_cv.results.rows import Row
from automl_cv.results.said import Right, key, right_of
from automl_cv.store.labels import read_labels
from automl_cv.study import essence
from automl_cv.words import counted

MOST_LINES = 12  # of what differs in two study files


@dataclass(frozen=True)
class Apart:
    """How far the first row of a run lies above that of another.

    Args:
        value: the difference of their figures, in merit: more is better.
        low: lower end of its 95 % interval over images; None where there is none.
        high: upper end.
        how: how the interval was made; empty where there is none.
    """

    value: float
    low: float | None = None
    high: float | None = None
    how: Literal["", "paired over the same images", "over images", "over images of each"] = ""

    @property
    def verdict(self) -> str:
        """Whether chance explains it."""
        if self.low is None or self.high is None:
            return "no interval is known"
        if self.low <= 0 <= self.high:
            return "can't be told apart"
        return "better" if self.low > 0 else "worse"


def apart(left: RunTrials, right: RunTrials) -> Apart | None:
    """Return how far two runs' firsts are apart; None where they are ranked by unlike metrics."""
    metric = left.facts.metric
    if not left.rows or not right.rows or metric is not right.facts.metric:
        return None
    first, second = left.rows[0], right.rows[0]
    value = first.figures.merit - second.figures.merit
    if not metric.is_share_of_images or not first.n_images or not second.n_images:
        return Apart(value)
    if not has_same_images(left, right) or first.n_images != second.n_images:
        sizes = first.n_images, second.n_images
        ends = signed_difference(first.figures.merit, second.figures.merit, *sizes)
        return Apart(value, *ends, how="over images of each")
    one, other = _right(left, first), _right(right, second)
    if one is None or other is None or one.shape != other.shape or not _same_order(left, right):
        ends = signed_difference(first.figures.merit, second.figures.merit, first.n_images)
        return Apart(value, *ends, how="over images")
    return Apart(value, *paired_right(one, other), how="paired over the same images")


def has_same_images(left: RunTrials, right: RunTrials) -> bool:
    """Tell whether two runs had the same images in the same splits."""
    own = left.facts.data_fingerprint
    return bool(own) and own == right.facts.data_fingerprint


def _right(read: RunTrials, row: Row) -> Right | None:
    """Return which images a trial classified right; None of repeats, and where it is not kept."""
    if read.storage is None or row.repeats > 1 or row.folds:
        return None
    return right_of(read.storage, read.run, [row.record]).get(key(row.record))


def _same_order(left: RunTrials, right: RunTrials) -> bool:
    """Tell whether what two runs said is of the same images in the same order."""
    assert left.storage is not None and right.storage is not None  # see `_right`
    labels = read_labels(left.storage, left.run.name), read_labels(right.storage, right.run.name)
    if labels[0] is None or labels[1] is None:
        return False
    return bool((labels[0].classes == labels[1].classes).all())


def data_lines(left: RunTrials, right: RunTrials) -> list[str]:
    """Say what of two runs' images and figures differs; nothing where all is the same."""
    names, facts = (left.run.name, right.run.name), (left.facts, right.facts)
    lines = []
    if not has_same_images(left, right):
        told = " and ".join(
            f"{name} of {counted(one.n_known, 'image')} of {one.data_source or 'a source'}"
            for name, one in zip(names, facts, strict=True)
        )
        lines.append(f"other images or splits: {told}; a difference may be theirs")
    if facts[0].class_names != facts[1].class_names:
        sizes = [counted(len(one.class_names), "class", "classes") for one in facts]
        lines.append(f"other classes: {names[0]} {sizes[0]}, {names[1]} {sizes[1]}")
    if facts[0].metric is not facts[1].metric:
        lines.append(
            f"{names[0]} is ranked by {facts[0].metric.about}, {names[1]} by "
            f"{facts[1].metric.about}: the two are not compared"
        )
    if facts[0].is_over_folds != facts[1].is_over_folds:
        over = [
            "out of fold by all train and validation images"
            if one.is_over_folds
            else "by the validation images"
            for one in facts
        ]
        lines.append(f"{names[0]} is judged {over[0]}, {names[1]} {over[1]}")
    return lines


def _stages(read: RunTrials) -> list[str]:
    return [str(one["name"]) for one in read.facts.study.get("stage", ())]


def study_lines(left: RunTrials, right: RunTrials) -> list[str]:
    """Say what of two runs' study files differs, of all that changes results."""
    lines = []
    for read, other in ((left, right), (right, left)):
        alone = [name for name in _stages(read) if name not in _stages(other)]
        if alone:
            lines.append(f"stages of {read.run.name} alone: {', '.join(alone)}")
    try:
        found = essence.difference(dict(left.facts.study), dict(right.facts.study))
    except (KeyError, TypeError):  # as an older automl-cv stored them
        return lines
    lines += found[:MOST_LINES]
    if len(found) > MOST_LINES:
        lines.append(f"and {len(found) - MOST_LINES:,} more")
    seeds = left.facts.seed, right.facts.seed
    if seeds[0] != seeds[1] and not any(line.startswith("seed:") for line in lines):
        lines.append(f"seed: {seeds[0]} -> {seeds[1]}")
    return lines
