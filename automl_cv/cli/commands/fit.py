"""`automl-cv fit`: the winner of a search as a folder that predicts."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from automl_cv.cli import completion, options
from automl_cv.places import STORAGE

if TYPE_CHECKING:
    from automl_cv.saved.facts import Manifest


def fit(
    study: Annotated[
        str,
        typer.Argument(
            metavar="STUDY",
            autocompletion=completion.runs,
            help="Name of a searched study: its latest run; NAME@1 is its first. Or the path of "
            "its file.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option("--out", metavar="DIR", help="Folder to write; an older model is replaced."),
    ],
    trial: Annotated[
        str | None,
        typer.Option(
            metavar="STAGE/N",
            help="Fit this trial; `reference` for the reference.",
            show_default="the winner of the search",
        ),
    ] = None,
    repeats: Annotated[
        int, typer.Option(min=1, help="Train this many times with other seeds; average the logits.")
    ] = 1,
    calibrate: Annotated[
        bool,
        typer.Option(
            "--calibrate",
            help="Divide the logits by a temperature fitted on the validation images; trains "
            "twice.",
        ),
    ] = False,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="PATH", help="Where the images are now.", show_default="where they were"
        ),
    ] = None,
    quiet: options.Quiet = False,
    storage: options.Storage = STORAGE,
    cache_dir: options.CacheDir = None,
    debug: options.Debug = False,
) -> None:
    """Train the winner of a search on train and validation images, and save it.

    The winner has the best mean over seeds or folds, of all stages that trained trials again
    (compared over those that both have), as `report` names it; without any it is the first of the
    leaderboard. The test images are left alone.

    Example: automl-cv fit quickstart --out model
    """
    from automl_cv.catalog.metrics import METRICS
    from automl_cv.fit import fitting
    from automl_cv.screen.console import say
    from automl_cv.screen.progress import progress

    def again(run: str, slot: str) -> str:
        words = ["automl-cv", "fit", run, "--trial", slot, "--out", str(out)]
        words += ["--repeats", str(repeats)] if repeats > 1 else []
        words += ["--calibrate"] if calibrate else []
        words += ["--data", data] if data is not None else []
        # An address may hold a password, and the command stands in files that are passed on.
        if storage != STORAGE:
            words += ["--storage", storage if "@" not in storage else "URL"]
        return shlex.join(words)

    todo = fitting.FitOptions(
        study=_name(study),
        out=out,
        storage=storage,
        cache_dir=options.cache_folder(cache_dir),
        command=again,
        trial=trial,
        repeats=repeats,
        data=data,
        calibrate=calibrate,
    )
    try:
        with progress(quiet=quiet) as listen:
            manifest = fitting.fit(todo, listen)
    except KeyboardInterrupt:
        say("interrupted; nothing was replaced")
        raise
    winner, chosen = manifest.winner, manifest.winner.validation.chosen_by
    say(f"fitted {winner.trial} of {winner.run}: {winner.why}", quiet=quiet)
    say(
        f"validation {METRICS[chosen.name].about} in the search {chosen.value:.4f} (over "
        f"{chosen.over}); trained on {manifest.fitting.images:,} images{_epochs(manifest)}",
        quiet=quiet,
    )
    if (worth := winner.validation.corrected) is not None:
        say(
            f"corrected for having been chosen from {worth.trials} trials: "
            f"{METRICS[chosen.name].about} {worth.value:.4f}, 95 % interval {worth.low:.4f} to "
            f"{worth.high:.4f}; log loss {worth.loss:.4f}, {worth.loss_low:.4f} to "
            f"{worth.loss_high:.4f}",
            quiet=quiet,
        )
        if worth.note is not None:
            say(worth.note, quiet=quiet)
    if manifest.fitting.note is not None:
        say(manifest.fitting.note, quiet=quiet)
    if manifest.overconfidence is not None:
        say(f"its probabilities are {manifest.overconfidence}", quiet=quiet)
    if (found := manifest.calibration) is not None:
        say(
            f"temperature {found.temperature:.4f}; on {found.images:,} validation images, before "
            "and after: log loss "
            f"{found.before.log_loss:.4f}, {found.after.log_loss:.4f}; expected calibration error "
            f"{found.before.calibration_error:.4f}, {found.after.calibration_error:.4f}"
            + (f" ({found.note})" if found.note else ""),
            quiet=quiet,
        )
    say(f"wrote {out}; try: automl-cv predict {shlex.quote(str(out))} IMAGES", quiet=quiet)


def _name(study: str) -> str:
    """Return the name of a run, where the path of a study's file is given the study's."""
    if study.endswith(".toml"):
        from automl_cv.study import library

        return library.load(study).name
    return study


def _epochs(manifest: Manifest) -> str:
    """Return how long it was trained, where it was trained in steps."""
    from automl_cv.catalog.kinds import in_steps

    return f" for {manifest.fitting.epochs} epochs" if in_steps(manifest.kind) else ""
