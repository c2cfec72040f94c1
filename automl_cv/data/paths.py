"""Files to predict: named one by one, by folder, by pattern, or on standard input."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from automl_cv.data.listing import LITTER
from automl_cv.errors import UserError

STANDARD_INPUT = "-"


def expand(arguments: Sequence[str], lines: Iterable[str]) -> Iterator[str]:
    """Yield the files that arguments name, in their order, few of them in memory.

    Files below a folder come sorted by name, folder by folder; hidden entries and systems'
    litter are passed over, links to folders are not followed. Patterns may hold `**`.

    Args:
        arguments: files, folders, patterns, or "-" for a list of files, one a line.
        lines: the list that "-" stands for.

    Raises:
        UserError: a pattern matches nothing, or a folder holds no files; raised when the
            iterator comes to it.
    """
    for argument in arguments:
        if argument == STANDARD_INPUT:
            yield from (name for line in lines if (name := line.rstrip("\r\n")))
        elif os.path.isdir(argument):
            yield from _or_complain(_below(argument), f"{argument}: holds no files")
        elif glob.has_magic(argument) and not os.path.exists(argument):
            matches = glob.iglob(argument, recursive=True)
            files = (name for name in sorted(matches) if not os.path.isdir(name))
            yield from _or_complain(files, f"{argument}: matches no file")
        else:
            yield argument


def _or_complain(names: Iterator[str], complaint: str) -> Iterator[str]:
    is_empty = True
    for name in names:
        is_empty = False
        yield name
    if is_empty:
        raise UserError(f"{complaint}; give files, folders, patterns, or - for a list")


def _below(folder: str) -> Iterator[str]:
    """Yield the files below a folder; one that can't be read counts as a file that can't be."""
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError:
        yield folder
        return
    for entry in entries:
        if entry.name.startswith(".") or entry.name.lower() in LITTER:
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _below(str(Path(folder) / entry.name))
        elif not entry.is_dir():
            yield str(Path(folder) / entry.name)
