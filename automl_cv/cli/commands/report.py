"""automl-cv report: the leaderboard of a study, and what its trials say of one another."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from automl_cv.cli import completion
from automl_cv.cli.options import (
    CacheDir,
    Debug,
    OutFile,
    Storage,
    cache_folder,
    form_option,
)
from automl_cv.errors import UserError
from automl_cv.places import STORAGE
from automl_cv.report.formats import FORMATS, ReportFormat, chosen_format
from automl_cv.screen.console import output, say, show
from automl_cv.words import counted

if TYPE_CHECKING:
    from automl_cv.report.document import Report


def report(
    study: Annotated[
        str | None,
        typer.Argument(
            metavar="STUDY",
            help="Name of a study: its latest run; NAME@1 is its first.",
            autocompletion=completion.runs,
            show_default="the run that changed last",
        ),
    ] = None,
    other: Annotated[
        str | None,
        typer.Argument(
            metavar="OTHER",
            help="With --compare: another study or run, laid beside the first.",
            autocompletion=completion.runs,
            show_default=False,
        ),
    ] = None,
    stage: Annotated[
        str | None,
        typer.Option(
            "--stage",
            metavar="NAME",
            help="Only this stage.",
            autocompletion=completion.stages_of_run,
        ),
    ] = None,
    top: Annotated[
        int | None,
        typer.Option("--top", metavar="N", min=1, help="Only the first N trials, or suspects."),
    ] = None,
    sort: Annotated[
        str | None,
        typer.Option(
            "--sort",
            metavar="COLUMN",
            autocompletion=completion.columns,
            help=(
                "Sort by this column of the CSV: val_accuracy, val_loss, seconds, learning_rate, … "
                "Accuracies and scores descend, all others ascend; accuracy and loss are of the "
                "training images."
            ),
            show_default="rank",
        ),
    ] = None,
    compare: Annotated[
        bool,
        typer.Option(
            "--compare",
            help="Instead: retrained trials beside one another, with verdicts; with OTHER, two "
            "runs beside one another.",
        ),
    ] = False,
    importance: Annotated[
        bool,
        typer.Option("--importance", help="Instead: which parameters mattered, by two evaluators."),
    ] = False,
    epochs: Annotated[
        bool,
        typer.Option(
            "--epochs", help="Instead: every epoch of every trial, the curves as numbers."
        ),
    ] = False,
    backbones: Annotated[
        bool,
        typer.Option("--backbones", help="Instead: backbones and image sizes, and what they cost."),
    ] = False,
    suspects: Annotated[
        bool,
        typer.Option(
            "--suspects",
            help="Instead: images whose label is doubted, by what the search kept; nothing is "
            "trained. An HTML page shows them.",
        ),
    ] = False,
    claims: Annotated[
        bool,
        typer.Option(
            "--claims",
            help="Instead: what the study's source said, claim by claim with verdicts, and its "
            "tables.",
        ),
    ] = False,
    form: Annotated[str | None, form_option(FORMATS, "report")] = None,
    out: OutFile = None,
    png: Annotated[
        Path | None,
        typer.Option("--png", metavar="DIR", help="Also write the page's plots as PNG files."),
    ] = None,
    svg: Annotated[
        Path | None,
        typer.Option("--svg", metavar="DIR", help="Also write the page's plots as SVG files."),
    ] = None,
    maps: Annotated[
        Path | None,
        typer.Option(
            "--maps",
            metavar="DIR",
            help="With --format html: the folder that `automl-cv maps --out DIR` wrote; the page "
            "shows its pictures.",
        ),
    ] = None,
    storage: Storage = STORAGE,
    cache_dir: CacheDir = None,
    debug: Debug = False,
) -> None:
    """Show the leaderboard of a study: trials by its metric, at their best epochs.

    Trials that chance alone may have set apart from the first are marked. Can run while
    a search writes.
    """
    chosen = chosen_format(FORMATS, form, out)
    views = {
        "--compare": (compare, lambda: _comparison(storage, study, stage, other)),
        "--importance": (importance, lambda: _importance(storage, study, stage)),
        "--epochs": (epochs, lambda: _epochs(storage, study, stage, top)),
        "--backbones": (backbones, lambda: _backbones(storage, study, stage)),
        "--suspects": (suspects, lambda: _suspects(storage, study, top, cache_folder(cache_dir))),
        "--claims": (claims, lambda: _claims(storage, study)),
    }
    if maps is not None and chosen.name != "html":
        raise UserError("--maps: pictures stand in the page; add --format html or --out FILE.html")
    asked = [name for name, (is_asked, _) in views.items() if is_asked]
    _check_view(asked, top=top, sort=sort, stage=stage)
    _check_other(other, asked, stage)
    if maps is not None and asked:
        raise UserError(f"--maps: {asked[0]} shows no pictures; leave one of them out")
    if asked:
        composed = views[asked[0]][1]()
    else:
        composed = _leaderboard(storage, study, stage, top, sort)
        composed = replace(composed, cache_dir=cache_folder(cache_dir), maps=maps)
    for folder, form_of_plots in ((png, "png"), (svg, "svg")):
        if folder is not None:
            _write_plots(composed, folder, form_of_plots)
    if out is not None:
        _write(composed, chosen, out)
    elif chosen.name == "table" and sys.stdout.isatty():
        from automl_cv.report.terminal import for_terminal

        show(for_terminal(composed, output().width))
    else:
        typer.echo(chosen.load()(composed), nl=False)
    if chosen.is_data and composed.board.empty:
        for line in composed.footnotes:
            say(line)


def _check_view(asked: list[str], *, top: int | None, sort: str | None, stage: str | None) -> None:
    """Refuse options that do not go together."""
    if len(asked) > 1:
        raise UserError(f"{asked[0]} and {asked[1]} are two views; ask for one of them")
    view = asked[0] if asked else ""
    takes_top = view in ("--epochs", "--suspects")
    given = {"--sort": sort} if takes_top else {"--top": top, "--sort": sort}
    for option, value in given.items():
        if view and value is not None:
            raise UserError(f"{option} is of the leaderboard, not of {view}; leave one of them out")
    if view in ("--suspects", "--claims") and stage is not None:
        raise UserError(f"--stage: {view[2:]} are of the whole run, not of a stage; leave it out")


def _check_other(other: str | None, asked: list[str], stage: str | None) -> None:
    """Refuse a second study where one alone is asked for."""
    if other is not None and asked != ["--compare"]:
        raise UserError(f"got a second study, {other!r}; --compare lays two beside one another")
    if other is not None and stage is not None:
        raise UserError("--stage: two runs are compared as a whole; leave it out")


def _leaderboard(
    storage: str, study: str | None, stage: str | None, top: int | None, sort: str | None
) -> Report:
    from automl_cv.report.leaderboard import compose
    from automl_cv.results.corrected import corrected
    from automl_cv.results.doubts import doubted
    from automl_cv.results.leaderboard import read_run
    from automl_cv.store.database import open_storage

    opened = open_storage(storage, create=False)
    read = read_run(opened, study, stage)
    winner = corrected(opened, read)
    doubts = None if stage else doubted(opened, read.run, read.ranked)
    return compose(read, stage=stage, top=top, sort=sort, winner=winner, doubted=doubts)


def _comparison(storage: str, study: str | None, stage: str | None, other: str | None) -> Report:
    from automl_cv.report.beside import compose_beside
    from automl_cv.report.comparison import compose_comparison
    from automl_cv.results.leaderboard import read_run

    if other is not None:
        sides = (_leaderboard(storage, name, None, None, None) for name in (study, other))
        return compose_beside(*sides)
    return compose_comparison(read_run(storage, study), stage=stage)


def _importance(storage: str, study: str | None, stage: str | None) -> Report:
    from automl_cv.report.importance import compose_importance
    from automl_cv.results.leaderboard import read_run

    return compose_importance(read_run(storage, study, stage), stage=stage)


def _claims(storage: str, study: str | None) -> Report:
    from automl_cv.report.claims import compose_claims
    from automl_cv.results.leaderboard import read_run

    return compose_claims(read_run(storage, study))


def _epochs(storage: str, study: str | None, stage: str | None, top: int | None) -> Report:
    from automl_cv.report.epochs import compose_epochs
    from automl_cv.results.leaderboard import read_run

    return compose_epochs(read_run(storage, study, stage), stage=stage, top=top)


def _backbones(storage: str, study: str | None, stage: str | None) -> Report:
    from automl_cv.report.backbones import compose_backbones
    from automl_cv.results.leaderboard import read_run

    return compose_backbones(read_run(storage, study, stage), stage=stage)


def _write_plots(composed: Report, folder: Path, ending: str) -> None:
    from automl_cv.report.files import write_whole
    from automl_cv.report.page.plot import as_png, as_svg
    from automl_cv.report.page.sections import plots_of

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--{ending} {folder}: can't be made: {error.strerror}") from None
    plots = plots_of(composed)
    for plot in plots:
        content = as_png(plot) if ending == "png" else as_svg(plot)
        write_whole(folder / f"{plot.name}.{ending}", content)
    say(f"wrote {counted(len(plots), 'plot')} to {folder}")


def _suspects(storage: str, study: str | None, top: int | None, cache_dir: Path) -> Report:
    from automl_cv import diagnosis
    from automl_cv.pictures.suspects import contact_sheet
    from automl_cv.report.suspects import compose_run
    from automl_cv.results.leaderboard import read_run
    from automl_cv.screen.progress import progress

    read = read_run(storage, study)
    with progress(quiet=not sys.stderr.isatty()) as listen:
        found = diagnosis.diagnose_run(read, cache_dir=cache_dir, listen=listen)
    about = f"{read.run.name}, judged by {found.suspects.by}"
    sheet = contact_sheet(found.suspects.found, about, found.images.window)
    return compose_run(read, found.images, found.suspects, shown=top, picture=sheet.png())


def _write(composed: Report, chosen: ReportFormat, out: Path) -> None:
    from automl_cv.report.files import write_whole

    content = chosen.load()(composed)
    write_whole(out, content if chosen.is_binary else content.encode())
    say(f"wrote {out}")
