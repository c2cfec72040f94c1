"""What a study's source said, beside what came of it: its tables, and a verdict on each claim.

A column of the claims is one of `CLAIM_COLUMNS`, one of the tables stands in `TABLE_COLUMNS`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from automl_cv.errors import UserError
from automl_cv.report.columns import COLUMNS, MISSING, Column
from automl_cv.report.document import Grid, Report, Section, free_text, grid_of, title_of
from automl_cv.report.verdict import next_command
from automl_cv.results.claims import Judged, claims_frame, declared, judged
from automl_cv.results.comparison import SOURCE
from automl_cv.results.leaderboard import RunTrials
from automl_cv.results.rows import Row
from automl_cv.study.claims import PublishedRow, PublishedTable
from automl_cv.words import counted, printable

CLAIM_COLUMNS = (
    free_text("claim", "what the study's source concluded"),
    Column(
        name="verdict",
        about="by the trials of this run, on these images",
        heading="verdict",
        align="left",
    ),
    free_text("figures", "by which figures"),
)

PUBLISHED = "published"
MOST_ROWS = 30  # of this run in one table: a source's has few


def row_name(row: PublishedRow | Row) -> str:
    """Return what a row is called: "published 5", "coarse/4", "augmented of coarse/4"."""
    if isinstance(row, PublishedRow):
        return f"{PUBLISHED} {row.row}"
    source = row.record.parameters.get(SOURCE)
    return row.record.name if source is None else f"{row.record.stage} of {source}"


TABLE_COLUMNS = (
    Column(
        name="row", about="of the source, or a trial of this run", heading="model", align="left"
    ),
    *(
        COLUMNS[name]
        for name in (
            "repeats",
            "batch_size",
            "optimizer",
            "learning_rate",
            "momentum",
            "epochs",
            "accuracy",
            "val_accuracy",
            "interval",
            "loss",
            "val_loss",
        )
    ),
)
"""Of a source's tables; a column without any figure is left out."""


def compose_claims(read: RunTrials) -> Report:
    """Put a report together that answers a study's source, claim by claim and table by table.

    Raises:
        UserError: the study has neither.
    """
    claims, tables = declared(read)
    if not claims and not tables:
        raise UserError(
            f"--claims: study {read.run.study!r} declares no [[claim]] and no [[table]]; "
            "docs/study-files.md says how one does"
        )
    found = judged(read)
    frame = claims_frame(found)
    return Report(
        title=f"{title_of(read, None)} · what its source said",
        warnings=tuple(map(printable, read.facts.warnings)),
        table=grid_of(CLAIM_COLUMNS, frame, found),
        footnotes=tuple(footnotes(found)),
        sections=source_tables(read, tables),
        notes=(),
        frames={"claims": frame},
        facts=read.facts,
        run=read.run.name,
        command=next_command(read),
        heading="What the source said",
    )


def footnotes(found: Sequence[Judged]) -> list[str]:
    """Say how claims are judged, and how many came out how."""
    if not found:
        return ["the study declares no claim"]
    counts = Counter(one.verdict for one in found)
    told = ", ".join(f"{number} {verdict}" for verdict, number in counts.items())
    return [
        f"{counted(len(found), 'claim')}: {told}; of these images",
        "confirmed: the whole 95 % interval lies where the claim says; refuted: none of it; in "
        "brackets the interval, over repeats or, of trials that were trained once, over images",
        "one seed or fold each settles nothing: another may lie anywhere",
    ]


def source_tables(read: RunTrials, tables: Sequence[PublishedTable]) -> tuple[Section, ...]:
    """Return a source's tables: its own rows first, faint, then the trials of the same stages."""
    return tuple(_section(read, one) for one in tables)


def _section(read: RunTrials, table: PublishedTable) -> Section:
    own = _own(read, table)
    heading = table.heading
    if len(own) > MOST_ROWS:
        heading += f", the best {MOST_ROWS} of {len(own):,} trials"
        place = {id(row): number for number, row in enumerate(read.rows)}
        best = {id(row) for row in sorted(own, key=lambda row: place[id(row)])[:MOST_ROWS]}
        own = [row for row in own if id(row) in best]
    return Section(printable(heading), _grid(table, own))


def _grid(table: PublishedTable, own: Sequence[Row]) -> Grid:
    rows: list[PublishedRow | Row] = [*table.published, *own]
    cells = [[_cell(column, row) for column in TABLE_COLUMNS] for row in rows]
    kept = [
        place for place in range(len(TABLE_COLUMNS)) if any(row[place] != MISSING for row in cells)
    ]
    return Grid(
        tuple(TABLE_COLUMNS[place] for place in kept),
        tuple(tuple(printable(row[place]) for place in kept) for row in cells),
        frozenset(range(len(table.published))),
    )


def _own(read: RunTrials, table: PublishedTable) -> list[Row]:
    """Return the rows of a table's stages, in their order.

    Of several stages that train again only the trials that all of them have: the source trained
    its winner again, a stage here may have trained more.
    """
    by_stage = {
        name: sorted(
            (row for row in read.rows if row.record.stage == name), key=lambda row: row.record.trial
        )
        for name in table.stages
    }
    sources = [
        {row.record.parameters.get(SOURCE) for row in rows} for rows in by_stage.values() if rows
    ]
    common = set.intersection(*sources) if sources else set()
    if common - {None}:
        by_stage = {
            name: [row for row in rows if row.record.parameters.get(SOURCE) in common]
            for name, rows in by_stage.items()
        }
    return [row for rows in by_stage.values() for row in rows]


def _cell(column: Column, row: PublishedRow | Row) -> str:
    if column.name == "row":
        return row_name(row)
    if isinstance(row, PublishedRow):
        return column.cell(getattr(row, column.name, None))
    return column.cell(_value(column, row))


def _value(column: Column, row: Row) -> Any:
    """Return what a row of the board has of a column."""
    low, high = row.interval
    match column.name:
        case "repeats":
            return row.repeats if row.repeats > 1 else None
        case "interval":
            return None if low is None else f"{low:.3f}–{high:.3f}"
        case "epochs":
            return row.n_epochs
        case "accuracy" | "val_accuracy" | "loss" | "val_loss":
            return getattr(row.figures, column.name)
    return row.record.parameters.get(column.name)
