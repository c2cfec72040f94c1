"""Names of the runs and stages that a database holds, without Optuna: a shell waits for them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

SQLITE = "sqlite:///"


def stages_by_run(url: str) -> dict[str, list[str]]:
    """Return the stages of each run, in the order in which they were begun.

    Args:
        url: address of the database; of another kind than an SQLite file it holds nothing here.
    """
    file = Path(url.removeprefix(SQLITE))
    if not url.startswith(SQLITE) or not file.is_file():
        return {}
    found: dict[str, list[str]] = {}
    try:
        with closing(sqlite3.connect(f"file:{file.resolve()}?mode=ro", uri=True)) as connection:
            for (name,) in connection.execute("SELECT study_name FROM studies ORDER BY study_id"):
                run, separator, stage = str(name).rpartition("/")
                if separator:
                    found.setdefault(run, []).append(stage)
    except sqlite3.Error:
        return {}
    return found
