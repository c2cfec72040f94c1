"""What the Tab key offers: studies, runs, stages, columns, listeners.

A shell calls these with what is typed so far, so none may load Optuna or pandas, or raise.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import typer

from automl_cv.errors import UserError

Context = typer.Context


def studies(incomplete: str) -> list[str]:
    """Offer the studies that ship, and study files that lie here."""
    from automl_cv.study import library

    files = (f"./{path.name}" for path in sorted(Path().glob("*.toml")))
    return _beginning([*library.shipped(), *files], incomplete)


def runs(context: Context, incomplete: str) -> list[str]:
    """Offer the runs of the database."""
    return _beginning(_held(context), incomplete)


def stages_of_study(context: Context, incomplete: str) -> list[str]:
    """Offer the stages of the study that is named already."""
    from automl_cv.study import library

    try:
        study = library.load(_named(context) or "")
    except UserError:
        return []
    return _beginning((stage.name for stage in study.stages), incomplete)


def stages_of_run(context: Context, incomplete: str) -> list[str]:
    """Offer the stages of the run that is named already, else those of all runs."""
    held, run = _held(context), _named(context)
    alike = [name for name in held if run in (None, name, name.partition("@")[0])]
    return _beginning(dict.fromkeys(stage for name in alike for stage in held[name]), incomplete)


def columns(incomplete: str) -> list[str]:
    """Offer the columns of the leaderboard's CSV, and parameters that are searched."""
    from automl_cv.report.columns import COLUMNS
    from automl_cv.study.parameters import optimizer_parameters

    own = (column.name for column in COLUMNS if column.in_data)
    return _beginning(dict.fromkeys([*own, *sorted(optimizer_parameters())]), incomplete)


def listeners(incomplete: str) -> list[str]:
    """Offer the listeners of the table."""
    from automl_cv.catalog.listeners import LISTENERS

    return _beginning(LISTENERS.names, incomplete)


def presets(incomplete: str) -> list[str]:
    """Offer the presets."""
    from automl_cv.catalog.presets import PRESETS

    return _beginning(PRESETS.names, incomplete)


def _named(context: Context) -> str | None:
    """Return the study or run that is typed already; before an option's value it is unparsed."""
    named = context.params.get("study") or next(iter(context.args), None)
    return None if named is None else str(named)


def _held(context: Context) -> dict[str, list[str]]:
    from automl_cv.places import STORAGE
    from automl_cv.store.names import stages_by_run

    said = context.params.get("storage") or os.environ.get("AUTOML_CV_STORAGE")
    return stages_by_run(str(said or STORAGE))


def _beginning(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
