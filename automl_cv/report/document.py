"""A report as text cells and lines, ready for any form: terminal, Markdown or a page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from automl_cv.report.columns import Column
from automl_cv.results.leaderboard import RunTrials
from automl_cv.store.facts import RunFacts
from automl_cv.words import counted, printable


@dataclass(frozen=True)
class Grid:
    """A table of texts.

    Args:
        columns: heading and side of each column.
        rows: cells, one tuple a row.
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
class Section:
    """A further table, below the first.

    Args:
        heading: what stands above it, in small letters.
        grid: the table; a section without rows is not shown.
    """

    heading: str
    grid: Grid


@dataclass(frozen=True)
class Document:
    """Text cells and lines.

    Args:
        title: what it is about, study and data.
        warnings: lines for the top.
        table: what it is about.
        footnotes: what signs and figures of the table mean, or why there is none. One that
            begins with a heading and a colon goes where its column goes.
        sections: further tables.
        notes: lines for the end.
        verdict: what it comes to, in a few sentences that stand before all tables.
        command: what to run next; empty for nothing.
    """

    title: str
    warnings: tuple[str, ...]
    table: Grid
    footnotes: tuple[str, ...]
    sections: tuple[Section, ...]
    notes: tuple[str, ...]
    verdict: tuple[str, ...] = field(default=(), kw_only=True)
    command: str = field(default="", kw_only=True)


@dataclass(frozen=True)
class Report(Document):
    """All that a report on a study says.

    Args:
        frames: the same as data, by what the rows are; the first holds those of the table,
            in the order and the number asked for.
        facts: what is stored of the study.
        run: name of the run.
        winner: what the first trial is worth, as plain data; None where that is not known.
        read: the trials that it is about; None for views of something else than trials.
        cache_dir: where what is known of image files lies; None where none are to be looked at.
        picture: of what the table is about, the content of a PNG file, for pages; or None.
        maps: folder of pictures that `automl-cv maps` wrote, for pages; None for none.
        sides: of two runs beside one another, the reports of both.
        heading: what stands above the table in a page; empty for "Leaderboard".
    """

    frames: Mapping[str, pd.DataFrame]
    facts: RunFacts
    run: str
    winner: Mapping[str, Any] | None = None
    read: RunTrials | None = None
    cache_dir: Path | None = None
    picture: bytes | None = None
    maps: Path | None = None
    sides: tuple[Report, ...] = ()
    heading: str = ""

    @property
    def board(self) -> pd.DataFrame:
        """The table as data."""
        return next(iter(self.frames.values()))


def grid_of(
    columns: Iterable[Column],
    frame: pd.DataFrame,
    records: Sequence[Any],
    faint: frozenset[int] = frozenset(),
) -> Grid:
    """Return a table of texts.

    Args:
        columns: what to show; a column without any value is left out.
        frame: the rows as data.
        records: what the rows were made of, in the same order; columns may look at them.
        faint: indices of rows to show faintly.
    """
    shown, texts = [], []
    for column in columns:
        values = pd.DataFrame({"values": column.load()(column.name, frame, records)})
        plain = plain_values(values, "values")
        if any(value is not None for value in plain):
            shown.append(column)
            texts.append([printable(column.cell(value)) for value in plain])
    return Grid(tuple(shown), tuple(zip(*texts, strict=True)), faint)


def plain_values(frame: pd.DataFrame, name: str) -> list[Any]:
    """Return a column as plain Python values, None where one is missing."""
    column = frame[name]
    return [
        None if missing else value for value, missing in zip(column, column.isna(), strict=True)
    ]


def title_of(read: RunTrials, stage: str | None) -> str:
    """Return what stands above every report: run, stage, data, classes and splits."""
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


def free_text(name: str, about: str) -> Column:
    """Return a column of words, which take several lines where the table is too wide."""
    return Column(name=name, about=about, heading=name, align="left", folds=True)
