"""`automl-cv export`: a saved classifier for other runtimes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from automl_cv.catalog.exports import EXPORTS
from automl_cv.cli import options
from automl_cv.errors import UserError

if TYPE_CHECKING:
    from automl_cv.data.images import Window
    from automl_cv.saved.folder import SavedClassifier

COMPARED = 32  # images; enough to meet every class of most sets, and done in seconds


def export(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="Folder that `automl-cv fit` wrote.")
    ],
    form: Annotated[
        str, typer.Option("--format", metavar="|".join(EXPORTS.names), help="Form to write.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Folder to write; an older export is replaced.",
            show_default="MODEL-FORMAT",
        ),
    ] = None,
    images: Annotated[
        list[str] | None,
        typer.Option(
            "--images",
            metavar="PATH",
            help="Files, folders, patterns to compare on; may be repeated.",
            show_default="the study's own",
        ),
    ] = None,
    fixed_size: Annotated[
        bool,
        typer.Option(
            "--fixed-size",
            help="Leave resizing to preprocess.py: the graph takes float32 images of the "
            "network's size, as batches of unlike images and some devices want them.",
        ),
    ] = False,
    quiet: options.Quiet = False,
    cache_dir: options.CacheDir = None,
    debug: options.Debug = False,
) -> None:
    """Write a saved classifier for another runtime, run it there, compare it with Keras.

    Beside the graph lie export.json and preprocess.py, which opens files as the classifier does.
    What is compared are files: the given ones, and some of each kind that programs open
    differently (turned by EXIF, 16-bit, transparent, palette, CMYK). If probabilities differ by
    more than the tolerance, or another class comes first, nothing is written, and the exit code
    is 1.

    Example: automl-cv export model --format onnx --out model-onnx
    """
    entry = EXPORTS[form]
    entry.check_installed()
    from automl_cv.saved import export as exported
    from automl_cv.saved import folder
    from automl_cv.screen.console import say, without_chatter

    saved = folder.read(model)
    out = out or Path(f"{str(model).rstrip('/')}-{entry.name}")
    exported.check_target(out, entry)
    paths = images or _own(saved, options.cache_folder(cache_dir))
    files = list(_sample(paths, saved.manifest.data.window))

    with without_chatter(quiet=quiet):
        from automl_cv.engine import export as engine

        made = engine.export(saved, entry, files, out, fixed_size=fixed_size)
    compared = made.compared
    given = compared.kinds[engine.GIVEN]
    same = sum(kind.same_class for kind in compared.kinds.values())
    say(
        f"compared with model.keras on {compared.images} files of {compared.sizes} sizes: the "
        f"same class on {same}, largest difference {given.largest_difference:.2g} (tolerance "
        f"{compared.tolerance:g}) on {given.files} of yours, {compared.largest_difference:.2g} "
        f"with {compared.images - given.files} turned, deep, clear or otherwise stored ones"
        + _distances(compared.distance_difference),
        quiet=quiet,
    )
    taken = "uint8 images of any size"
    if made.input.resize is not None:
        taken = f"float32 images of {made.input.resize.height} × {made.input.resize.width} pixels"
    say(
        f"wrote {out / made.file}; it takes {taken}, and {exported.PREPROCESS} beside it makes "
        "them of files",
        quiet=quiet,
    )


def _distances(difference: float | None) -> str:
    """Say how far distances are off; nothing of a classifier that has none."""
    return "" if difference is None else f"; distances off by {difference:.2g} of them"


def _own(saved: SavedClassifier, cache_dir: Path) -> list[str]:
    """Return the files of the images that a classifier was fitted on."""
    from automl_cv.data import dataset, sources
    from automl_cv.study import studyfile

    data = saved.manifest.data
    source = sources.as_stored(data.source, data.ledger, saved.folder)
    study = studyfile.parse(saved.manifest.study, str(saved.folder))
    try:
        found = dataset.load_for(study, source, cache_dir=cache_dir, ledger=data.ledger)
    except UserError as error:
        raise UserError(
            f"the images that {saved.folder} was fitted on can't be read ({error}); name others "
            "to compare on with --images PATH"
        ) from None
    return [str(path) for path in found.images["path"]]


def _sample(paths: list[str], window: Window | None) -> Iterator[Path]:
    """Yield some of the files, from all over them; those that are no images are passed over."""
    from automl_cv.data.images import DamagedImage, decode
    from automl_cv.data.paths import expand

    files = list(expand(paths, ()))
    step = max(1, len(files) // COMPARED)
    # First every step-th, then the others, in case that some are damaged.
    order = [files[start::step] for start in range(step)]
    found = 0
    for name in (name for part in order for name in part):
        try:
            decode(Path(name), window)
        except DamagedImage:
            continue
        yield Path(name)
        found += 1
        if found == COMPARED:
            return
    if not found:
        raise UserError(
            f"{paths[0]}: none of {len(files)} files is an image that can be read; name others "
            "to compare on with --images PATH"
        )
