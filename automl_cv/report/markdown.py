"""A report as Markdown, with tables as GitHub reads them."""

from __future__ import annotations

import re

from automl_cv.report.document import Grid, Report


def as_markdown(report: Report) -> str:
    """Return a report as Markdown, each line ended."""
    lines = [f"> **Warning:** {_escaped(line)}\n" for line in report.warnings]
    lines += [f"**{_escaped(report.title)}**", ""]
    if report.leaderboard.rows:
        lines += [*_table(report.leaderboard), ""]
    lines += [f"- {_escaped(line)}" for line in report.footnotes]
    if report.unfinished.rows:
        lines += ["", "**trials without a result**", "", *_table(report.unfinished)]
    if report.narrowed.rows:
        lines += ["", "**narrowed stages**", "", *_table(report.narrowed)]
    if report.notes:
        lines += ["", *(f"- {_escaped(line)}" for line in report.notes)]
    return "\n".join(lines) + "\n"


def _table(grid: Grid) -> list[str]:
    sides = ["---:" if column.align == "right" else ":---" for column in grid.columns]
    rows = [*grid.rows, *([grid.foot] if grid.foot else [])]
    return [
        _row([_escaped(column.heading) for column in grid.columns]),
        _row(sides),
        *(_row([_escaped(cell) for cell in cells]) for cells in rows),
    ]


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escaped(line: str) -> str:
    """Keep Markdown from reading a name's signs as its own."""
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", line)
