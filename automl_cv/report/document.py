"""A report as text cells and lines, ready for any form: terminal, Markdown or a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from automl_cv.data.ledger import counted
from automl_cv.errors import UserError, suggest
from automl_cv.report.columns import COLUMNS, MISSING, TIE, Column, of_parameter, text
from automl_cv.report.finalists import finalist_lines
from automl_cv.space import condition_text
from automl_cv.store.intervals import differs
from automl_cv.store.leaderboard import RunTrials, ranked_frame, unranked_frame
from automl_cv.store.records import Narrowed, StudyFacts, TrialRecord, trials_text

REFERENCE = "reference"


@dataclass(frozen=True)
class Grid:
    """A table of texts.

    Args:
        columns: heading and side of each column.
        rows: cells, one tuple a trial.
        faint: indices of rows to show faintly.
        foot: one row set apart below the others.
    """

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    faint: frozenset[int] = frozenset()
    foot: tuple[str, ...] | None = None

    def with_broken_headings(self) -> Grid:
        """Return the same table with the words of each heading below one another."""
        columns = (replace(one, heading=one.heading.replace(" ", "\n")) for one in self.columns)
        return replace(self, columns=tuple(columns))

    def without(self, column: Column) -> Grid:
        """Return the same table without one of its columns."""
        kept = [index for index, other in enumerate(self.columns) if other is not column]

        def keep(cells: Sequence[Any]) -> tuple[Any, ...]:
            return tuple(cells[index] for index in kept)

        foot = None if self.foot is None else keep(self.foot)
        return Grid(keep(self.columns), tuple(map(keep, self.rows)), self.faint, foot)


@dataclass(frozen=True)
class Report:
    """All that a report says.

    Args:
        title: study and data.
        warnings: lines for the top.
        leaderboard: trials with a result.
        footnotes: what signs and figures of the leaderboard mean.
        unfinished: trials without a result.
        narrowed: what stages search that narrow another, and why.
        notes: lines for the end.
        board: the leaderboard as data, in the order and the number asked for.
        rest: the trials without a result as data.
        facts: what is stored of the study.
        run: name of the run.
    """

    title: str
    warnings: tuple[str, ...]
    leaderboard: Grid
    footnotes: tuple[str, ...]
    unfinished: Grid
    narrowed: Grid
    notes: tuple[str, ...]
    board: pd.DataFrame
    rest: pd.DataFrame
    facts: StudyFacts
    run: str


def compose(
    read: RunTrials, *, stage: str | None = None, top: int | None = None, sort: str | None = None
) -> Report:
    """Put a report together.

    Args:
        read: the trials.
        stage: the one stage that was read, for the title; None for all.
        top: number of trials the leaderboard shows at most; None for all.
        sort: name of the column to sort by; None for the rank.

    Raises:
        UserError: there is no such column.
    """
    board = _with_own_columns(ranked_frame(read), read.ranked)
    if sort is not None:
        board = _sorted(board, sort)
    n_ranked, board = len(board), board if top is None else board.head(top)
    records = [read.ranked[index] for index in board.index]
    board = board.reset_index(drop=True)
    rest = unranked_frame(read)
    facts = read.facts
    return Report(
        title=_title(read, stage),
        warnings=tuple(map(printable, facts.warnings)),
        leaderboard=_leaderboard(
            board, records, facts, read.ranked[0].value if read.ranked else None
        ),
        footnotes=tuple(_footnotes(board, n_ranked, facts)),
        unfinished=_unfinished(rest, read.unranked),
        narrowed=_narrowed(facts.narrowed),
        notes=(
            *_narrowing_lines(facts.narrowed),
            *map(printable, finalist_lines(read.repeated, facts.study)),
            *map(printable, facts.notes),
            *_ledger_lines(facts.ledger),
        ),
        board=board,
        rest=rest,
        facts=facts,
        run=read.run.name,
    )


def printable(line: str) -> str:
    """Return a text as one line without anything that a terminal would obey."""
    words = " ".join(line.split())
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in words)


def plain_values(frame: pd.DataFrame, name: str) -> list[Any]:
    """Return a column as plain Python values, None where one is missing."""
    column = frame[name]
    return [
        None if missing else value for value, missing in zip(column, column.isna(), strict=True)
    ]


def _with_own_columns(board: pd.DataFrame, records: Sequence[TrialRecord]) -> pd.DataFrame:
    """Add the data of those columns that only the table of columns knows."""
    own = [column for column in COLUMNS if column.in_data and column.name not in board]
    return board.assign(
        **{column.name: column.load()(column.name, board, records) for column in own}
    )


def _sorted(board: pd.DataFrame, name: str) -> pd.DataFrame:
    if name not in board:
        raise UserError(f"--sort: unknown column {name!r}: {suggest(name, board.columns)}")
    largest_first = name in COLUMNS and COLUMNS[name].largest_first
    return board.sort_values(name, ascending=not largest_first, kind="stable", na_position="last")


def _title(read: RunTrials, stage: str | None) -> str:
    facts = read.facts
    splits = (("train", "training"), ("validation", "validation"), ("test", "test"))
    sizes = [
        f"{facts.split_sizes[key]:,} {word}" for key, word in splits if key in facts.split_sizes
    ]
    parts = [
        read.run.name if stage is None else f"{read.run.name}, stage {stage}",
        f"data {facts.data_source}" if facts.data_source else "",
        counted(len(facts.class_names), "class", "classes") if facts.class_names else "",
        f"{', '.join(sizes)} images" if sizes else "",
    ]
    return printable(" · ".join(part for part in parts if part))


def _leaderboard(
    board: pd.DataFrame, records: Sequence[TrialRecord], facts: StudyFacts, best: float | None
) -> Grid:
    columns, texts = [], []
    for column in _shown_columns(board):
        values = pd.DataFrame({"values": column.load()(column.name, board, records)})
        plain = plain_values(values, "values")
        if any(value is not None for value in plain):
            columns.append(column)
            texts.append([printable(column.cell(value)) for value in plain])
    pruned = frozenset(index for index, record in enumerate(records) if record.state == "pruned")
    foot = _reference_cells(columns, facts, best) if facts.reference else None
    return Grid(tuple(columns), tuple(zip(*texts, strict=True)), pruned, foot)


def _shown_columns(board: pd.DataFrame) -> list[Column]:
    """Return the columns of a table for people; further parameters follow on momentum."""
    shown = [column for column in COLUMNS if column.drop is not None]
    further = [of_parameter(name) for name in board.columns if name not in COLUMNS]
    place = next(i for i, column in enumerate(shown) if column.name == "momentum") + 1
    return [*shown[:place], *further, *shown[place:]]


def _reference_cells(
    columns: Sequence[Column], facts: StudyFacts, best: float | None
) -> tuple[str, ...]:
    """Return the row of the reference; it has the sign of a tie as any trial."""
    reference = facts.reference or {}
    cells = {column.name: "" for column in columns}
    cells |= {
        column.name: column.cell(reference[column.name])
        for column in columns
        if column.name in reference
    }
    if facts.n_validation and best is not None and "val_accuracy" in reference:
        low, high = sorted((best, reference["val_accuracy"]))
        cells["tie"] = "" if differs(high, low, facts.n_validation) else TIE
    return tuple({**cells, "stage": REFERENCE}.values())


def _footnotes(board: pd.DataFrame, n_ranked: int, facts: StudyFacts) -> list[str]:
    if n_ranked == 0:
        return ["no trial has a result yet"]
    lines = []
    if len(board) < n_ranked:
        lines.append(f"{len(board)} of {counted(n_ranked, 'trial')} shown")
    lines.append("figures are of each trial's epoch of highest validation accuracy")
    if facts.n_validation:
        lines.append(f"{COLUMNS['interval'].heading}: interval of val acc (Wilson 1927)")
        lines.append(
            f"{TIE} can't be told apart from the first: the 95 % interval of the difference on "
            f"{counted(facts.n_validation, 'validation image')} holds 0 (Newcombe 1998)"
        )
    if (board["state"] == "pruned").any():
        lines.append("pruned: stopped for being worse than others at the same epoch")
    if facts.reference:
        lines.append(printable(f"{REFERENCE}: {facts.reference.get('label', 'not named')}"))
    return lines


def _unfinished(rest: pd.DataFrame, records: Sequence[TrialRecord]) -> Grid:
    columns = (
        COLUMNS["stage"],
        COLUMNS["trial"],
        COLUMNS["state"],
        COLUMNS["epochs"],
        COLUMNS["val_accuracy"],
        _free_text("parameters", "drawn values"),
        _free_text("reason", "why there is no result"),
    )
    frame = rest.assign(parameters=[_parameters_text(record) for record in records])
    texts = [
        [printable(column.cell(value)) for value in plain_values(frame, column.name)]
        for column in columns
    ]
    return Grid(columns, tuple(zip(*texts, strict=True)))


def _narrowed(narrowed: Mapping[str, Narrowed]) -> Grid:
    columns = (
        COLUMNS["stage"],
        Column(name="parameter", about="what is drawn", heading="parameter", align="left"),
        _free_text("values", "what it is drawn from"),
        _free_text("because", "which trials it was narrowed from, and how"),
    )
    rows = [
        (stage, name.replace("_", " "), _values_text(one.space.parameters.get(name)), reason)
        for stage, one in narrowed.items()
        for name, reason in one.reasons.items()
    ]
    return Grid(columns, tuple(tuple(map(printable, row)) for row in rows))


def _values_text(parameter: Any) -> str:
    if parameter is None:
        return MISSING
    condition = condition_text(parameter)
    return f"{parameter} where {condition}" if condition else str(parameter)


def _narrowing_lines(narrowed: Mapping[str, Narrowed]) -> list[str]:
    return [
        printable(f"stage {stage}: {line}")
        for stage, one in narrowed.items()
        for line in (f"narrowed from {trials_text(one.trials)} of {one.stage}", *one.warnings)
    ]


def _free_text(name: str, about: str) -> Column:
    return Column(name=name, about=about, heading=name, align="left", folds=True)


def _parameters_text(record: TrialRecord) -> str:
    parts = [
        value if isinstance(value, str) else f"{name.replace('_', ' ')} {text(value)}"
        for name, value in record.parameters.items()
    ]
    return ", ".join(parts) or MISSING


def _ledger_lines(ledger: Mapping[str, Any]) -> list[str]:
    """Say in one line what was read and what was skipped, and why."""
    if "n_read" not in ledger:
        return []
    line = f"read {counted(ledger['n_read'], 'image')}"
    reasons = Counter(skipped["reason"] for skipped in ledger.get("skipped", ()))
    if reasons:
        each = ", ".join(f"{reason} ({number})" for reason, number in reasons.most_common())
        line += f", skipped {counted(reasons.total(), 'file')}: {each}"
    return [printable(line)]
