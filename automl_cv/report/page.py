"""A report as one HTML page that needs no other file."""

from __future__ import annotations

from base64 import b64encode
from html import escape

from automl_cv.report.columns import Column
from automl_cv.report.document import Grid, Report

STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 96rem; padding: 0 1rem; }
h1 { font-size: 1.25rem; }
h2 { font-size: 1rem; margin-top: 2rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; white-space: nowrap; }
th, td { padding: .3rem .45rem; text-align: left; }
th { border-bottom: 2px solid #8888; vertical-align: bottom; white-space: normal; }
tbody tr + tr td { border-top: 1px solid #8883; }
tfoot td { border-top: 2px solid #8888; }
.right { text-align: right; }
.faint { opacity: .6; }
.wrap { white-space: normal; min-width: 9rem; }
.warning { background: #fc03; border-left: 4px solid #d90; margin: .5rem 0; padding: .4rem .8rem; }
img { max-width: 100%; }
.small { font-size: .9rem; margin: .3rem 0; opacity: .8; }
""".strip()


def as_page(report: Report) -> str:
    """Return a report as a page; every text of the data is escaped."""
    title = escape(report.title)
    parts = [f'<p class="warning">{escape(line)}</p>' for line in report.warnings]
    parts.append(f"<h1>{title}</h1>")
    if report.table.rows:
        parts.append(_table(report.table))
    parts += [f'<p class="small">{escape(line)}</p>' for line in report.footnotes]
    if report.picture is not None:
        content = b64encode(report.picture).decode()
        parts.append(f'<p><img alt="{title}" src="data:image/png;base64,{content}"></p>')
    for section in report.sections:
        if section.grid.rows:
            parts += [f"<h2>{escape(section.heading.capitalize())}</h2>", _table(section.grid)]
    if report.notes:
        parts += ["<h2>Notes</h2>", "<ul>"]
        parts += [f"<li>{escape(line)}</li>" for line in report.notes]
        parts.append("</ul>")
    body = "\n".join(parts)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>\n{STYLE}\n</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def _table(grid: Grid) -> str:
    kinds = [_kind(column) for column in grid.columns]
    headings = "".join(
        f'<th scope="col"{kind} title="{escape(column.about)}">{escape(column.heading)}</th>'
        for column, kind in zip(grid.columns, kinds, strict=True)
    )
    lines = ['<div class="scroll"><table>', f"<thead><tr>{headings}</tr></thead>", "<tbody>"]
    for index, row in enumerate(grid.rows):
        faint = ' class="faint"' if index in grid.faint else ""
        lines.append(f"<tr{faint}>{_cells(row, kinds)}</tr>")
    lines.append("</tbody>")
    if grid.foot:
        lines.append(f"<tfoot><tr>{_cells(grid.foot, kinds)}</tr></tfoot>")
    lines.append("</table></div>")
    return "\n".join(lines)


def _cells(row: tuple[str, ...], kinds: list[str]) -> str:
    return "".join(f"<td{kind}>{escape(cell)}</td>" for cell, kind in zip(row, kinds, strict=True))


def _kind(column: Column) -> str:
    if column.align == "right":
        return ' class="right"'
    return ' class="wrap"' if column.folds else ""
