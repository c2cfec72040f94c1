"""Lays a report out as lines of a fixed width, with columns that matter less giving way.

Rich's own tables would do, but take a second and a half for a thousand trials.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Literal

from rich.cells import cell_len

from automl_cv.report.document import Document, Grid

GAP = 2  # spaces between columns
NARROWEST = 12  # a column of free text is folded, but not below this


@dataclass(frozen=True)
class Line:
    """One line.

    Args:
        text: without trailing spaces.
        kind: what it is, for colours.
    """

    text: str
    kind: Literal["plain", "heading", "faint", "warning"] = "plain"


def lay_out(report: Document, width: int | None = None) -> list[Line]:
    """Return a report as lines.

    Args:
        report: what to show.
        width: characters that a line holds; None where that is no concern.
    """
    grid, hidden = _fitted(report.table, width)
    lines = [line for warning in report.warnings for line in _fold(warning, width, "warning")]
    lines += _fold(report.title, width, "heading")
    lines += [line for sentence in report.verdict for line in _fold(sentence, width)]
    lines += _table(grid, width)
    signs = tuple(f"{heading}: " for heading in hidden)
    footnotes = [line for line in report.footnotes if not line.startswith(signs)]
    if hidden:
        footnotes.append(f"not shown at this width: {', '.join(hidden)}; --format csv has them")
    lines += [line for footnote in footnotes for line in _fold(footnote, width, "faint")]
    for section in report.sections:
        if section.grid.rows:
            lines += [Line(""), Line(section.heading, "heading")]
            lines += _table(section.grid, width)
    if report.notes:
        lines.append(Line(""))
        lines += [line for note in report.notes for line in _fold(note, width)]
    if report.command:
        # Never folded: it is there to be copied.
        lines += [Line(""), Line(f"next: {report.command}", "heading")]
    return lines


def _fold(
    text: str, width: int | None, kind: Literal["plain", "heading", "faint", "warning"] = "plain"
) -> list[Line]:
    text = f"warning: {text}" if kind == "warning" else text
    return [Line(part, kind) for part in (textwrap.wrap(text, width) if width else [text])]


def _fitted(grid: Grid, width: int | None) -> tuple[Grid, list[str]]:
    """Make a table fit: break its headings, then leave columns out.

    Returns:
        The table, and the headings left out.
    """
    hidden: list[str] = []
    if width is None or _total(_widths(grid)) <= width:
        return grid, hidden
    grid = grid.with_broken_headings()
    while _total(_folded(grid, _widths(grid))) > width:
        column = max(reversed(grid.columns), key=lambda column: column.drop or 0)
        if not column.drop:
            break
        grid = grid.without(column)
        if not column.is_extra:
            hidden.insert(0, column.heading.replace("\n", " "))
    return grid, hidden


def _table(grid: Grid, width: int | None) -> Iterator[Line]:
    if not grid.rows:
        return
    widths = _widths(grid)
    least = _folded(grid, widths)
    while width is not None and _total(widths) > width:
        foldable = [i for i in range(len(widths)) if widths[i] > least[i]]
        if not foldable:
            break
        widths[max(foldable, key=lambda index: widths[index])] -= 1
    headings = [column.heading.split("\n") for column in grid.columns]
    height = max(map(len, headings))
    # Headings stand on the rule, whatever their height.
    padded = [[""] * (height - len(heading)) + heading for heading in headings]
    rule = Line("─" * _total(widths), "faint")
    yield from (Line(_join(grid, part, widths), "heading") for part in zip(*padded, strict=True))
    yield rule
    for index, row in enumerate(grid.rows):
        kind: Literal["plain", "faint"] = "faint" if index in grid.faint else "plain"
        yield from (Line(part, kind) for part in _row(grid, row, widths))
    if grid.foot:
        yield rule
        yield from (Line(part) for part in _row(grid, grid.foot, widths))


def _row(grid: Grid, cells: tuple[str, ...], widths: list[int]) -> Iterator[str]:
    folded = [
        textwrap.wrap(cell, width) if column.folds else [cell]
        for cell, column, width in zip(cells, grid.columns, widths, strict=True)
    ]
    for parts in zip_longest(*folded, fillvalue=""):
        yield _join(grid, parts, widths)


def _join(grid: Grid, cells: tuple[str, ...], widths: list[int]) -> str:
    padded = []
    for cell, column, width in zip(cells, grid.columns, widths, strict=True):
        space = " " * (width - cell_len(cell))
        padded.append(space + cell if column.align == "right" else cell + space)
    return (" " * GAP).join(padded).rstrip()


def _widths(grid: Grid) -> list[int]:
    rows = [*grid.rows, *([grid.foot] if grid.foot else [])]
    return [
        max(
            *(cell_len(part) for part in column.heading.split("\n")),
            *(cell_len(row[index]) for row in rows),
            0,
        )
        for index, column in enumerate(grid.columns)
    ]


def _folded(grid: Grid, widths: list[int]) -> list[int]:
    """Return the widths that columns have where those that fold are as narrow as they get."""
    return [
        min(width, NARROWEST) if column.folds else width
        for column, width in zip(grid.columns, widths, strict=True)
    ]


def _total(widths: list[int]) -> int:
    return sum(widths) + GAP * max(0, len(widths) - 1)
