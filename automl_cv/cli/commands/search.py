"""`automl-cv search`: runs the stages of a study, or goes on with them."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Annotated

import typer

from automl_cv.catalog.listeners import LISTENERS
from automl_cv.cli import completion, options
from automl_cv.loading import seldom_collected
from automl_cv.places import STORAGE
from automl_cv.words import counted


def parse_duration(text: str | None) -> float | None:
    """Return seconds of "90", "90s", "10m", "1.5h" or "1h30m"."""
    if text is None:
        return None
    found = re.fullmatch(
        r"(?:(?P<h>[\d.]+)h)?(?:(?P<m>[\d.]+)m)?(?:(?P<s>[\d.]+)s?)?", text.strip().lower()
    )
    try:
        parts = {unit: float(part) for unit, part in found.groupdict().items() if part}  # type: ignore[union-attr]
    except (AttributeError, ValueError):
        parts = {}
    seconds = sum(parts[unit] * {"h": 3600, "m": 60, "s": 1}[unit] for unit in parts)
    if seconds <= 0:
        raise typer.BadParameter(f"{text!r} is no time; expected one such as 90s, 10m or 1h30m")
    return seconds


def search(
    study: Annotated[
        str,
        typer.Argument(
            metavar="STUDY",
            help="Name of a study (see `automl-cv studies`), or path of its file.",
            autocompletion=completion.studies,
        ),
    ],
    data: Annotated[
        str | None,
        typer.Option(
            help="Images: a folder of class folders, a manifest, or a built-in name.",
            metavar="PATH",
            show_default="the study's own",
        ),
    ] = None,
    stage: Annotated[
        str | None,
        typer.Option(
            help="Run this stage alone.",
            metavar="NAME",
            autocompletion=completion.stages_of_study,
        ),
    ] = None,
    trials: Annotated[
        int | None, typer.Option(min=1, help="Trials a stage, in place of the study's own.")
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help="Trials of the stages that search: quick (a third, at least 3), balanced (the "
            "study's own), thorough (four times). A later search may use another one.",
            metavar="NAME",
            autocompletion=completion.presets,
        ),
    ] = None,
    timeout: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="End after this time: 90s, 10m, 1h30m. What is done is kept, and time is set "
            "aside for finalists.",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Processes that train side by side.",
            show_default="1, or one on each worker of the cluster",
        ),
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Train on the workers of a Dask scheduler, dask://HOST:PORT, which share the "
            "cache folder.",
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed, in place of the study's own.")
    ] = None,
    new: Annotated[
        bool,
        typer.Option("--new", help="Begin a new run; the earlier one stays in the database."),
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop where an image is damaged, with exit code 2.")
    ] = False,
    despite_findings: Annotated[
        bool,
        typer.Option(
            "--despite-findings",
            help="Search images too whose labels contradict each other or whose splits overlap "
            "so much that results mean nothing.",
        ),
    ] = False,
    path_column: options.PathColumn = None,
    label_column: options.LabelColumn = None,
    root: options.Root = None,
    class_level: options.ClassLevel = None,
    tensorboard: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Also write curves and parameters for TensorBoard, a folder a trial.",
        ),
    ] = None,
    listener: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[=WHERE]",
            autocompletion=completion.listeners,
            help=f"Also tell another program: {', '.join(LISTENERS.names)}, or a function of your "
            "own as module:function. May be given again.",
        ),
    ] = None,
    json_lines: Annotated[
        bool, typer.Option("--json-lines", help="Write each event as a line of JSON to stdout.")
    ] = False,
    quiet: options.Quiet = False,
    storage: options.Storage = STORAGE,
    cache_dir: options.CacheDir = None,
    debug: options.Debug = False,
) -> None:
    """Search a study stage by stage; the same command again goes on where it stopped.

    Example: automl-cv search quickstart
    """
    with seldom_collected():
        from automl_cv.search.first_loaded import loading_early
        from automl_cv.study import library, studyfile

    seconds = parse_duration(timeout)
    chosen = studyfile.overridden(
        library.load(study),
        data=data,
        reading=options.reading(path_column, label_column, root, class_level),
        seed=seed,
        trials=trials,
        preset=preset,
    )
    cache = options.cache_folder(cache_dir)
    with loading_early(chosen, stage, cache, cluster):
        with seldom_collected():
            from automl_cv.listeners.relay import listening
            from automl_cv.screen.console import say
            from automl_cv.screen.search_views import watching
            from automl_cv.search import events, session

        todo = session.SearchOptions(
            storage=storage,
            cache_dir=cache,
            stage=stage,
            timeout=seconds,
            workers=workers,
            cluster=cluster,
            new=new,
            strict=strict,
            despite_findings=despite_findings,
        )
        finished: list[int] = []
        try:
            told = [*(listener or ()), *([f"tensorboard={tensorboard}"] if tensorboard else ())]
            with (
                listening(told) as hand_on,
                watching(quiet=quiet, json_lines=json_lines) as listen,
            ):

                def tell(event: events.Event) -> None:
                    if isinstance(event, events.TrialEnded):
                        finished.append(event.trial)
                    if isinstance(event, events.Surveyed) and not json_lines:
                        # The leaderboard, which follows at once, has them above it.
                        event = replace(event, warnings=())
                    listen(event)
                    hand_on(event)

                outcome = session.search(chosen, todo, tell)
        except KeyboardInterrupt:
            say(
                "interrupted; everything finished is kept "
                f"({counted(len(finished), 'trial')} of this command). The same command again "
                "goes on from there."
            )
            raise
    if not json_lines:
        _show_leaderboard(storage, outcome.run)
    for name, shortfall in outcome.shortfalls.items():
        say(f"stage {name}: {shortfall}", quiet=quiet)
    if outcome.shortfalls:
        say("The same command again goes on from here.", quiet=quiet)
    say(f"more: automl-cv report {outcome.run}", quiet=quiet or json_lines)


def _show_leaderboard(storage: str, run: str) -> None:
    """Print the best ten trials."""
    from automl_cv.cli.commands.report import report

    report(study=run, top=10, storage=storage)
