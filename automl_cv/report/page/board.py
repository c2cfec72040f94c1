"""The leaderboard of the page: all rows as short data, which the page sorts and filters itself."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from automl_cv.report.document import Grid, Report
from automl_cv.report.page.sections import Content

DRAWN = 100  # rows that a browser has at once; drawing ten thousand takes it seconds
MOST = 1_200_000  # bytes of all rows' data: plots and thumbnails need the rest of 2 MB
# Accuracy and its interval stand right after the rank: the first columns are all a phone shows.
FIRST = ("rank", "tie", "val_accuracy", "interval")


def board(report: Report) -> Content:
    """Return the table of a report: of the leaderboard, or of another view."""
    grid = reordered(without_curves(report.table))
    if not grid.rows:
        return Content(lines=report.footnotes, heading=report.heading)
    rows, faint = _fitting(grid)
    notes = report.footnotes
    if len(rows) < len(grid.rows):
        told = (
            f"the first {len(rows):,} of {len(grid.rows):,} rows are in this page, so that it "
            "stays small; --format csv has all"
        )
        notes = (told, *notes)
    data = {"columns": _encoded(grid, rows), "faint": sorted(faint), "drawn": DRAWN}
    return Content(
        heading=report.heading,
        notes=notes,
        more={
            "grid": grid,
            "drawn": rows[:DRAWN],
            "faint": faint,
            "data": data,
            "is_long": len(rows) > DRAWN,
            "total": len(rows),
        },
    )


def without_curves(grid: Grid) -> Grid:
    """Leave out curves of a few signs: the page draws them, and they would weigh much."""
    drawn = next((column for column in grid.columns if column.name == "curve"), None)
    return grid if drawn is None else grid.without(drawn)


def reordered(grid: Grid) -> Grid:
    """Move what matters most to the left, and the study's own metric with it."""
    names = [column.name for column in grid.columns]
    if "rank" not in names:
        return grid
    own = [name for name in names if name not in FIRST and _is_before_accuracy(names, name)]
    wanted = [*FIRST[:2], *own, *FIRST[2:]]
    order = [names.index(name) for name in wanted if name in names]
    order += [index for index in range(len(names)) if index not in order]

    def moved(cells: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(cells[index] for index in order)

    foot = None if grid.foot is None else moved(grid.foot)
    return Grid(moved(grid.columns), tuple(map(moved, grid.rows)), grid.faint, foot)


def _is_before_accuracy(names: list[str], name: str) -> bool:
    """Tell a metric's column, which the board has right before the accuracy."""
    if "val_accuracy" not in names or name == "accuracy":
        return False
    return names.index(name) == names.index("val_accuracy") - 1


def _fitting(grid: Grid) -> tuple[tuple[tuple[str, ...], ...], frozenset[int]]:
    """Return as many of the first rows as the page has room for, and which are faint."""
    rows = grid.rows
    while len(rows) > DRAWN and _weight(_encoded(grid, rows)) > MOST:
        rows = rows[: len(rows) * 4 // 5]
    return rows, frozenset(index for index in grid.faint if index < len(rows))


def _encoded(grid: Grid, rows: Sequence[tuple[str, ...]]) -> list[dict[str, Any]]:
    """Return each column as texts; one of few different texts as these and their numbers."""
    columns = []
    for column, cells in zip(grid.columns, zip(*rows, strict=True), strict=True):
        known = {text: number for number, text in enumerate(dict.fromkeys(cells))}
        one: dict[str, Any] = {
            "name": column.name,
            "side": column.align,
            "largest": column.largest_first,
        }
        if len(known) * 4 < len(cells):
            one |= {"texts": list(known), "numbers": [known[text] for text in cells]}
        else:
            one["cells"] = cells
        columns.append(one)
    return columns


def _weight(columns: list[dict[str, Any]]) -> int:
    """Return the bytes of columns as the page has them."""
    return len(json.dumps(columns, ensure_ascii=False, separators=(",", ":")).encode())
