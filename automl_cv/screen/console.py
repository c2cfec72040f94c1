"""The two consoles: data goes to stdout, words and progress to stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape

from automl_cv.words import harmless, without_endless_words


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


def show(table: Any) -> None:
    """Print a Rich renderable to stdout; off a terminal it takes the width it needs."""
    console = output()
    if not sys.stdout.isatty():
        console.width = 1000
    console.print(table)


@contextmanager
def without_chatter() -> Iterator[None]:
    """Throw away what C++ libraries write to stderr while they load; errors are raised anyway.

    TensorFlow writes lines there before it reads the variable that silences it.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
