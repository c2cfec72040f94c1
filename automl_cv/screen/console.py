"""The two consoles: data goes to stdout, words and progress to stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.box import Box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from automl_cv.words import harmless, without_endless_words

# Of rich.box.Box: a line each for the top, headings, the rule below them, rows, and so on.
RULES = Box("    \n    \n ── \n    \n    \n ── \n    \n    \n")

LOADING = "loading TensorFlow …"


def output() -> Console:
    """Return the console of stdout, made now so that a redirected stdout is respected."""
    return Console(soft_wrap=not sys.stdout.isatty())


def messages() -> Console:
    """Return the console of stderr."""
    return Console(stderr=True, soft_wrap=not sys.stderr.isatty())


def say(text: str, *, quiet: bool = False) -> None:
    """Write one line of plain words to stderr, unless `quiet`."""
    if not quiet:
        messages().print(harmless(text), markup=False, highlight=False)


def told(text: str) -> str:
    """Return what is told of a mistake or a trouble as a terminal may have it."""
    return harmless(without_endless_words(text))


def complain(text: str) -> None:
    """Write one line that begins with a red "error:" to stderr."""
    messages().print(f"[bold red]error:[/] {escape(told(text))}", highlight=False)


def caution(text: str) -> None:
    """Write one line that begins with a yellow "warning:" to stderr."""
    messages().print(f"[bold yellow]warning:[/] {escape(told(text))}", highlight=False)


def ruled(*headings: str, **options: Any) -> Table:
    """Return an empty table as the reports have them: a rule below the headings, no boxes."""
    return Table(
        *headings,
        box=RULES,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        title_justify="left",
        title_style="bold",
        caption_justify="left",
        **options,
    )


def show(table: Any) -> None:
    """Print a Rich renderable to stdout; off a terminal it takes the width it needs."""
    console = output()
    if not sys.stdout.isatty():
        console.width = 1000
    console.print(table)


@contextmanager
def without_chatter(*, quiet: bool = False) -> Iterator[None]:
    """Throw away what C++ libraries write to stderr while they load; errors are raised anyway.

    TensorFlow writes lines there before it reads the variable that silences it. On a terminal it
    says meanwhile what takes the seconds.

    Args:
        quiet: say nothing.
    """
    is_told = sys.stderr.isatty() and not quiet
    if is_told:
        sys.stderr.write(f"{LOADING}\r")
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        if is_told:
            sys.stderr.write(f"{' ' * len(LOADING)}\r")
