"""A report as Markdown, with tables as GitHub reads them."""

from __future__ import annotations

from automl_cv.report.document import Document, Grid
from automl_cv.words import in_markdown


def as_markdown(report: Document) -> str:
    """Return a report as Markdown, each line ended."""
    lines = [f"> **Warning:** {in_markdown(line)}\n" for line in report.warnings]
    lines += [f"**{in_markdown(report.title)}**", ""]
    lines += [line for sentence in report.verdict for line in (_sentence(sentence), "")]
    if report.table.rows:
        lines += [*_table(report.table), ""]
    lines += [f"- {in_markdown(line)}" for line in report.footnotes]
    for section in report.sections:
        if section.grid.rows:
            lines += ["", f"**{section.heading}**", "", *_table(section.grid)]
    if report.notes:
        lines += ["", *(f"- {in_markdown(line)}" for line in report.notes)]
    return "\n".join(lines) + "\n"


def _table(grid: Grid) -> list[str]:
    sides = ["---:" if column.align == "right" else ":---" for column in grid.columns]
    rows = [*grid.rows, *([grid.foot] if grid.foot else [])]
    return [
        _row([in_markdown(column.heading) for column in grid.columns]),
        _row(sides),
        *(_row([in_markdown(cell) for cell in cells]) for cells in rows),
    ]


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _sentence(line: str) -> str:
    """Escape a sentence of ours, but for the commands that it has between backticks."""
    parts = line.split("`")
    return "`".join(part if place % 2 else in_markdown(part) for place, part in enumerate(parts))
