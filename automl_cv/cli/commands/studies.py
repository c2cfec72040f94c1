"""`automl-cv studies`: the studies that come with automl-cv, what they search, a copy of one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from automl_cv.cli import completion, options

if TYPE_CHECKING:
    from automl_cv.study.stage import Stage
    from automl_cv.study.studyfile import StudyFile

app = typer.Typer(invoke_without_command=True, help="List studies; show or copy one.")

StudyArgument = Annotated[
    str,
    typer.Argument(
        metavar="STUDY",
        help="Name of a study, or path of its file.",
        autocompletion=completion.studies,
    ),
]


@app.callback()
def studies(context: typer.Context, debug: options.Debug = False) -> None:
    """List the studies that come with automl-cv; `show` prints one, `export` copies it."""
    if context.invoked_subcommand is not None:
        return
    from rich.markup import escape

    from automl_cv.screen.console import ruled
    from automl_cv.screen.console import show as show_table
    from automl_cv.study import library

    table = ruled("study")
    # Their number: the names of ten stages would fill a screen. `show` gives them.
    for heading in ("stages", "trials"):
        table.add_column(heading, justify="right")
    table.add_column("about")
    for name, path in library.shipped().items():
        study = library.load(str(path))
        table.add_row(
            escape(name),
            str(len(study.stages)),
            str(sum(stage.trials for stage in study.stages)),
            escape(study.about),
        )
    show_table(table)


@app.command()
def show(study: StudyArgument, debug: options.Debug = False) -> None:
    """Show what a study searches: data, backbone, and each stage's space as a table."""
    from rich.markup import escape
    from rich.table import Table
    from rich.text import Text

    from automl_cv.catalog.metrics import METRICS
    from automl_cv.screen.console import output, ruled
    from automl_cv.screen.console import show as show_table
    from automl_cv.study import library
    from automl_cv.words import counted

    chosen = library.load(study)
    backbone = chosen.backbone
    facts = Table.grid(padding=(0, 2))
    facts.add_row("study", escape(chosen.name))
    if chosen.about:
        facts.add_row("about", escape(chosen.about))
    facts.add_row("data", escape(chosen.data.source or "given with --data"))
    split = chosen.data.split
    facts.add_row(
        "split", f"{split.train:g} train, {split.validation:g} validation, {split.test:g} test"
    )
    size = f"{backbone.image_size} px" if backbone.image_size else "its own image size"
    blocks = {"last": "the last block", "all": "all blocks"}[backbone.features]
    facts.add_row("backbone", escape(f"{backbone.name}, {size}, features of {blocks}"))
    facts.add_row("metric", METRICS[chosen.metric].about)
    facts.add_row("validation", _validation(chosen))
    facts.add_row("seed", str(chosen.seed))
    show_table(facts)
    for stage in chosen.stages:
        output().print()
        table = ruled("parameter", "values", "only when")
        rule = "" if stage.images is None else f"; a sample of {stage.images:,} images"
        rule += "".join(f"; {one}" for one in stage.rules)
        if stage.alteration:
            on_pixels = stage.alteration.of_level("image", "batch")
            is_cached = stage.training.learns_from == "features"
            views = f"{stage.views} views: " if on_pixels and is_cached else ""
            rule += f"; {views}{stage.alteration}"
        # No title of the table's: one of few columns would fold it into as few characters.
        show_table(Text(f"{stage.name}: {counted(stage.trials, 'trial')}{_how(stage)}{rule}"))
        for name, values, condition, is_open in _rows(chosen, stage):
            shown = f"within {values}" if is_open else str(values)
            table.add_row(escape(name), escape(shown), escape(condition))
        if table.row_count:
            show_table(table)


@app.command()
def export(
    study: StudyArgument,
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder to copy the file to; made if need be.")
    ],
    debug: options.Debug = False,
) -> None:
    """Copy a study's file, to change it: the copy is named by its path, `search ./NAME.toml`."""
    from automl_cv.errors import UserError
    from automl_cv.screen.console import say
    from automl_cv.study import library

    source = library.locate(study)
    target = folder / source.name
    if target.exists():
        raise UserError(f"{target}: exists already; remove it or name another folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    except OSError as error:
        raise UserError(f"{target}: can't be written: {error.strerror}") from None
    say(f"copied to {target}; run it with: automl-cv search {target}")


def _rows(study: StudyFile, stage: Stage) -> Iterator[tuple[str, object, str, bool]]:
    """Yield each parameter of a stage: its name, its values, its condition.

    The last item is whether another stage's trials decide: it will be within these values.
    """
    from automl_cv.study.space import Constant, condition_text

    own = dict(stage.space.parameters)
    for narrowed in stage.narrowed_stages:
        known = stage.known_parameters
        for name, values, condition, _ in _rows(study, study.stage(narrowed)):
            if name in own:
                yield name, own.pop(name), condition, False
            elif name in known:
                yield name, values, condition, not isinstance(values, Constant)
    for name, parameter in own.items():
        yield name, parameter, condition_text(parameter), False


def _validation(study: StudyFile) -> str:
    """Return what says how good a trial is."""
    from automl_cv.study.studyfile import MOST_FOLDED

    folds = f"{study.folds} folds of train and validation images"
    return {
        "split": "the validation images",
        "folds": folds,
        "auto": f"{folds} up to {MOST_FOLDED:,} images, else the validation images",
    }[study.validation]


def _how(stage: Stage) -> str:
    """Return how a stage's trials are drawn and trained."""
    drawn = "" if stage.retrained_stages else f"sampler {_named(stage.sampler)}, "
    if stage.combined_stages:
        return ""
    if not stage.training.in_steps:
        return f", {drawn}{_trained(stage)}"
    return (
        f" of at most {stage.epochs} epochs, {drawn}pruner {_named(stage.pruner)}, "
        f"{_trained(stage)}, schedule {_named(stage.schedule)}{_loss(stage)}"
    )


def _trained(stage: Stage) -> str:
    """Return what a stage trains: "head linear" or "network ResNet34 (block original)"."""
    named = stage.trained
    if stage.exact:  # a strength of 0 is found
        own = {name: value for name, value in named.parameters.items() if value != 0}
        named = named.model_copy(update={"parameters": own})
    return f"{stage.training.trained} {_named(named)}"


def _loss(stage: Stage) -> str:
    """Return what training minimises, where it is not plain cross-entropy."""
    text = "" if stage.loss.name == "cross_entropy" else f", loss {_named(stage.loss)}"
    return f"{text}, class weights {stage.class_weight}" if stage.class_weight else text


def _named(named: object) -> str:
    """Return "early_stopping (patience 10, min_delta 0.0)"."""
    from automl_cv.study.sections import Named

    assert isinstance(named, Named)
    own = ", ".join(f"{name} {value}" for name, value in named.parameters.items())
    return f"{named.name} ({own})" if own else named.name
