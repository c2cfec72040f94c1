"""Two runs in one report: verdicts side by side, what differs, the boards of both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pandas as pd

from automl_cv.errors import UserError
from automl_cv.report.columns import MISSING, Column, accuracy
from automl_cv.report.document import Grid, Report, Section, free_text
from automl_cv.results.beside import apart, data_lines, study_lines
from automl_cv.results.leaderboard import RunTrials, ranked_frame
from automl_cv.study import reference
from automl_cv.words import counted, printable, signed

SHOWN = 10  # rows of each board; a page has a hundred
LEAST_DROPPED = 1  # `Column.drop` of what each board shows at most: 100 columns have room for it
HEADING = "Beside one another"

Side = Report


def compose_beside(left: Side, right: Side) -> Report:
    """Put a report together that lays two runs beside one another.

    Args:
        left: the report of a whole run.
        right: that of another.

    Raises:
        UserError: both are one run.
    """
    one, other = _read(left), _read(right)
    if one.run.name == other.run.name:
        raise UserError(f"--compare: {left.run} is one run; name another beside it")
    names = (one.run.name, other.run.name)
    frame = pd.DataFrame(
        {
            "what": pd.Series([what for what, _ in FACTS], dtype="str"),
            **{
                name: pd.Series([tell(side) or MISSING for _, tell in FACTS], dtype="str")
                for name, side in zip(names, (left, right), strict=True)
            },
        }
    )
    columns = (
        Column(name="what", about="what is compared", heading="", align="left"),
        *(free_text(printable(name), "a run") for name in names),
    )
    told = tuple(printable(line) for line in data_lines(one, other))
    warnings = tuple(f"{side.run}: {line}" for side in (left, right) for line in side.warnings)
    return Report(
        title=printable(f"{names[0]} beside {names[1]}"),
        verdict=tuple(map(printable, _verdict(left, right))),
        warnings=tuple(dict.fromkeys((*told, *warnings))),
        table=Grid(columns, tuple(tuple(map(printable, row)) for row in frame.to_numpy().tolist())),
        footnotes=(
            "intervals over images: other images of the same kind; not over seeds, nor over the "
            "choice among many trials, but for the corrected figure",
        ),
        sections=tuple(_board(side) for side in (left, right)),
        notes=tuple(printable(f"differs: {line}") for line in study_lines(one, other)),
        frames={"beside": frame, "trials": _trials(one, other)},
        facts=left.facts,
        run=f"{left.run}, {right.run}",
        sides=(left, right),
        heading=HEADING,
    )


def _read(side: Side) -> RunTrials:
    assert side.read is not None  # a report of a run
    return side.read


def _trials(left: RunTrials, right: RunTrials) -> pd.DataFrame:
    frames = [ranked_frame(read).assign(run=read.run.name) for read in (left, right)]
    both = pd.concat(frames, ignore_index=True)
    return both[["run", *(name for name in both if name != "run")]]


def _board(side: Side) -> Section:
    grid = side.table
    for column in side.table.columns:
        if (column.drop or 0) > LEAST_DROPPED:
            grid = grid.without(column)
    rows = grid.rows[:SHOWN]
    heading = f"leaderboard of {side.run}"
    if len(rows) < len(grid.rows):
        heading += f", the first {len(rows)} of {len(grid.rows):,} rows"
    faint = frozenset(index for index in grid.faint if index < len(rows))
    return Section(printable(heading), replace(grid, rows=rows, faint=faint))


def _verdict(left: Side, right: Side) -> list[str]:
    """Return who won in each, and how far the two are apart."""
    one, other = _read(left), _read(right)
    lines = []
    for side in (left, right):
        first = side.verdict[0] if side.verdict else "no trial has a result yet"
        lines.append(f"{side.run}: {first}")
    found = apart(one, other)
    if found is None:
        return lines
    metric = one.facts.metric
    figures = signed(found.value if metric.direction == "maximize" else -found.value)
    if found.low is not None and found.high is not None:
        figures += f" ({signed(found.low)} to {signed(found.high)}, {found.how})"
    told = f"first of {left.run} against first of {right.run}: {metric.about} {figures}"
    return [*lines, f"{told}: {found.verdict}"]


def _images(side: Side) -> str:
    facts = _read(side).facts
    sizes = ", ".join(f"{number:,} {split}" for split, number in facts.split_sizes.items())
    return f"{facts.data_source}: {sizes}" if sizes else facts.data_source


def _validated(side: Side) -> str:
    facts = _read(side).facts
    if facts.is_over_folds:
        return f"out of {facts.study.get('folds')} folds of {counted(facts.n_known, 'image')}"
    return counted(facts.n_validation or 0, "validation image")


def _interval(side: Side) -> str:
    rows = _read(side).rows
    low, high = rows[0].interval if rows else (None, None)
    return "" if low is None or high is None else f"{low:.4f} to {high:.4f}"


def _corrected(side: Side) -> str:
    found = side.winner
    if found is None:
        return ""
    return f"{found['corrected']:.4f} ({found['low']:.4f} to {found['high']:.4f})"


def _seconds(side: Side) -> str:
    read = _read(side)
    every = (*read.ranked, *read.repeated, *read.unranked)
    return f"{sum(record.history.seconds for record in every):,.0f}"


def _first(tell: Callable[[Any], str]) -> Callable[[Side], str]:
    """Return what tells something of the first row, where there is one."""
    return lambda side: tell(_read(side)) if _read(side).rows else ""


def _reference(side: Side) -> str:
    found = _read(side).facts.reference
    return "" if found is None else accuracy(found["val_accuracy"])


FACTS: tuple[tuple[str, Callable[[Side], str]], ...] = (
    ("images", _images),
    ("classes", lambda side: str(len(side.facts.class_names) or "")),
    ("judged by", _validated),
    ("metric", lambda side: _read(side).facts.metric.about),
    ("backbone", lambda side: side.facts.backbone),
    ("stages", lambda side: ", ".join(_read(side).run.stages)),
    ("rows of the board", lambda side: f"{len(_read(side).rows):,}"),
    ("seconds of training", _seconds),
    ("first row", _first(lambda read: read.rows[0].record.name)),
    (
        "its figure",
        _first(lambda read: accuracy(read.facts.metric.score(read.rows[0].figures.merit))),
    ),
    ("its accuracy, 95 %", _interval),
    ("corrected for the choice", _corrected),
    ("its val loss", _first(lambda read: f"{read.rows[0].figures.val_loss:.4g}")),
    (reference.NAME, _reference),
    ("seed", lambda side: str(side.facts.seed)),
    ("versions", lambda side: ", ".join(f"{k} {v}" for k, v in side.facts.versions.items())),
)
"""What the table says of each run, row by row."""
