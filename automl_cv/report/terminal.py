"""A report in colours for a terminal, and the same as plain text."""

from __future__ import annotations

import os

from rich.text import Text

from automl_cv.report.document import Document
from automl_cv.report.layout import lay_out

WIDTH = 100

STYLES = {"plain": "", "heading": "bold", "faint": "dim", "warning": "yellow"}


def for_terminal(report: Document, width: int) -> Text:
    """Return a report that fits a terminal.

    Args:
        report: what to show.
        width: number of characters a line holds.
    """
    # Text, not markup: square brackets in a class name mean nothing.
    lines = [Text(line.text, STYLES[line.kind]) for line in lay_out(report, width)]
    shown = Text("\n").join(lines)
    shown.no_wrap, shown.overflow = True, "ignore"
    return shown


def as_text(report: Document, width: int | None = None) -> str:
    """Return a report as text without colours, each line ended.

    Args:
        report: what to show.
        width: number of characters a line holds; None where that is no concern.
    """
    return "".join(f"{line.text}\n" for line in lay_out(report, width))


def off_terminal(report: Document) -> str:
    """Return a report as text for a file, a pipe or a log: as wide as COLUMNS says, else 100.

    Args:
        report: what to show.
    """
    said = os.environ.get("COLUMNS", "")
    return as_text(report, int(said) if said.isdecimal() and int(said) else WIDTH)
