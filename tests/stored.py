"""Databases of trials for tests: filled once by the store, copied for whoever asks again."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from automl_cv.store.database import open_storage


def put(file: Path, fill: Callable[..., None], *arguments: object) -> str:
    """Put a database into a new file; return its address.

    Args:
        file: of the database.
        fill: stores into an open storage, which comes first of its arguments.
        arguments: the others.
    """
    file.write_bytes(_filled(fill, *arguments))
    return f"sqlite:///{file}"


def copied(file: Path, folder: Path) -> Path:
    """Copy a database that a command of this process has filled; return the copy.

    While a connection to it lives, what was written last lies in a file beside it, and a copy of
    the one file would lack it. SQLite itself copies both.
    """
    copy = folder / file.name
    with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    return copy


@cache
def _filled(fill: Callable[..., None], *arguments: object) -> bytes:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "filled.db"
        storage = open_storage(f"sqlite:///{file}", create=True)
        fill(storage, *arguments)
        storage.remove_session()
        storage.engine.dispose()  # the last connection puts its journal into the file
        assert list(Path(folder).iterdir()) == [file]
        return file.read_bytes()
