"""The leaderboard of a study, what stands below it, and the lines that explain both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from automl_cv.catalog.metrics import MetricEntry
from automl_cv.data.ledger import Greys, findings_of
from automl_cv.errors import UserError, suggest
from automl_cv.report.columns import COLUMNS, MISSING, TIE, Column, accuracy, of_parameter, text
from automl_cv.report.document import (
    Grid,
    Report,
    Section,
    free_text,
    grid_of,
    plain_values,
    title_of,
)
from automl_cv.report.finalists import finalist_lines
from automl_cv.report.verdict import next_command, verdict_lines
from automl_cv.report.winner import winner_data, winner_lines
from automl_cv.results.claims import declared
from automl_cv.results.corrected import CorrectedWinner
from automl_cv.results.doubts import Doubted
from automl_cv.results.intervals import differs
from automl_cv.results.leaderboard import RunTrials, ranked_frame, unranked_frame
from automl_cv.results.ranking import is_beaten_by_reference
from automl_cv.store.facts import Narrowed, StudyFacts
from automl_cv.store.records import MEMBERS, TrialRecord
from automl_cv.study import reference
from automl_cv.study.space import condition_text
from automl_cv.words import counted, listed, printable, trials_text

NO_RESULT = "no trial has a result yet"


def compose(
    read: RunTrials,
    *,
    stage: str | None = None,
    top: int | None = None,
    sort: str | None = None,
    winner: CorrectedWinner | None = None,
    doubted: Doubted | None = None,
) -> Report:
    """Put a report together.

    Args:
        read: the trials.
        stage: the one stage that was read, for the title; None for all.
        top: number of trials the leaderboard shows at most; None for all.
        sort: name of the column to sort by; None for the rank.
        winner: what the first trial is worth; None where that is not known.
        doubted: labels that it doubts; None where that is not known.

    Raises:
        UserError: there is no such column.
    """
    board = _with_own_columns(ranked_frame(read), [row.record for row in read.rows])
    if sort is not None:
        board = _sorted(board, sort, read.facts.metric)
    n_ranked, board = len(board), board if top is None else board.head(top)
    records = [read.rows[index].record for index in board.index]
    board = board.reset_index(drop=True)
    rest = unranked_frame(read)
    facts = read.facts
    return Report(
        title=title_of(read, stage),
        verdict=tuple(map(printable, verdict_lines(read, winner))),
        warnings=tuple(map(printable, facts.warnings)),
        table=_leaderboard(board, records, facts, _best_accuracy(read)),
        footnotes=(
            *_footnotes(board, n_ranked, read),
            *_retrained_lines(read),
            *map(printable, winner_lines(winner, whole=stage is None)),
        ),
        sections=(
            Section("trials without a result", _unfinished(rest, read.unranked)),
            Section("narrowed stages", _narrowed(facts.narrowed)),
        ),
        notes=(
            *_reference_lines(read),
            *_combined_lines(read.ranked),
            *_narrowing_lines(facts.narrowed),
            *map(printable, finalist_lines(read, whole=stage is None)),
            *map(printable, facts.notes),
            *_ledger_lines(facts.ledger),
            *_doubted_lines(doubted, read.run.name),
            *_claims_lines(read),
        ),
        frames={"trials": board, "unfinished": rest},
        facts=facts,
        run=read.run.name,
        winner=None if winner is None else winner_data(winner),
        read=read,
        command=next_command(read),
    )


def _best_accuracy(read: RunTrials) -> float | None:
    """Return the first row's accuracy where rows are ranked by it and the reference's images."""
    if not read.rows or read.facts.metric.has_own_column:
        return None
    first = read.rows[0]
    return first.figures.val_accuracy if first.n_images == read.facts.n_validation else None


def _reference_lines(read: RunTrials) -> list[str]:
    """Say where no trial is better than the reference, which `fit` then takes."""
    if not is_beaten_by_reference(read.ranked, read.facts, read.run.name):
        return []
    return ["no trial is better than the reference, so that `automl-cv fit` takes it"]


def _combined_lines(records: Sequence[TrialRecord]) -> list[str]:
    """Say what each combination adds, and with which weights."""
    lines = []
    for record in records:
        if MEMBERS in record.parameters:
            weights = sorted(record.weights.items(), key=lambda one: -one[1])
            shown = [f"{name} × {weight:.2g}" for name, weight in weights if weight > 0]
            added = f": logits of {', '.join(shown)} added" if shown else ""
            lines.append(record.name + added)
    return lines


def _retrained_lines(read: RunTrials) -> list[str]:
    """Say what rows of several trainings are."""
    if not any(row.is_winner for row in read.rows):
        return []
    return [
        "repeats: one row for all trainings of a trial that was trained again, means at their best "
        "epochs; first stands the one that `automl-cv fit` takes, then all by their figures"
    ]


def metric_column(metric: MetricEntry) -> Column:
    """Return the column of a metric; of accuracy, the table's own."""
    if not metric.has_own_column:
        return COLUMNS["val_accuracy"]
    return Column(
        name=metric.name,
        about=f"{metric.about} on validation images",
        heading=metric.heading,
        format=accuracy,
        largest_first=metric.direction == "maximize",
    )


def _with_own_columns(board: pd.DataFrame, records: Sequence[TrialRecord]) -> pd.DataFrame:
    """Add the data of those columns that only the table of columns knows."""
    own = [column for column in COLUMNS if column.in_data and column.name not in board]
    return board.assign(
        **{column.name: column.load()(column.name, board, records) for column in own}
    )


def _sorted(board: pd.DataFrame, name: str, metric: MetricEntry) -> pd.DataFrame:
    if name not in board:
        raise UserError(f"--sort: unknown column {name!r}: {suggest(name, board.columns)}")
    columns = {column.name: column for column in (*COLUMNS, metric_column(metric))}
    largest_first = name in columns and columns[name].largest_first
    return board.sort_values(name, ascending=not largest_first, kind="stable", na_position="last")


def _leaderboard(
    board: pd.DataFrame, records: Sequence[TrialRecord], facts: StudyFacts, best: float | None
) -> Grid:
    pruned = frozenset(index for index, record in enumerate(records) if record.state == "pruned")
    grid = grid_of(_shown_columns(board, facts.metric), board, records, pruned)
    foot = _reference_cells(grid.columns, facts, best) if facts.reference else None
    return replace(grid, foot=foot)


def _shown_columns(board: pd.DataFrame, metric: MetricEntry) -> list[Column]:
    """Return the columns of a table for people; further parameters follow on momentum."""
    shown = [column for column in COLUMNS if column.drop is not None]
    own = metric_column(metric)
    if own not in shown:
        shown.insert(shown.index(COLUMNS["val_accuracy"]), own)
    known = {*COLUMNS.names, own.name}
    others = [of_parameter(name) for name in board.columns if name not in known]
    further = [column for column in others if column.drop is not None]
    place = next(i for i, column in enumerate(shown) if column.name == "momentum") + 1
    return [*shown[:place], *further, *shown[place:]]


def _reference_cells(
    columns: Sequence[Column], facts: StudyFacts, best: float | None
) -> tuple[str, ...]:
    """Return the row of the reference; it has the sign of a tie as any trial."""
    figures = facts.reference or {}
    cells = {column.name: "" for column in columns}
    cells |= {
        column.name: column.cell(figures[column.name])
        for column in columns
        if column.name in figures
    }
    if facts.n_validation and best is not None and "val_accuracy" in figures:
        low, high = sorted((best, figures["val_accuracy"]))
        cells["tie"] = "" if differs(high, low, facts.n_validation) else TIE
    return tuple({**cells, "stage": reference.NAME}.values())


def _footnotes(board: pd.DataFrame, n_ranked: int, read: RunTrials) -> list[str]:
    facts = read.facts
    if n_ranked == 0:
        return ["no trial on all images has a result yet" if read.screened else NO_RESULT]
    lines = []
    if len(board) < n_ranked:
        lines.append(f"{len(board)} of {counted(n_ranked, 'trial')} shown")
    metric = facts.metric
    extreme = "highest" if metric.direction == "maximize" else "lowest"
    lines.append(f"figures are of each trial's epoch of {extreme} validation {metric.about}")
    if facts.is_over_folds:
        lines.append(
            f"val: of all {counted(facts.n_known, 'train and validation image')}, each by a "
            f"training that it had no part in ({facts.study['folds']} folds)"
        )
        if metric.is_share_of_images:
            lines.append(
                "first stand those within one standard error of the highest, by val loss; then "
                "the others"
            )
    if facts.n_validation:
        lines.append(f"{COLUMNS['interval'].heading}: interval of val acc (Wilson 1927)")
    if not metric.is_share_of_images:
        lines.append(
            f"trials are ranked by {metric.about}; no ties are shown, as the interval that tells "
            "them (Newcombe 1998) holds for accuracy alone"
        )
    elif facts.n_validation:
        lines.append(
            f"{TIE} can't be told apart from the first: the 95 % interval of the difference on "
            f"{counted(facts.n_validation, 'validation image')} holds 0 (Newcombe 1998)"
        )
    if (board["state"] == "pruned").any():
        lines.append("pruned: stopped for being worse than others at the same epoch")
    if facts.reference:
        lines.append(printable(f"{reference.NAME}: {facts.reference.get('label', 'not named')}"))
    return lines


def _unfinished(rest: pd.DataFrame, records: Sequence[TrialRecord]) -> Grid:
    columns = (
        COLUMNS["stage"],
        COLUMNS["trial"],
        COLUMNS["state"],
        COLUMNS["epochs"],
        COLUMNS["val_accuracy"],
        free_text("parameters", "drawn values"),
        free_text("reason", "why there is no result"),
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
        free_text("values", "what it is drawn from"),
        free_text("because", "which trials it was narrowed from, and how"),
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


def _parameters_text(record: TrialRecord) -> str:
    parts = [
        value if isinstance(value, str) else f"{name.replace('_', ' ')} {text(value)}"
        for name, value in record.parameters.items()
    ]
    return ", ".join(parts) or MISSING


def _doubted_lines(doubted: Doubted | None, run: str) -> list[str]:
    """Say how many labels the first trial doubts, and what shows them."""
    if doubted is None or not doubted.number:
        return []
    return [
        f"labels: {doubted.number:,} of {counted(doubted.images, 'image')} that validate "
        f"{'is' if doubted.number == 1 else 'are'} doubted by the first trial; "
        f"`automl-cv report {run} --suspects` shows them"
    ]


def _claims_lines(read: RunTrials) -> list[str]:
    """Say what shows how the claims of the study's source came out."""
    claims, _ = declared(read) if read.is_whole else ((), ())
    if not claims:
        return []
    return [
        f"claims: the study's source says {counted(len(claims), 'thing')} that these trials "
        f"confirm, refute or leave open; `automl-cv report {read.run.name} --claims` shows which"
    ]


def _ledger_lines(ledger: Mapping[str, Any]) -> list[str]:
    """Say what was read, what was skipped and why, and what else was found of the images."""
    if "n_read" not in ledger:
        return []
    line = f"read {counted(ledger['n_read'], 'image')}"
    skipped = ledger.get("skipped", ())
    reasons = Counter(one["reason"] for one in skipped)
    if reasons:
        each = ", ".join(f"{reason} ({number})" for reason, number in reasons.most_common())
        names = listed([one["path"] for one in skipped])
        line += f", skipped {counted(reasons.total(), 'file')}: {each}; {names}"
    notes = [f"data: {one.line}" for one in findings_of(ledger) if one.harm == "note"]
    greys = ledger.get("greys")
    if greys is not None:
        notes.insert(0, f"data: {Greys.from_json(greys).summary()}")
    return [printable(one) for one in (line, *notes)]
