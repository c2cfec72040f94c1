"""automl-cv report: the leaderboard of a study."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from automl_cv.cli.console import output, say, show
from automl_cv.cli.options import DEFAULT_STORAGE, Debug, Storage
from automl_cv.errors import UserError
from automl_cv.report.formats import FORMATS, Format, format_of_file


def report(
    study: Annotated[
        str | None,
        typer.Argument(
            metavar="[STUDY]",
            help="Name of a study: its latest run; NAME@1 is its first.  "
            "[default: the run that changed last]",
            show_default=False,
        ),
    ] = None,
    stage: Annotated[
        str | None, typer.Option("--stage", metavar="NAME", help="Only this stage.")
    ] = None,
    top: Annotated[
        int | None, typer.Option("--top", metavar="N", min=1, help="Only the first N trials.")
    ] = None,
    sort: Annotated[
        str | None,
        typer.Option(
            "--sort", metavar="COLUMN", help="Sort by this column of the CSV.  [default: rank]"
        ),
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="|".join(FORMATS.names),
            help="Form of the report.  [default: what --out's name ends with, else table]",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Write to this file instead of printing."),
    ] = None,
    storage: Storage = DEFAULT_STORAGE,
    debug: Debug = False,
) -> None:
    """Show the leaderboard of a study: trials by validation accuracy, at their best epochs.

    Trials that chance alone may have set apart from the first are marked. Can run while
    a search writes.
    """
    chosen = FORMATS[form or (format_of_file(out.name) if out else "table")]
    if chosen.is_binary and out is None:
        raise UserError(f"--format {chosen.name} is no text: name a file with --out FILE")

    from automl_cv.report.document import compose
    from automl_cv.store.leaderboard import read_run

    composed = compose(read_run(storage, study, stage), stage=stage, top=top, sort=sort)
    if out is not None:
        _write(composed, chosen, out)
    elif chosen.name == "table" and sys.stdout.isatty():
        from automl_cv.report.terminal import for_terminal

        show(for_terminal(composed, output().width))
    else:
        typer.echo(chosen.load()(composed), nl=False)


def _write(composed: Any, chosen: Format, out: Path) -> None:
    from automl_cv.report.files import write_whole

    content = chosen.load()(composed)
    write_whole(out, content if chosen.is_binary else content.encode())
    say(f"wrote {out}")
