"""Options that several commands share, each declared once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from automl_cv.places import CACHE_VARIABLE
from automl_cv.places import cache_folder as cache_folder
from automl_cv.registry import Table

if TYPE_CHECKING:
    from automl_cv.study.sections import Reading

Storage = Annotated[
    str,
    typer.Option(
        "--storage",
        metavar="URL",
        envvar="AUTOML_CV_STORAGE",
        help="Database of the trials, as an SQLAlchemy address.",
    ),
]
CacheDir = Annotated[
    Path | None,
    typer.Option(
        "--cache-dir",
        metavar="DIR",
        envvar=CACHE_VARIABLE,
        help="Folder of cached features and built-in data.",
        show_default="the user's cache folder",
    ),
]
Debug = Annotated[
    bool,
    typer.Option("--debug", help="Show a traceback when something fails."),
]
OutFile = Annotated[
    Path | None,
    typer.Option("--out", metavar="FILE", help="Write to this file instead of printing."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but results and errors.")]
PathColumn = Annotated[
    str | None,
    typer.Option("--path-column", metavar="NAME", help="Column of a table that holds paths."),
]
LabelColumn = Annotated[
    str | None,
    typer.Option("--label-column", metavar="NAME", help="Column of a table that holds labels."),
]
Root = Annotated[
    str | None,
    typer.Option(
        "--root",
        metavar="DIR",
        help="Folder that a table's paths are relative to, beside the table or from here.",
        show_default="the table's own",
    ),
]
ClassLevel = Annotated[
    int | None,
    typer.Option(
        "--class-level",
        min=1,
        max=9,
        help="At which level below PATH the class folders stand.",
        show_default="1, or below train, val and test",
    ),
]


def form_option(table: Table[Any], of: str) -> Any:
    """Return the `--format` of a command that prints or writes, see `chosen_format`.

    Args:
        table: of its forms.
        of: what is printed.
    """
    return typer.Option(
        "--format",
        metavar="|".join(table.names),
        help=f"Form of the {of}.",
        show_default="what --out's name ends with, else table",
    )


def reading(
    path_column: str | None, label_column: str | None, root: str | None, class_level: int | None
) -> Reading:
    """Return what the options say of how a source is read."""
    from automl_cv.study.sections import Reading

    return Reading(
        path_column=path_column, label_column=label_column, root=root, class_level=class_level
    )
