"""How far a command is: a bar on a terminal, else a line a minute and one at the end of a thing."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from automl_cv.screen.console import LOADING, messages, say

SECONDS_A_LINE = 60.0


class Ticker:
    """Says a line when a minute has passed since the last one, or since it was made."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def tick(self, line: Callable[[], str]) -> None:
        """Say a line, if it is time."""
        now = time.monotonic()
        if now - self._last >= SECONDS_A_LINE:
            self._last = now
            say(line())


class _Count(TextColumn):
    """How much is done, where it is known how much there is."""

    def __init__(self) -> None:
        super().__init__("")

    def render(self, task: Task) -> Text:
        """Return "1,200/1,797"."""
        return Text(f"{int(task.completed):,}/{int(task.total):,}" if task.total else "")


@contextmanager
def progress(*, quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """Give a function that is told (what is done now, how much of it is done, how much there is).

    There is 0 of what can't be counted.

    Args:
        quiet: show nothing.
    """
    from automl_cv.screen.notebook import CellLine, is_notebook

    if quiet:
        yield lambda what, done, total: None
    elif is_notebook():
        yield CellLine()
    elif not sys.stderr.isatty():
        yield _lines()
    else:
        columns = (TextColumn("{task.description}"), BarColumn(), _Count(), TimeRemainingColumn())
        with Progress(*columns, console=messages(), transient=True) as bar:
            task = bar.add_task(LOADING, total=None)
            yield lambda what, done, total: bar.update(
                task, description=what, completed=done, total=total or None
            )


def _lines() -> Callable[[str, int, int], None]:
    ticker = Ticker()

    def write(what: str, done: int, total: int) -> None:
        if total and done == total:
            say(f"{what}: {total:,}")
        else:
            ticker.tick(lambda: f"{what}: {done:,} of {total:,}" if total else what)

    return write
