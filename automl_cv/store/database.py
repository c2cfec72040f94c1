"""Opens the database of trials through Optuna, and waits where another process locks it."""

from __future__ import annotations

import logging
import re
import sqlite3
import time
import warnings
import weakref
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import optuna
from alembic.util import CommandError
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine import URL, ExceptionContext, make_url
from sqlalchemy.exc import ArgumentError, SAWarning, SQLAlchemyError

from automl_cv.errors import AutomlError, UserError, installing
from automl_cv.store.optuna_writes import lengthen_texts
from automl_cv.store.patience import patient, said

BUSY_SECONDS = 5.0  # SQLite itself waits this long for another writer
# What SQLite says of a damaged file (https://sqlite.org/rescode.html), whatever the exception.
DAMAGE = (
    "malformed",
    "not a database",
    "no such table",
    "no such column",
    "has no column",
    "unsupported file format",
    "string or blob too big",
    "database corruption",
)
_MYSQL_CLOCK = "SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) / 1000000"
CLOCKS = {
    "sqlite": "SELECT (julianday('now') - 2440587.5) * 86400.0",
    "postgresql": "SELECT extract(epoch FROM clock_timestamp())",
    "mysql": _MYSQL_CLOCK,
    "mariadb": _MYSQL_CLOCK,
}
"""What each database is asked for its time; 2440587.5 is the Julian day of 1970."""
DRIVERS = {
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mysql+pymysql",
}
"""What is taken where an address names a kind of server alone; extras bring them."""
RECYCLE_SECONDS = 1800  # MySQL and firewalls close what is silent for hours
MAKING_ATTEMPTS = 5  # where other searches make the tables at the same moment

_REFUSALS = (
    *(SQLAlchemyError, StorageInternalError, RuntimeError, CommandError, ValueError),
    TypeError,  # of drivers, for arguments in the address that they do not know
)
"""What opening a database raises, by what is wrong with it."""

# What a table or a row of Optuna's says that another process has made in the meantime.
_MADE_BY_OTHERS = ("already exists", "alembic_version", "version_info")


class _PatientStorage(RDBStorage):
    """Optuna's storage, whose own reads give up with their connection; these do not."""


for _name in (
    "get_all_studies",
    "get_all_trials",
    "get_study_directions",
    "get_study_id_from_name",
    "get_study_name_from_id",
    "get_study_system_attrs",
    "get_study_user_attrs",
    "get_trial",
):
    setattr(_PatientStorage, _name, patient(getattr(RDBStorage, _name)))


def open_storage(url: str, *, create: bool, busy_seconds: float = BUSY_SECONDS) -> RDBStorage:
    """Open the database that holds trials.

    Args:
        url: an SQLAlchemy address such as "sqlite:///automl-cv.db". Where it names no driver of a
            server, that of `DRIVERS` is taken.
        create: whether to make the database where there is none; a reader must not.
        busy_seconds: how long SQLite waits for another process's write, in seconds.

    Raises:
        UserError: no such file, no database of Optuna, or an address that can't be used.
        AutomlError: the file is damaged.
    """
    _silence_optuna()
    address = _parse(url)
    arguments: dict[str, Any] = {}
    if address.get_backend_name() == "sqlite":
        _check_file(address, create)
        factory = partial(_TunedConnection, write_ahead=create)
        arguments["connect_args"] = {"timeout": busy_seconds, "factory": factory}
    else:
        address = _with_driver(address)
        url = address.render_as_string(hide_password=False)
        # A connection that the server or a firewall closed meanwhile is replaced as it is taken.
        arguments |= {"pool_pre_ping": True, "pool_recycle": RECYCLE_SECONDS}
    try:
        storage = _made(url, arguments, create)
    except ImportError as error:
        raise UserError(_lacking(address, error)) from None
    except _REFUSALS as error:
        if "malformed" in _reason(error):
            raise AutomlError(damaged(address, _reason(error))) from None
        raise UserError(f"--storage {_shown(address)}: {_reason(error)}") from None
    _tell_damage(storage)
    if address.get_backend_name() == "sqlite":
        _check_tables(storage)
    elif create:
        lengthen_texts(storage)
    weakref.finalize(storage, _hang_up, weakref.ref(storage.engine))
    return storage


def _hang_up(engine: weakref.ref[Engine]) -> None:
    """Close the connections that wait: SQLite puts its log into the database with the last one."""
    known = engine()
    if known is not None:
        known.dispose()


def _made(url: str, arguments: Mapping[str, Any], create: bool) -> RDBStorage:
    """Have Optuna open a database, and make its tables where there are none."""
    for attempt in range(1, MAKING_ATTEMPTS + 1):
        try:
            with warnings.catch_warnings():
                # Of arguments that SQLite does not know, and that mean nothing.
                warnings.simplefilter("ignore", SAWarning)
                # RDBStorage fills "{…}" in an address, so braces of a path are doubled.
                return _PatientStorage(
                    url.replace("{", "{{").replace("}", "}}"),
                    engine_kwargs=dict(arguments),
                    skip_table_creation=not create,
                )
        except _REFUSALS as error:
            # Another search looked for the tables at the same moment, and made them first.
            if attempt == MAKING_ATTEMPTS or not any(
                text in _reason(error) for text in _MADE_BY_OTHERS
            ):
                raise
            time.sleep(0.1 * attempt)
    raise AssertionError("unreachable")


def address_of(storage: RDBStorage) -> str:
    """Return what tells a database from others: its file, the same from wherever it is named."""
    url = storage.engine.url
    is_file = url.get_backend_name() == "sqlite" and not is_private(storage)
    return str(Path(str(url.database)).resolve()) if is_file else str(url)


def is_private(storage: RDBStorage) -> bool:
    """Tell whether a database lies in the memory of this process, where no other one sees it."""
    url = storage.engine.url
    return url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:")


@patient
def database_seconds(storage: RDBStorage) -> float:
    """Return the time in the database's clock, as seconds since 1970 UTC.

    SQLite's is the clock of this machine, to the millisecond.
    """
    with storage.engine.connect() as connection:
        return seconds_of(connection)


def seconds_of(connection: Connection) -> float:
    """Return what `database_seconds` does, or raise at once where the connection is lost."""
    return float(connection.exec_driver_sql(CLOCKS[connection.dialect.name]).scalar_one())


def place_of(storage: RDBStorage) -> str:
    """Return how a line names a database: its file, or the address without what is secret."""
    return _place(storage.engine.url)


def _place(address: URL) -> str:
    return address.database or address.render_as_string(hide_password=True)


def damaged_facts(storage: RDBStorage, run: str, stage: str) -> str:
    """Return the line that says that what is stored of a stage can't be used."""
    return (
        f"the database {place_of(storage)} is damaged: what is stored of stage {stage!r} of "
        f"{run} is not what was written; put a copy from before in its place, or begin a new run "
        "with `search --new`"
    )


def _silence_optuna() -> None:
    """Keep Optuna's and Alembic's own messages off the screen.

    Without any handler Python's handler of last resort would print the warnings.
    """
    optuna.logging.disable_default_handler()
    for name in ("optuna", "alembic"):
        logger = logging.getLogger(name)
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())


def _parse(url: str) -> URL:
    try:
        return make_url(url)
    except (ArgumentError, ValueError):  # a port that is no number is a ValueError
        raise UserError(
            f"--storage {_without_secrets(url)}: no address of a database; expected one such as "
            "sqlite:///automl-cv.db or postgresql://user@host/name"
        ) from None


def _with_driver(address: URL) -> URL:
    """Return an address with the driver of the extra, where it names none."""
    driver = DRIVERS.get(address.drivername)
    return address if driver is None else address.set(drivername=driver)


def _lacking(address: URL, error: ImportError) -> str:
    """Return the line that says that a driver is missing, and how to have ours."""
    line = f"--storage {_shown(address)}: its driver is missing: {error}"
    extra = {"postgresql+psycopg": "postgresql", "mysql+pymysql": "mysql"}.get(address.drivername)
    return line if extra is None else f"{line}; {installing(extra)}"


def _check_file(address: URL, create: bool) -> None:
    """Refuse to read an SQLite file that is not there: SQLite itself would make it."""
    name = address.database
    if create or not name or name == ":memory:" or name.startswith("file:"):
        return
    if not Path(name).exists():
        raise UserError(
            f"{name}: no such database of trials; `automl-cv search quickstart` makes one here, "
            "--storage URL names another"
        )


class _TunedConnection(sqlite3.Connection):
    """A connection beside which others read or write, and that commits without awaiting the disk.

    With a write-ahead log, synchronous=NORMAL keeps the file sound through a power cut and
    risks only the last transactions (https://www.sqlite.org/pragma.html#pragma_synchronous).
    The journal mode stays with the file, so readers need not set it. It is so from the first
    statement on: where each of Optuna's tables awaited the disk, a new file took 0.4 s longer.
    """

    def __init__(self, *given: Any, write_ahead: bool, **more: Any) -> None:
        super().__init__(*given, **more)
        # One byte that is no UTF-8 would keep all else from being read; checksums find it.
        self.text_factory = _decoded
        if write_ahead:
            self.execute("PRAGMA journal_mode=WAL").close()
        self.execute("PRAGMA synchronous=NORMAL").close()


def _decoded(text: bytes) -> str:
    return text.decode(errors="replace")


def _check_tables(storage: RDBStorage) -> None:
    """Refuse an SQLite file whose small tables lost rows, which no checksum of a row would tell.

    SQLite compares each with its indexes (https://sqlite.org/pragma.html#pragma_integrity_check).
    Of 10,000 trials that takes 9 ms of one core; the large tables, whose rows have checksums, are
    left out.

    Raises:
        AutomlError: one is not what its indexes say.
    """
    with storage.engine.connect() as connection:
        for table in ("studies", "study_user_attributes", "trials"):
            found = connection.exec_driver_sql(f"PRAGMA integrity_check({table})").scalar()
            if found != "ok":
                raise AutomlError(damaged(storage.engine.url, str(found)))


def _tell_damage(storage: RDBStorage) -> None:
    """Have what a database says of a damaged file end in one line, whoever asked it."""

    @event.listens_for(storage.engine, "handle_error")
    def _raise_damage(context: ExceptionContext) -> None:
        said = " ".join(str(context.original_exception).split())
        if any(text in said for text in DAMAGE):
            raise AutomlError(damaged(storage.engine.url, said)) from context.original_exception


def damaged(address: URL, said: str) -> str:
    """Return the line that says that a database can't be used any more."""
    return (
        f"the database {_place(address)} is damaged ({said}); put a copy from before in its "
        "place, or name another one with --storage and search again"
    )


def _reason(error: Exception) -> str:
    """Say in one line why a database could not be opened."""
    text = said(error)
    if "no such table" in text or "does not exist" in text:
        return f"holds no trials of automl-cv ({text})"
    if "unable to open" in text:
        return f"can't be opened ({text}); check that its folder exists and may be written"
    return text


def _shown(address: URL) -> str:
    return _without_secrets(address.render_as_string(hide_password=True))


def _without_secrets(url: str) -> str:
    """Return an address, of any form, without what its writer would not want to be read.

    A password stands between the user and the last @, or is an option: `?password=`, `?sslkey=`.
    """
    shown = re.sub(r"((?:://|^)[^:/@]*):(?!//).*@", r"\1:***@", url)
    return re.sub(r"(?i)([?&][^=&]*(?:pass|pwd|secret|token|key)[^=&]*=)[^&]*", r"\1***", shown)
