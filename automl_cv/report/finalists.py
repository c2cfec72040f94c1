"""What a report says of trials that were trained again: the winner, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from automl_cv.store.comparison import Finalist, Interval, finalists, paired_difference
from automl_cv.store.records import TrialRecord


def finalist_lines(repeated: Sequence[TrialRecord], study: Mapping[str, Any]) -> list[str]:
    """Return a line for each finalist of each stage that retrains, and one for each pair of stages.

    Args:
        repeated: trials that were trained again, of all stages.
        study: the study file as plain data; it says which stages have folds.
    """
    folds = {
        stage["name"]: (stage.get("retrain") or {}).get("folds") for stage in study.get("stage", ())
    }
    stages = list(dict.fromkeys(record.stage for record in repeated))
    found = {
        name: finalists(
            [record for record in repeated if record.stage == name], folds=folds.get(name)
        )
        for name in stages
    }
    lines = [line for name in stages for line in _stage_lines(name, found[name], folds.get(name))]
    for position, later in enumerate(stages):
        for earlier in stages[:position]:
            if folds.get(later) is None and folds.get(earlier) is None:
                lines += _pair_lines(earlier, found[earlier], later, found[later])
    return lines


def _stage_lines(stage: str, found: Sequence[Finalist], folds: int | None) -> list[str]:
    kind = "folds" if folds else "seeds"
    lines = []
    for place, one in enumerate(found, start=1):
        mean = one.accuracy
        line = (
            f"stage {stage}: {place}. {one.source}: val acc {mean.mean:.4f} over "
            f"{mean.n_repeats} {kind}{_ends(mean, highest=1.0)}"
        )
        if one.behind_first is not None:
            line += f", {_verdict(one.behind_first, 'behind the first')}"
        elif len(found) > 1:
            line += ", the winner"
        lines.append(line)
    return lines


def _pair_lines(
    earlier: str, before: Sequence[Finalist], later: str, after: Sequence[Finalist]
) -> list[str]:
    """Compare two stages on the trials that both trained again, seed by seed."""
    lines = []
    by_source = {one.source: one for one in before}
    for one in after:
        other = by_source.get(one.source)
        gain = paired_difference(one.values, other.values) if other else None
        if gain is not None:
            lines.append(
                f"{later} against {earlier}, {one.source}: "
                f"{_verdict(gain, f'over {gain.n_repeats} common seeds', signed=True)}"
            )
    return lines


def _verdict(difference: Interval, where: str, *, signed: bool = False) -> str:
    shown = f"{difference.mean:+.4f}" if signed else f"{difference.mean:.4f}"
    told = "can't be told apart" if difference.holds_zero else "a difference"
    return f"{shown} {where}{_ends(difference)}: {told}"


def _ends(interval: Interval, *, highest: float = math.inf) -> str:
    if interval.n_repeats < 2:
        return ""
    return f" (95 %: {interval.low:.4f} to {min(interval.high, highest):.4f})"
