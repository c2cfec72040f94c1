"""`automl-cv evaluate`: what a saved classifier is worth on images that it has not seen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from automl_cv.cli import options
from automl_cv.errors import UserError
from automl_cv.report.formats import EVALUATION_FORMATS

if TYPE_CHECKING:
    from automl_cv.saved.evaluation import Evaluation

SEED = 0  # of the resamples behind the intervals: the same model and images, the same figures


def evaluate(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="Folder that `automl-cv fit` wrote.")
    ],
    data: Annotated[
        str | None,
        typer.Option(
            metavar="PATH",
            help="Other images: a folder, a manifest or built-in data.",
            show_default="the test split of the images it was fitted on",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="DIR", help="Folder for plots, JSON and CSV as well; it is made."
        ),
    ] = None,
    form: Annotated[
        str,
        typer.Option("--format", metavar="|".join(EVALUATION_FORMATS.names), help="What to print."),
    ] = "table",
    path_column: options.PathColumn = None,
    label_column: options.LabelColumn = None,
    root: options.Root = None,
    class_level: options.ClassLevel = None,
    quiet: options.Quiet = False,
    cache_dir: options.CacheDir = None,
    debug: options.Debug = False,
) -> None:
    """Measure a saved classifier on the held-out test images, or on others.

    Each look is counted in MODEL: figures of images that were looked at before flatter.

    Example: automl-cv evaluate model --out evaluation
    """
    from automl_cv import evaluation
    from automl_cv.saved import folder
    from automl_cv.screen.console import caution, output, say, show, without_chatter
    from automl_cv.screen.progress import progress

    chosen = EVALUATION_FORMATS[form]
    if out is not None:
        _check_out(out, model)
    saved = folder.read(model.expanduser())
    with progress(quiet=quiet) as listen:
        subject = evaluation.choose(
            saved,
            data,
            cache_dir=options.cache_folder(cache_dir),
            reading=options.reading(path_column, label_column, root, class_level),
            listen=listen,
        )
    with without_chatter(quiet=quiet):
        predictor = evaluation.load_predictor(saved)
    with progress(quiet=quiet) as listen:
        found = evaluation.evaluate(
            saved, predictor, subject, model=str(model), seed=SEED, listen=listen
        )
    if not found.recorded:
        caution(f"{model}: can't be written to, so this look is not recorded")
    if out is not None:
        _write(found, out)
        say(f"wrote {out}", quiet=quiet)
    if chosen.name == "table" and output().is_terminal:
        from automl_cv.report.evaluation import compose
        from automl_cv.report.terminal import for_terminal

        show(for_terminal(compose(found), output().width))
    else:
        typer.echo(chosen.load()(found), nl=False)


def _check_out(out: Path, model: Path) -> None:
    if not out.parent.is_dir():
        raise UserError(f"--out {out}: the folder {out.parent} does not exist; make it first")
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out}: expected a folder, or a name that is free")
    if out.absolute() == model.absolute():
        raise UserError(f"--out {out}: is the model's own folder; choose another")


def _write(found: Evaluation, out: Path) -> None:
    """Write all files, each whole or not at all."""
    from automl_cv.pictures.mistakes import worst_mistakes
    from automl_cv.report import evaluation as report
    from automl_cv.report.files import writing

    try:
        out.mkdir(exist_ok=True)
        for name, write in report.FILES.items():
            with writing(out / name) as temporary:
                temporary.write_text(write(found), encoding="utf-8")
        pictures = report.plots(found) | {"wrong.png": worst_mistakes(found).png()}
        for name, picture in pictures.items():
            with writing(out / name) as temporary:
                temporary.write_bytes(picture)
    except OSError as error:
        raise UserError(f"--out {out}: can't be written to: {error.strerror}") from None
