"""What a leaderboard says of trials that were trained again: the winner, and how sure that is."""

from __future__ import annotations

import math

from automl_cv.catalog.metrics import MetricEntry
from automl_cv.data.ledger import counted
from automl_cv.report import columns
from automl_cv.store.comparison import Comparison, Pair, Retrained
from automl_cv.store.repeats import Interval, in_own_units


def finalist_lines(found: Comparison, metric: MetricEntry) -> list[str]:
    """Return a line for each finalist, and one for each trial that two stages trained again.

    Args:
        found: what the retrained trials say.
        metric: what they are ranked by.
    """
    lines = [line for stage in found.stages for line in _stage_lines(stage, metric)]
    return [*lines, *(_pair_line(pair, metric) for pair in found.pairs if pair.kind == "stages")]


def _stage_lines(stage: Retrained, metric: MetricEntry) -> list[str]:
    kind = "fold" if stage.folds else "seed"
    highest = 1.0 if metric.direction == "maximize" else math.inf
    lines = []
    for place, one in enumerate(stage.finalists, start=1):
        mean = in_own_units(one.merit, metric)
        line = (
            f"stage {stage.stage}: {place}. {one.source}: {metric.heading} {mean.mean:.4f} over "
            f"{counted(mean.n_repeats, kind)}{_ends(mean, highest=highest)}"
        )
        if one.behind_first is not None:
            line += f", {_verdict(one.behind_first, 'behind the first')}"
        elif len(stage.finalists) > 1:
            line += ", the winner"
        lines.append(line)
    return lines


def _pair_line(pair: Pair, metric: MetricEntry) -> str:
    where = f"over {counted(pair.difference.n_repeats, f'common {pair.over[:-1]}')}"
    return (
        f"{pair.left.stage} against {pair.right.stage}, {pair.left.source}: "
        f"{_verdict(in_own_units(pair.difference, metric), where, signed=True)}"
    )


def _verdict(difference: Interval, where: str, *, signed: bool = False) -> str:
    shown = columns.signed(difference.mean) if signed else f"{difference.mean:z.4f}"
    told = "can't be told apart" if difference.holds_zero else "a difference"
    return f"{shown} {where}{_ends(difference)}: {told}"


def _ends(interval: Interval, *, highest: float = math.inf) -> str:
    if interval.n_repeats < 2:
        return ""
    return f" (95 %: {interval.low:z.4f} to {min(interval.high, highest):z.4f})"
