"""`automl-cv predict`: the classes of files, as they come."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from automl_cv.cli.options import Debug, OutFile, Quiet, form_option
from automl_cv.errors import UserError
from automl_cv.report.formats import chosen_format
from automl_cv.report.predictions import PREDICTION_FORMATS
from automl_cv.screen.console import say, without_chatter

if TYPE_CHECKING:
    from automl_cv.saved.prediction import Prediction

ALL_FAILED = 1  # exit code


class _Counted:
    """Passes predictions on and counts them."""

    def __init__(self, predictions: Iterable[Prediction]) -> None:
        self._predictions = predictions
        self.files = 0
        self.failed = 0
        self.foreign = 0

    def __iter__(self) -> Iterator[Prediction]:
        for one in self._predictions:
            self.files += 1
            self.failed += one.error is not None
            self.foreign += one.is_foreign
            yield one


def predict(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="Folder that `automl-cv fit` wrote.")
    ],
    paths: Annotated[
        list[str],
        typer.Argument(metavar="PATHS", help="Files, folders, patterns, or - for a list on stdin."),
    ],
    top: Annotated[int, typer.Option(min=1, help="Classes a file, the most probable first.")] = 1,
    form: Annotated[str | None, form_option(PREDICTION_FORMATS, "predictions")] = None,
    out: OutFile = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Predict the class of images; in the order in which they are named.

    A file that is no whole image is a row with the reason. Exit code 1 only if all are. One
    that is unlike all that the model was trained on is called foreign, whatever its class.

    Example: automl-cv predict model photos/ --top 3 --out photos.csv
    """
    chosen = chosen_format(PREDICTION_FORMATS, form, out)
    if out is not None and not out.parent.is_dir():
        raise UserError(f"--out {out}: the folder {out.parent} does not exist; make it first")

    from automl_cv.classifier import Classifier
    from automl_cv.data.paths import STANDARD_INPUT, expand
    from automl_cv.report.files import writing

    with without_chatter(quiet=quiet):
        classifier = Classifier.load(model)
    top = min(top, len(classifier.classes))
    files: Iterable[str] = expand(paths, sys.stdin)
    if STANDARD_INPUT not in paths:
        files = [*files]  # how many there are decides what is worth while
    predictions = _Counted(classifier.rank(files, top))
    write = chosen.load()
    if out is None:
        write(predictions, sys.stdout, top, classifier.classes, classifier.knows_foreign)
    else:
        with writing(out) as temporary:
            mode, encoding = ("wb", None) if chosen.is_binary else ("w", "utf-8")
            with temporary.open(mode, encoding=encoding) as file:
                write(predictions, file, top, classifier.classes, classifier.knows_foreign)
        say(f"wrote {out}", quiet=quiet)
    if predictions.failed:
        say(f"{predictions.failed:,} of {predictions.files:,} files could not be read", quiet=quiet)
    if predictions.foreign and classifier.manifest.foreign is not None:
        say(
            f"{predictions.foreign:,} of {predictions.files:,} files foreign: unlike what the "
            f"model was trained on, as {classifier.manifest.foreign.share:.1%} of such images are",
            quiet=quiet,
        )
    if predictions.failed == predictions.files:
        raise typer.Exit(ALL_FAILED)
