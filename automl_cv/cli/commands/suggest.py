"""`automl-cv suggest`: which images of a folder to label next."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from automl_cv.cli import completion, options
from automl_cv.errors import UserError
from automl_cv.words import counted

if TYPE_CHECKING:
    from automl_cv.labelling.suggestion import Source, Suggestions
    from automl_cv.report.suggestions import Row
    from automl_cv.study.sections import Reading
    from automl_cv.study.studyfile import Backbone

DEFAULT_STUDY = "quickstart"


def suggest(
    source: Annotated[
        str,
        typer.Argument(
            metavar="POOL", help="A folder of images; what its folders are called says nothing."
        ),
    ],
    count: Annotated[int, typer.Option("--n", "-n", min=1, help="How many to choose.")] = 50,
    labelled: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH",
            help="Images that have labels, of the pool or not: class folders or a table. Repeat "
            "it for more.",
            show_default="none, or those that --model was fitted on",
        ),
    ] = None,
    study: Annotated[
        str | None,
        typer.Option(
            metavar="STUDY",
            autocompletion=completion.studies,
            help="Study whose backbone makes the features; photos for photographs.",
            show_default=f"{DEFAULT_STUDY}, or the backbone of --model",
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(metavar="MODEL", help="Folder that `automl-cv fit` wrote from what you have."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="Write a table (.csv) of the suggested images, labels to be filled in, and of "
            "the labelled ones.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Another seed breaks ties otherwise.")] = 0,
    path_column: options.PathColumn = None,
    label_column: options.LabelColumn = None,
    root: options.Root = None,
    class_level: options.ClassLevel = None,
    quiet: options.Quiet = False,
    cache_dir: options.CacheDir = None,
    debug: options.Debug = False,
) -> None:
    """Choose the images of a folder whose labels are worth most.

    Typical ones as long as there are few labels; then those that a head on the labelled ones is
    unsure of, spread over what is there. The best stand first. With --out the answer is a table
    to fill in, which --labelled and `search --data` read.

    Example: automl-cv suggest photos/ --n 50 --out labels.csv
    """
    from automl_cv.labelling.suggestion import suggest as suggested
    from automl_cv.report.files import write_whole
    from automl_cv.report.suggestions import as_manifest, as_table
    from automl_cv.screen.console import say
    from automl_cv.screen.progress import progress

    _check_out(out)
    reading = options.reading(path_column, label_column, root, class_level)
    backbone, known = _given(study, model, labelled, reading)
    with progress(quiet=quiet) as listen:
        found = suggested(
            source,
            count,
            labelled=known,
            backbone=backbone,
            seed=seed,
            cache_dir=options.cache_folder(cache_dir),
            listen=listen,
        )
    _say_what(found, quiet=quiet)
    rows = _rows(found)
    if out is None:
        typer.echo(as_table(rows[: len(found.chosen)], Path.cwd()), nl=False)
        return
    write_whole(out, as_manifest(rows, out.parent).encode())
    named = shlex.quote(str(out))
    say(
        f"wrote {out}: fill in the column label of the first {counted(len(found.chosen), 'row')}, "
        f"remove those that you leave empty, and go on with --labelled {named}, or with: "
        f"automl-cv search --data {named}",
        quiet=quiet,
    )


def _check_out(out: Path | None) -> None:
    if out is None:
        return
    if out.suffix.lower() != ".csv":
        raise UserError(f"--out {out}: expected a name that ends in .csv")
    if not out.parent.is_dir():
        raise UserError(f"--out {out}: the folder {out.parent} does not exist; make it first")
    if out.exists():
        raise UserError(f"--out {out}: exists, and may hold labels of yours; choose another name")


def _given(
    study: str | None, model: Path | None, labelled: list[str] | None, reading: Reading
) -> tuple[Backbone, list[Source]]:
    """Return what makes the features, and the images that have labels."""
    from automl_cv.labelling.suggestion import Source, of_model
    from automl_cv.saved import folder
    from automl_cv.study import library

    known = [Source(one, reading) for one in labelled or ()]
    if model is None:
        return library.load(study or DEFAULT_STUDY).backbone, known
    if study is not None:
        raise UserError("--study and --model: either says what makes the features; leave one out")
    backbone, own = of_model(folder.read(model.expanduser()))
    return backbone, known or [own]


def _rows(found: Suggestions) -> list[Row]:
    """Return the lines of the manifest: those to be filled in, then those that have labels."""
    from automl_cv.labelling.suggestion import why
    from automl_cv.report.suggestions import Row

    split = "train" if any(one.split for one in found.labelled) else ""
    wanted = [Row(one.path, split=split, why=why(one)) for one in found.chosen]
    return wanted + [
        Row(one.path, one.label, one.split or split, one.group or "") for one in found.labelled
    ]


def _say_what(found: Suggestions, *, quiet: bool) -> None:
    from automl_cv.data.pool import summary
    from automl_cv.screen.console import caution, say
    from automl_cv.search.study_data import of_backbone

    say(f"pool: {summary(found.pool)}", quiet=quiet)
    classes = counted(len({one.label for one in found.labelled}), "class", "classes")
    labels = f"{counted(len(found.labelled), 'image')} of {classes}" if found.labelled else "none"
    say(f"labelled: {labels}; features: {found.backbone.name}", quiet=quiet)
    if of_backbone(found.backbone, found.pool.sizes):
        caution(
            f"most images are far larger than what backbone {found.backbone.name} has learned "
            "to see; for photographs take --study photos"
        )
    if not found.chosen:
        say("every image of the pool has a label: there is nothing to suggest", quiet=quiet)
