"""The forms a report can take. A new form is an entry here and a function."""

from __future__ import annotations

from dataclasses import dataclass

from automl_cv.registry import Entry, Table


@dataclass(frozen=True, kw_only=True)
class Format(Entry):
    """One form; its target is a function (report) -> text, or bytes where `is_binary`.

    Args:
        suffix: how the name of such a file ends.
        is_binary: whether it can't be printed.
        is_data: whether it holds rows alone, no words.
    """

    suffix: str
    is_binary: bool = False
    is_data: bool = False


FORMATS: Table[Format] = Table(
    "format",
    [
        Format(
            name="table",
            about="for people",
            target="automl_cv.report.terminal:as_text",
            suffix=".txt",
        ),
        Format(
            name="csv",
            about="the table, full precision",
            target="automl_cv.report.data:as_csv",
            suffix=".csv",
            is_data=True,
        ),
        Format(
            name="json",
            about="everything, full precision",
            target="automl_cv.report.data:as_json",
            suffix=".json",
            is_data=True,
        ),
        Format(
            name="markdown",
            about="for people, in Markdown",
            target="automl_cv.report.markdown:as_markdown",
            suffix=".md",
        ),
        Format(
            name="parquet",
            about="the table, typed",
            target="automl_cv.report.data:as_parquet",
            suffix=".parquet",
            is_binary=True,
            is_data=True,
        ),
        Format(
            name="html",
            about="for people, one page",
            target="automl_cv.report.page:as_page",
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


def format_of_file(name: str) -> str:
    """Return the format that a file's name asks for by its ending; "table" for any other."""
    return next((form.name for form in FORMATS if name.casefold().endswith(form.suffix)), "table")
