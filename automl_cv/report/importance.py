"""Which searched parameters mattered, by two evaluators.

A new column of this table is an entry in `IMPORTANCE_COLUMNS`.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from automl_cv.catalog.samplers import SAMPLERS
from automl_cv.registry import Table
from automl_cv.report.columns import Column, ends
from automl_cv.report.document import Report, grid_of, title_of
from automl_cv.results.evaluators import DEPTH, LABELS, MOST_NEEDED, TREES, TREES_A_RESAMPLE
from automl_cv.results.importance import (
    LEAST_TRIALS,
    Importance,
    importance_frame,
    importances,
)
from automl_cv.results.leaderboard import RunTrials
from automl_cv.study.library import shipped
from automl_cv.words import counted, printable

HERE = "automl_cv.report.importance"


def share(value: float) -> str:
    """Write a share with two decimals: 0.66."""
    return f"{value:.2f}"


def parameter(name: str, frame: pd.DataFrame, found: Sequence[Importance]) -> list[str]:
    """Return the parameters in words."""
    return [str(one).replace("_", " ") for one in frame["parameter"]]


def where(name: str, frame: pd.DataFrame, found: Sequence[Importance]) -> list[str]:
    """Return the trials that a parameter was looked at in."""
    return ["all trials" if one != one else str(one) for one in frame["within"]]


def interval(name: str, frame: pd.DataFrame, found: Sequence[Importance]) -> list[str | None]:
    """Return the interval of an evaluator's shares as one text; `name` is "fanova_interval"."""
    evaluator = name.removesuffix("_interval")
    return ends(frame[f"{evaluator}_low"], frame[f"{evaluator}_high"], share, "–")


def _interval_of(evaluator: str) -> Column:
    return Column(
        name=f"{evaluator}_interval",
        about=f"95 % interval of the share by {LABELS[evaluator]}",
        heading="95\N{NO-BREAK SPACE}%",
        target=f"{HERE}:interval",
        in_data=False,
    )


def _share_of(evaluator: str) -> Column:
    label = LABELS[evaluator]
    return Column(name=evaluator, about=f"share by {label}", heading=label, format=share)


IMPORTANCE_COLUMNS: Table[Column] = Table(
    "column of importances",
    [
        Column(name="stage", about="stage of the study", heading="stage", align="left"),
        Column(
            name="parameter",
            about="what was drawn",
            heading="parameter",
            target=f"{HERE}:parameter",
            align="left",
        ),
        Column(
            name="where",
            about="the trials it was looked at in",
            heading="where",
            target=f"{HERE}:where",
            align="left",
            folds=True,
            in_data=False,
        ),
        Column(name="trials", about="number of these trials", heading="trials", drop=1),
        _share_of("fanova"),
        _interval_of("fanova"),
        _share_of("ped_anova"),
        _interval_of("ped_anova"),
    ],
)


def compose_importance(read: RunTrials, *, stage: str | None = None) -> Report:
    """Put a report together that says which parameters mattered. Takes some seconds a stage.

    Args:
        read: trials of a run, or of one of its stages.
        stage: the one stage that was read; None for all.
    """
    found = importances(read, stage)
    frame = importance_frame(found)
    own = [one for one in IMPORTANCE_COLUMNS if one.in_data and one.name not in frame]
    frame = frame.assign(**{one.name: one.load()(one.name, frame, found) for one in own})
    told = frame[frame["reason"].isna()]
    # Shares are of one base within a group alone: groups stay apart.
    groups = told.groupby(["stage", "within"], sort=False, dropna=False)
    parts = [one.sort_values("fanova", ascending=False, kind="stable") for _, one in groups]
    ordered = pd.concat(parts, ignore_index=True) if parts else told
    return Report(
        title=f"{title_of(read, stage)} · parameter importance",
        warnings=tuple(map(printable, read.facts.warnings)),
        table=grid_of(IMPORTANCE_COLUMNS, ordered, found),
        footnotes=tuple(map(printable, _footnotes(read, found, stage))),
        sections=(),
        notes=(),
        frames={"importance": frame},
        facts=read.facts,
        run=read.run.name,
        heading="Which parameters mattered",
        command=_command(read, found),
    )


def _footnotes(read: RunTrials, found: Sequence[Importance], stage: str | None) -> list[str]:
    lines = [line for one in found for line in _lines(one)]
    evaluations = [one.evaluation for one in found if one.evaluation]
    if not evaluations:
        return lines or [_nothing(stage)]
    lines += [line for one in found for line in _needed_lines(read, one)]
    lines += [
        "share: of what the parameters do one by one; shares sum to 1 even where none matters. "
        f"95 %: percentiles over {evaluations[0].n_resamples} resamples of the trials; ≈ where "
        "the interval of a difference holds 0",
        "fANOVA: share of the variance over the whole space, bad parts included (Hutter et al. "
        f"2014; {TREES} trees, {TREES_A_RESAMPLE} a resample, of depth {DEPTH})",
        "PED-ANOVA: share of what sets the best tenth of the trials apart (Watanabe et al. 2023)",
    ]
    if any(one.within for one in found if one.evaluation):
        lines.append(
            "where not in all trials: only these have the parameter, and its share is among the "
            "parameters that they have"
        )
    stages = dict.fromkeys(one.stage for one in found if one.evaluation)
    return [*lines, *(line for name in stages for line in _of_trials(read, name))]


def _lines(one: Importance) -> list[str]:
    where = f" where {one.within}" if one.within else ""
    names = ", ".join(name.replace("_", " ") for name in one.parameters)
    if one.evaluation is None:
        subject = f"{names}{where}" if one.within else "no figures"
        return [f"stage {one.stage}: {subject}: {one.reason}"]
    orders = "; ".join(f"{LABELS[name]} {order}" for name, order in one.evaluation.orders.items())
    told = "the same order" if one.evaluation.is_same_order else "not the same order"
    return [f"stage {one.stage}{where}: {orders}: {told}"]


def _needed_lines(read: RunTrials, one: Importance) -> list[str]:
    """Say how many trials would tell the first parameter from the second, where these do not."""
    if one.evaluation is None:
        return []
    lines = []
    where = f" where {one.within}" if one.within else ""
    if one.n_trials < LEAST_TRIALS:
        lines.append(
            f"{counted(one.n_trials, 'trial')} are few: an interval that begins at 0 holds what "
            f"chance gives a parameter without effect; from {LEAST_TRIALS} trials on resamples do"
        )
    missing = {
        evaluator: number
        for evaluator, number in one.evaluation.needed.items()
        if number is None or number > one.n_trials
    }
    if missing:
        told = (
            f"{LABELS[name]}: more than {MOST_NEEDED:,}"
            if number is None
            else f"{LABELS[name]}: about {number:,}"
            for name, number in missing.items()
        )
        lines.append(f"trials that would tell the first from the second, {', '.join(told)}")
    return [f"stage {one.stage}{where}: {line}" for line in lines]


def _command(read: RunTrials, found: Sequence[Importance]) -> str:
    """Return the search that would settle what this one does not, if one could."""
    for one in found:
        if one.evaluation is None or one.within or read.run.study not in shipped():
            continue
        numbers = [number for number in one.evaluation.needed.values() if number is not None]
        if numbers and max(numbers) > one.n_trials:
            return f"automl-cv search {read.run.study} --stage {one.stage} --trials {max(numbers)}"
    return ""


def _of_trials(read: RunTrials, stage: str) -> list[str]:
    """Say which trials count in an unusual way, and which are missing."""
    lines = []
    pruned = sum(one.stage == stage and one.state == "pruned" for one in read.ranked)
    if pruned:
        lines.append(f"{counted(pruned, 'pruned trial')} count with the best epoch they had")
    diverged = sum(
        one.stage == stage and one.history.stop_reason == "diverged" for one in read.unranked
    )
    if diverged:
        lines.append(f"{counted(diverged, 'trial')} diverged, have no result and are left out")
    for declared in read.facts.study.get("stage", ()):
        sampler = (declared.get("sampler") or {}).get("name", "")
        if declared["name"] == stage and sampler in SAMPLERS and SAMPLERS[sampler].learns:
            lines.append(f"{sampler} looks where results are good: the shares are of there")
    return [f"stage {stage}: {line}" for line in lines]


def _nothing(stage: str | None) -> str:
    which = f"stage {stage}" if stage else "this study"
    return f"no figures: {which} searches no parameter of several values"
