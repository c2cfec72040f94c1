"""Which searched parameters mattered: two of Optuna's evaluators, and how sure each is.

Optuna's default alone misleads: with 30 trials of a made-up objective it gave 0.95 to a momentum
without effect. So there are two evaluators of different kinds, and a bootstrap over trials; with
fewer than `LEAST_TRIALS` bars hold what chance gives, and with fewer than `FEWEST` there are none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
from optuna.storages import RDBStorage

from automl_cv.results.comparison import SOURCE
from automl_cv.results.evaluators import ENOUGH, EVALUATORS, Axis, Importances, evaluate
from automl_cv.results.leaderboard import RunTrials, read_run
from automl_cv.store.records import TrialRecord
from automl_cv.study.space import Choice, Constant, Space, condition_text
from automl_cv.words import counted

LEAST_TRIALS = ENOUGH
FEWEST = 10  # of which PED-ANOVA, which looks at the best tenth, still has one


@dataclass(frozen=True)
class Importance:
    """What is known of some parameters of a stage: those that the same trials have.

    Args:
        stage: name of the stage.
        within: which trials these are, "optimizer is SGD or RMSprop"; empty for all.
        n_trials: their number.
        parameters: the parameters, those of every trial or those that only these trials have.
        evaluation: of all parameters that these trials have and that vary in them; None where
            `reason` says why nothing can be told.
        reason: one line, why there are no figures.
    """

    stage: str
    within: str
    n_trials: int
    parameters: tuple[str, ...]
    evaluation: Importances | None = None
    reason: str = ""


def importance(
    storage: str | RDBStorage, study: str | None = None, stage: str | None = None
) -> pd.DataFrame:
    """Return how much each searched parameter mattered, by fANOVA and by PED-ANOVA.

    Takes some seconds a stage. The same trials give the same numbers on the same machine.

    Example:
        >>> import automl_cv
        >>> table = automl_cv.importance("sqlite:///automl-cv.db", "slides", stage="coarse")
        >>> clear = table[(table["fanova_low"] > 0.1) & (table["ped_anova_low"] > 0.1)]

    Args:
        storage: the database, or its address.
        study: as for `automl_cv.leaderboard`.
        stage: name of one stage; None for all that search.

    Returns:
        One row a parameter that has several values: stage; parameter; within: the trials it
        was looked at in, where only some have it, else missing; trials: their number; fanova
        and ped_anova, shares that sum to 1 over the parameters of those trials, each with the
        95 % percentile interval _low and _high; same_order: whether both evaluators put them
        in the same order; resamples; trials_needed: about how many would tell the first
        parameter from the second by both, missing for more than 10,000; reason: why a row has no
        figures, which it has not where there are fewer than 10 trials. With fewer than 100 an
        interval begins at 0 where chance gives a parameter without effect as much.

    Raises:
        UserError: no such database, study or stage.
    """
    return importance_frame(importances(read_run(storage, study, stage), stage))


def importances(read: RunTrials, stage: str | None = None) -> list[Importance]:
    """Evaluate each searched stage; see `importance`.

    Args:
        read: trials of a run, or of one of its stages.
        stage: the one stage that was read; None for all.
    """
    found = []
    for name in (stage,) if stage else read.run.stages:
        space = read.facts.space_of(name)
        records = [
            record
            for record in read.ranked
            if record.stage == name and SOURCE not in record.parameters
        ]
        if space is not None:
            records.sort(key=lambda record: record.trial)
            found += _of_stage(name, space, records)
    return found


def importance_frame(found: Sequence[Importance]) -> pd.DataFrame:
    """Return importances as a table; see `importance`."""
    rows = [_row(one, parameter) for one in found for parameter in one.parameters]
    figures = [f"{name}{end}" for name in EVALUATORS for end in ("", "_low", "_high")]
    types = {
        **dict.fromkeys(("stage", "parameter", "within"), "str"),
        "trials": "Int64",
        **dict.fromkeys(figures, "float64"),
        "same_order": "boolean",
        "resamples": "Int64",
        "trials_needed": "Int64",
        "reason": "str",
    }
    return pd.DataFrame(
        {
            name: pd.Series([row.get(name) for row in rows], dtype=kind)
            for name, kind in types.items()
        }
    )


def _row(one: Importance, parameter: str) -> dict[str, Any]:
    row: dict[str, Any] = {
        "stage": one.stage,
        "parameter": parameter,
        "within": one.within or None,
        "trials": one.n_trials,
        "reason": one.reason or None,
    }
    if one.evaluation is None:
        return row
    for name, shares in one.evaluation.shares.items():
        share = shares[parameter]
        row |= {name: share.share, f"{name}_low": share.low, f"{name}_high": share.high}
    needed = list(one.evaluation.needed.values())
    return {
        **row,
        "same_order": one.evaluation.is_same_order,
        "resamples": one.evaluation.n_resamples,
        "trials_needed": None if None in needed else max(map(int, filter(None, needed))),
    }


def _of_stage(stage: str, space: Space, records: Sequence[TrialRecord]) -> list[Importance]:
    varying = [name for name, parameter in space.parameters.items() if _varies(parameter)]
    if not varying:
        return []
    if len(records) < FEWEST:
        return [Importance(stage, "", len(records), tuple(varying), reason=_too_few(records))]
    groups: dict[tuple[int, ...], list[str]] = {tuple(range(len(records))): []}
    for name in varying:
        having = (index for index, one in enumerate(records) if name in one.parameters)
        groups.setdefault(tuple(having), []).append(name)
    found = []
    for indices, names in groups.items():
        within = _within(space, names) if len(indices) < len(records) else ""
        group = Importance(stage, within, len(indices), tuple(names))
        if names:
            found.append(_evaluated(space, varying, group, [records[index] for index in indices]))
    return found


def _evaluated(
    space: Space, varying: Sequence[str], group: Importance, records: Sequence[TrialRecord]
) -> Importance:
    """Evaluate parameters within the trials that have them.

    Over all trials a conditional parameter has no value to vary. fANOVA leaves it out, and
    PED-ANOVA weighs its noise by how well its optimizer did; so it is compared with those
    parameters alone that the same trials have.
    """
    if len(records) < FEWEST:
        return replace(group, reason=_too_few(records))
    conditions = _conditions(space, group.parameters)
    axes = {
        name: Axis.of(space.parameters[name], conditions.get(name))
        for name in varying
        if all(name in record.parameters for record in records)
    }
    axes = {name: axis for name, axis in axes.items() if not axis.distribution.single()}
    if len({record.value for record in records}) == 1:
        return replace(group, reason="all trials have the same result")
    if len(axes) == 1:
        return replace(group, reason="no other parameter varies")
    return replace(group, evaluation=evaluate(axes, records))


def _varies(parameter: Any) -> bool:
    match parameter:
        case Constant():
            return False
        case Choice():
            return len(parameter.choices) > 1
    return bool(parameter.low < parameter.high)


def _conditions(space: Space, names: Iterable[str]) -> dict[str, tuple[Any, ...]]:
    """Return the values that other parameters have in all trials which have these."""
    found: dict[str, tuple[Any, ...]] = {}
    for name in names:
        for needed, values in space.parameters[name].when.items():
            found |= {needed: tuple(values), **_conditions(space, [needed])}
    return found


def _within(space: Space, names: Iterable[str]) -> str:
    conditions = (condition_text(space.parameters[name]) for name in names)
    return "; ".join(dict.fromkeys(condition for condition in conditions if condition))


def _too_few(records: Sequence[TrialRecord]) -> str:
    return (
        f"{counted(len(records), 'trial')} with a result, fewer than {FEWEST}; some {LEAST_TRIALS} "
        "are needed for shares that say something"
    )
