"""`automl-cv data --suspects`: what of its options goes together, and what it prints and writes."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from automl_cv.errors import UserError
from automl_cv.screen.console import caution, output, say, show

if TYPE_CHECKING:
    from automl_cv.data.dataset import Dataset
    from automl_cv.diagnosis import Diagnosis


@dataclass(frozen=True, kw_only=True)
class SuspectsOptions:
    """What `data --suspects` takes.

    Args:
        out: the table to write; the list and the contact sheet go beside it.
        compare: compare heads with and without the proposed labels.
        backbone: name of what makes features; None to choose.
        cache_dir: where they are kept.
        form: how the list is printed.
    """

    out: Path | None
    compare: bool
    backbone: str | None
    cache_dir: Path
    form: Literal["table", "json", "csv"]


def check_options(source: str, options: SuspectsOptions, asked: bool) -> None:
    """Refuse what does not go together, before anything is read.

    Args:
        source: the images.
        options: what was given.
        asked: whether suspects are.

    Raises:
        UserError: an option of suspects without them, or a file that can't be written.
    """
    given = {
        "--compare": options.compare,
        "--backbone": options.backbone is not None,
        "--format csv": options.form == "csv",
    }
    if not asked:
        for name, is_given in given.items():
            if is_given:
                raise UserError(f"{name} is of suspects; add --suspects, or leave it out")
        return
    out = options.out
    if out is None:
        return
    if out.suffix.lower() != ".csv":
        raise UserError(f"--out {out}: expected a name that ends with .csv, a table of images")
    if not out.parent.is_dir():
        raise UserError(f"--out {out}: the folder {out.parent} does not exist; make it first")
    if out.is_dir():
        raise UserError(f"--out {out}: is a folder; name a file")
    if out.resolve() == Path(source).expanduser().resolve():
        raise UserError(f"--out {out}: is the source itself, whose labels stay; choose another")


def show_suspects(images: Dataset, options: SuspectsOptions) -> None:
    """Find the suspects of images, print them, and write what was asked for.

    Raises:
        UserError: the backbone can't be had, or a file can't be written.
    """
    from automl_cv import diagnosis
    from automl_cv.report import suspects as report
    from automl_cv.report.terminal import for_terminal, off_terminal
    from automl_cv.screen.progress import progress

    backbone, notes = diagnosis.choose_backbone(images, options.backbone)
    for note in notes:
        caution(note)
    with progress(quiet=False) as listen:
        found = diagnosis.diagnose(
            images,
            backbone,
            cache_dir=options.cache_dir,
            compare=options.compare,
            listen=listen,
            notes=notes,
        )
    if options.out is not None:
        _write(found, options.out)
    if options.form == "csv":
        typer.echo(report.as_csv(found.suspects), nl=False)
    elif options.form == "json":
        text = report.as_json(images, found.suspects, found.cleaned, found.notes)
        typer.echo(text, nl=False)
    else:
        composed = report.compose(images, found.suspects, cleaned=found.cleaned)
        if sys.stdout.isatty():
            show(for_terminal(composed, output().width))
        else:
            typer.echo(off_terminal(composed), nl=False)


def _write(found: Diagnosis, out: Path) -> None:
    """Write all files, each whole or not at all."""
    from automl_cv.pictures.suspects import contact_sheet
    from automl_cv.report import suspects as report
    from automl_cv.report.files import write_whole

    images, suspects = found.images, found.suspects
    about = f"{images.source}, judged by {suspects.by}"
    sheet = contact_sheet(suspects.found, about, images.window)
    listed, drawn = (out.with_name(f"{out.stem}-suspects{end}") for end in (".csv", ".png"))
    write_whole(listed, report.as_csv(suspects).encode())
    write_whole(drawn, sheet.png())
    write_whole(out, report.as_manifest(images, suspects, out.parent).encode())
    for path in (listed, drawn, out):
        say(f"wrote {path}")
