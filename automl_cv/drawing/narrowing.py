"""Narrowing: the space of a stage, derived from the best trials of a stage before it.

What was searched wide is searched again where it did best. Lists shrink to the best
trials' values, ranges to the envelope of their values, padded and rounded outward,
never beyond the range they come from. Everything here is a function of plain data.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

from automl_cv.store.facts import Narrowed
from automl_cv.store.records import TrialRecord
from automl_cv.study.space import Choice, Condition, Constant, FloatRange, IntRange, Space, can_be
from automl_cv.words import trials_text

# Share of the earlier range, on its own scale, that is added to each side of the best
# trials' values: how far apart twenty trials of a coarse search lie. The published
# narrowing (two of six trials, by hand) added at most 4.4 % of the coarse ranges.
PADDING = 0.05

# The ends of a range are multiples of 1, 2 or 5 times a power of ten, of the largest such
# figure that goes at least so often into the range: rounding adds at most 5 % to each side.
UNITS_ACROSS = 20

Held = tuple[int, Any]  # number of a trial, and its value of the parameter at hand


def best_trials(trials: Sequence[TrialRecord], top: int) -> list[TrialRecord]:
    """Return the best trials that have a result, best first.

    Highest merit at the best epoch (validation accuracy, or the study's metric), then lowest
    validation loss there, then the earlier trial. Pruned trials follow on the complete ones,
    whatever their merit: nobody knows what they would have reached.

    Args:
        trials: of one stage.
        top: how many at most.
    """
    ranked = [record for record in trials if record.is_ranked]
    return sorted(ranked, key=_merit)[:top]


def _merit(record: TrialRecord) -> tuple[bool, float, float, int]:
    assert record.best is not None, "ranked trials have a best epoch"
    return (
        record.state != "complete",
        -record.best.merit,
        record.best.val_loss,
        record.trial,
    )


def narrow(
    parent: Space,
    trials: Sequence[TrialRecord],
    top: int,
    overrides: Space,
    *,
    known: Collection[str] | None = None,
    ranked: Sequence[TrialRecord] = (),
) -> Narrowed:
    """Derive a space from the best trials of the stage that searched `parent`.

    - A list shrinks to the best trials' values, in its own order; one value is a constant.
    - A range shrinks to the envelope of the best trials' values, with PADDING on each side,
      rounded outward to tidy figures and clipped to the parent's. Scale, whole numbers and
      the grid of a step are kept. Where a value lies within PADDING of an end of the
      parent's range, the new range reaches that end.
    - A condition keeps those of its values that are still possible; a parameter whose
      condition can't hold any more is dropped. A conditional parameter is narrowed only if
      the best trials hold it under every value that its condition keeps: the momenta of
      SGD say nothing about those of RMSprop.
    - An override replaces a parameter's values and keeps its place and its condition;
      further ones come last.

    Args:
        parent: the space that `trials` were drawn from.
        trials: of one stage, at least one with a result.
        top: how many of the best count; fewer if fewer have a result.
        overrides: parameters that are set by hand, without conditions.
        known: names of the parameters that the new stage takes; None for all.
        ranked: the trials in another order than that of `best_trials`, best first.

    Returns:
        The space, the best trials, and the reasons.

    Raises:
        ValueError: no trial has a result.
    """
    best = list(ranked[:top]) or best_trials(trials, top)
    if not best:
        raise ValueError("no trial has a result to narrow from")
    found: dict[str, Any] = {}
    reasons: dict[str, str] = {}
    stage = best[0].stage
    for name, parameter in parent.parameters.items():
        when = _remaining(parameter.when, found)
        if known is not None and name not in known:
            reasons[name] = f"dropped: of {stage} alone, this stage does not take it"
        elif when is None:
            reasons[name] = f"dropped: drawn only with {_values_text(parameter.when)}"
        elif name in overrides.parameters:
            override = overrides.parameters[name]
            found[name] = override.model_copy(update={"when": _uncertain(when, found)})
            reasons[name] = "set by the study file"
        else:
            shrunk, reasons[name] = _shrunk(name, parameter, when, best)
            found[name] = shrunk.model_copy(update={"when": _uncertain(when, found)})
    for name, parameter in overrides.parameters.items():
        if name not in parent.parameters:
            found[name], reasons[name] = parameter, "set by the study file"
    numbers = tuple(record.trial for record in best)
    return Narrowed(
        stage=stage,
        trials=numbers,
        space=Space(parameters=found),
        reasons=reasons,
        remarks=tuple(_remarks(best, top)),
        best_now=numbers,
    )


def _remarks(best: Sequence[TrialRecord], top: int) -> list[str]:
    lines, stage = [], best[0].stage
    if len(best) < top:
        count = "1 trial" if len(best) == 1 else f"{len(best)} trials"
        lines.append(f"only {count} of {stage} had a result, not the {top} to narrow from")
    pruned = [str(record.trial) for record in best if record.state == "pruned"]
    if pruned:
        lines.append(
            f"too few trials of {stage} were complete; pruned ones count too: {', '.join(pruned)}"
        )
    return lines


def _remaining(when: Condition, found: dict[str, Any]) -> Condition | None:
    """Return a condition with the values that are still possible; None if it can't hold."""
    kept = {
        needed: tuple(value for value in values if needed in found and can_be(found[needed], value))
        for needed, values in when.items()
    }
    return kept if all(kept.values()) else None


def _uncertain(when: Condition, found: dict[str, Any]) -> Condition:
    """Leave out of a condition what always holds: "optimizer is SGD" where it is nothing else."""
    return {
        needed: values
        for needed, values in when.items()
        if not isinstance(found[needed], Constant) or found[needed].when
    }


def _shrunk(
    name: str, parameter: Any, when: Condition, best: Sequence[TrialRecord]
) -> tuple[Any, str]:
    """Return a parameter's new values, its condition left as it is, and the reason for them."""
    stage = best[0].stage
    if isinstance(parameter, Constant):
        return parameter, f"as in {stage}, which has no other"
    having = [record for record in best if name in record.parameters]
    unseen = {
        needed: tuple(
            value
            for value in values
            if not any(record.parameters.get(needed) == value for record in having)
        )
        for needed, values in when.items()
    }
    if any(unseen.values()) or not having:
        unseen = {needed: values for needed, values in unseen.items() if values}
        return parameter, f"as in {stage}: no best trial has it with {_values_text(unseen)}"
    held = [(record.trial, record.parameters[name]) for record in having]
    if isinstance(parameter, Choice):
        return _fewer_choices(parameter, held)
    return _narrower_range(parameter, held, stage)


def _fewer_choices(parameter: Choice, held: Sequence[Held]) -> tuple[Any, str]:
    taken = {(type(value), value) for _, value in held}
    kept = tuple(value for value in parameter.choices if (type(value), value) in taken)
    by_value = (
        f"{value} in {trials_text([trial for trial, own in held if own == value])}"
        for value in kept
    )
    reason = ", ".join(by_value)
    if len(kept) == 1:
        return Constant(value=kept[0]), reason
    return Choice(choices=kept), reason


def _narrower_range(parameter: Any, held: Sequence[Held], stage: str) -> tuple[Any, str]:
    low_trial, lowest = min(held, key=lambda one: one[1])
    high_trial, highest = max(held, key=lambda one: one[1])
    if math.isclose(parameter.low, parameter.high):
        return parameter, f"as in {stage}, which has no other"
    low, high = _padded(parameter, lowest, highest)
    # Decimals: 0.5 + 0.05 is a little above 0.55 in binary, and would be rounded up from there.
    narrowed = _rounded(parameter, Decimal(f"{low:.12g}"), Decimal(f"{high:.12g}"))
    if parameter.step is None:
        # What arithmetic may lose in the last digit.
        ends = {"low": min(narrowed.low, lowest), "high": max(narrowed.high, highest)}
        narrowed = narrowed.model_copy(update=ends)
    parts = [f"{lowest:.4g} in trial {low_trial}"]
    if high_trial != low_trial:
        parts = [f"from {parts[0]} to {highest:.4g} in trial {high_trial}"]
    parts.append(f"padded by {PADDING * 100:g} % of {stage}'s {parameter}")
    near = [
        f"the {side} end of {stage}, which trial {trial} is near"
        for side, trial, is_near in (
            ("low", low_trial, low <= parameter.low),
            ("high", high_trial, high >= parameter.high),
        )
        if is_near
    ]
    if near:
        parts.append(f"grown to {' and '.join(near)}")
    return narrowed, "; ".join(parts)


def _padded(parameter: Any, lowest: float, highest: float) -> tuple[float, float]:
    """Return an envelope with PADDING of the parameter's range on each side, on its scale."""
    if parameter.log:
        factor = math.exp(PADDING * (math.log(parameter.high) - math.log(parameter.low)))
        return lowest / factor, highest * factor
    pad = PADDING * (parameter.high - parameter.low)
    return lowest - pad, highest + pad


def _rounded(parameter: Any, low: Decimal, high: Decimal) -> IntRange | FloatRange:
    """Return a range within the parameter's that holds `low` to `high` as far as it goes."""
    is_whole = isinstance(parameter, IntRange)
    first, last = Decimal(str(parameter.low)), Decimal(str(parameter.high))
    if parameter.step is not None:
        # Both ends stay on the parent's grid, whose last point may lie below its high end.
        unit = Decimal(str(parameter.step))
        last = first + (last - first) // unit * unit
        down = first + _whole((low - first) / unit, ROUND_FLOOR) * unit
        up = first + _whole((high - first) / unit, ROUND_CEILING) * unit
    else:
        down_unit, up_unit = _units(low, high, log=parameter.log, is_whole=is_whole)
        down = _whole(low / down_unit, ROUND_FLOOR) * down_unit
        up = _whole(high / up_unit, ROUND_CEILING) * up_unit
    number: Any = int if is_whole else float
    ends = {"low": number(max(down, first)), "high": number(min(up, last))}
    # A copy: scale and step stay.
    narrowed: IntRange | FloatRange = parameter.model_copy(update=ends)
    return narrowed


def _units(low: Decimal, high: Decimal, *, log: bool, is_whole: bool) -> tuple[Decimal, Decimal]:
    """Return what the two ends are rounded to multiples of."""
    if log:  # Two significant figures each: 10 % at most.
        units = [Decimal(1).scaleb(end.adjusted() - 1) for end in (low, high)]
    else:
        across = (high - low) / UNITS_ACROSS
        power = Decimal(1).scaleb(across.adjusted())
        units = [max(unit * power for unit in (1, 2, 5) if unit * power <= across)] * 2
    low_unit, high_unit = (max(unit, Decimal(1)) if is_whole else unit for unit in units)
    return low_unit, high_unit


def _whole(number: Decimal, rounding: str) -> Decimal:
    return number.to_integral_value(rounding=rounding)


def _values_text(when: Condition) -> str:
    return " and ".join(
        f"{needed} {' or '.join(map(str, values))}" for needed, values in when.items()
    )
