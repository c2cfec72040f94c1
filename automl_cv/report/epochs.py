"""Every epoch of every trial as a table: the curves as numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from automl_cv.report.columns import COLUMNS, Column, accuracy, text
from automl_cv.report.document import Report, grid_of, title_of
from automl_cv.report.leaderboard import metric_column
from automl_cv.results.leaderboard import RunTrials, epochs_frame
from automl_cv.words import counted, printable


def _column(name: str, heading: str, form: Callable[[Any], str] = text, drop: int = 0) -> Column:
    return Column(name=name, about="of one epoch", heading=heading, format=form, drop=drop)


EPOCH_COLUMNS = (
    COLUMNS["stage"],
    COLUMNS["trial"],
    COLUMNS["state"],
    _column("epoch", "epoch"),
    _column("accuracy", "train acc", accuracy, 3),
    _column("val_accuracy", "val acc", accuracy),
    _column("loss", "train loss", text, 4),
    _column("val_loss", "val loss"),
    _column("learning_rate", "learning rate", text, 5),
    _column("seconds", "s", lambda value: f"{value:.3f}", 6),
)


def compose_epochs(read: RunTrials, *, stage: str | None = None, top: int | None = None) -> Report:
    """Put a report together of every epoch of every trial, finished or not.

    Args:
        read: trials of a run, or of one of its stages.
        stage: the one stage that was read; None for all.
        top: the first so many trials of the leaderboard; None for all trials.
    """
    shown = read
    if top is not None:
        shown = replace(read, ranked=read.ranked[:top], unranked=(), repeated=())
    frame = epochs_frame(shown)
    metric = read.facts.metric
    columns = list(EPOCH_COLUMNS)
    if metric.has_own_column and metric.name in frame:
        columns.insert(4, replace(metric_column(metric), target="automl_cv.report.columns:stored"))
    trials = len(frame[["stage", "trial"]].drop_duplicates())
    told = (
        f"{counted(len(frame), 'epoch')} of {counted(trials, 'trial')}; --format csv has all digits"
    )
    if frame.empty:
        told = "no trial has an epoch yet"
    return Report(
        title=f"{title_of(read, stage)} · epochs",
        warnings=tuple(map(printable, read.facts.warnings)),
        table=grid_of(columns, frame, ()),
        footnotes=(told,),
        sections=(),
        notes=(),
        frames={"epochs": frame},
        facts=read.facts,
        run=read.run.name,
        heading="Every epoch",
    )
