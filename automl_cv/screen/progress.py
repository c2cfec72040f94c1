"""How far a command is: a bar on a terminal, else a line for each thing that is done."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from automl_cv.screen.console import messages, say


@contextmanager
def progress(*, quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """Give a function that is told (what is done now, how much of it is done, how much there is).

    Args:
        quiet: show nothing.
    """
    from automl_cv.screen.notebook import CellLine, is_notebook

    if quiet:
        yield lambda what, done, total: None
    elif is_notebook():
        yield CellLine()
    elif not sys.stderr.isatty():
        yield _write_ends
    else:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, TimeRemainingColumn(), console=messages(), transient=True) as bar:
            task = bar.add_task("starting", total=None)
            yield lambda what, done, total: bar.update(
                task, description=what, completed=done, total=total
            )


def _write_ends(what: str, done: int, total: int) -> None:
    if done == total:
        say(f"{what}: {total:,}")
