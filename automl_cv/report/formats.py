"""The forms a report can take. A new form is an entry here and a function."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from automl_cv.errors import UserError
from automl_cv.registry import Entry, Table


@dataclass(frozen=True, kw_only=True)
class Format(Entry):
    """One form; the table says what its target is.

    Args:
        suffix: how the name of such a file ends.
        is_binary: whether it can't be printed.
    """

    suffix: str
    is_binary: bool = False


F = TypeVar("F", bound=Format)


@dataclass(frozen=True, kw_only=True)
class ReportFormat(Format):
    """One form of a report; its target is a function (report) -> text, or bytes if `is_binary`.

    Args:
        is_data: whether it holds rows alone, no words.
    """

    is_data: bool = False


FORMATS: Table[ReportFormat] = Table(
    "format",
    [
        ReportFormat(
            name="table",
            about="for people",
            target="automl_cv.report.terminal:off_terminal",
            suffix=".txt",
        ),
        ReportFormat(
            name="csv",
            about="the table, full precision",
            target="automl_cv.report.data:as_csv",
            suffix=".csv",
            is_data=True,
        ),
        ReportFormat(
            name="json",
            about="everything, full precision",
            target="automl_cv.report.data:as_json",
            suffix=".json",
            is_data=True,
        ),
        ReportFormat(
            name="markdown",
            about="for people, in Markdown",
            target="automl_cv.report.markdown:as_markdown",
            suffix=".md",
        ),
        ReportFormat(
            name="parquet",
            about="the table, typed",
            target="automl_cv.report.data:as_parquet",
            suffix=".parquet",
            is_binary=True,
            is_data=True,
        ),
        ReportFormat(
            name="html",
            about="for people, one page",
            target="automl_cv.report.page.render:as_page",
            suffix=".html",
        ),
    ],
)


EVALUATION_FORMATS: Table[Entry] = Table(
    "format",
    [
        Entry(name="table", about="for people", target="automl_cv.report.evaluation:to_text"),
        Entry(
            name="json",
            about="all but the single images, full precision",
            target="automl_cv.report.evaluation:to_json",
        ),
        Entry(
            name="markdown",
            about="for people, in Markdown",
            target="automl_cv.report.evaluation:to_markdown",
        ),
    ],
)
"""Forms of an evaluation; the target is a function (evaluation) -> text."""


def chosen_format(table: Table[F], name: str | None, out: Path | None) -> F:
    """Return the form that `--format` names, else that of `--out`'s ending, else "table".

    Args:
        table: all forms.
        name: what `--format` says.
        out: the file, whose ending says it; None for stdout.

    Raises:
        UserError: there is no such form, no form has this ending, or it can't be printed.
    """
    ending = "" if out is None else out.suffix.casefold()
    by_ending = {one.suffix: one.name for one in table}
    if name is None and ending and ending not in by_ending:
        raise UserError(
            f"--out {out}: no form ends with {ending}; known: {', '.join(by_ending)}; or name "
            "one with --format"
        )
    chosen = table[name or by_ending.get(ending, "table")]
    if chosen.is_binary and out is None:
        raise UserError(f"--format {chosen.name} is no text: name a file with --out FILE")
    return chosen
