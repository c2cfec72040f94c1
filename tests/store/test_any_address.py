"""Whatever stands in `--storage`, it is opened or refused in lines, and no password is told."""

from __future__ import annotations

import random
from functools import partial

from automl_cv.store.database import open_storage
from tests.generated import TEXTS, ends_well, numbers

DRIVERS = (
    *("sqlite", "sqlite", "sqlite", "sqlite+pysqlite", "SQLite", "sqlite3", "postgresql", "mysql"),
    *("mysql+pymysql", "postgresql+psycopg", "mssql", "oracle", "redis", "http", "file", "", "ä"),
)
MARKS = ("://", ":///", ":////", ":", "//", ":/", "")
HOSTS = (
    "",
    "",
    "localhost",
    "me:hunter2@localhost",
    "me:hunter2@localhost:port",
    "[::1",
    "@@",
    ":",
)
ENDS = (
    *("", "", "?password=hunter2", "?timeout=x", "?mode=ro&uri=true", "?", "#x", "?a=b&a=c"),
    *("?uri=true&vfs=none", "?cache=shared", "?isolation_level=none", "?check_same_thread=maybe"),
)


def address(draw: random.Random, folder: str) -> str:
    """Return what is nearly an address, without any machine in it that could be asked."""
    place = draw.choice(("x.db", f"{folder}/x.db", f"{folder}/no/x.db", folder, ":memory:", *TEXTS))
    driver = draw.choice((*DRIVERS, *TEXTS)) if draw.random() < 0.9 else ""
    host = draw.choice(HOSTS) if draw.random() < 0.4 else ""
    made = f"{driver}{draw.choice(MARKS)}{host}{'/' if host else ''}{place}{draw.choice(ENDS)}"
    for _ in range(draw.choice((0, 0, 0, 1, 3))):
        at = draw.randint(0, len(made))
        made = made[:at] + draw.choice(("%", "@", ":", "/", "?", " ", "\x00", "ä")) + made[at:]
    return made


@numbers(60)
def test_an_address_is_opened_or_refused_in_lines(tmp_path, monkeypatch, cases):
    monkeypatch.chdir(tmp_path)
    opened = 0

    def open_and_close(url: str, create: bool) -> None:
        storage = open_storage(url, create=create, busy_seconds=0.1)
        storage.remove_session()
        storage.engine.dispose()

    for seed in range(cases):
        draw = random.Random(seed)
        url, create = address(draw, str(tmp_path)), draw.random() < 0.3
        case = partial(open_and_close, url, create)
        opened += ends_well(case, seed)
    assert opened < cases
