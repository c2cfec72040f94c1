"""Does again what a database was too busy for, or what lost its connection on the way."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial, wraps
from itertools import count
from typing import Any, ParamSpec, TypeVar

from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from automl_cv.errors import AutomlError

# Connections, deadlocks, a server that ends or begins, no connections or locks left
# (https://www.postgresql.org/docs/current/errcodes-appendix.html); and the same of MySQL
# (https://dev.mysql.com/doc/mysql-errors/8.4/en/): 0 is PyMySQL's own, of a closed connection.
PASSING_CLASSES = ("08", "40", "57P", "53300", "55P03")
PASSING_CODES = frozenset({0, 1040, 1053, 1205, 1213, 1927, 2002, 2003, 2006, 2013, 2055})
# Between tries to reach a server again: 0.1 s, 0.2 s, … 5 s, 45 s in all. After a minute the run
# may be another's.
_WAITS = tuple(min(0.1 * 2**attempt, 5.0) for attempt in range(14))
AWAY_SECONDS = sum(_WAITS)
ATTEMPTS = 5  # and a write is begun anew this often before it counts as failed

P = ParamSpec("P")
T = TypeVar("T")


def patiently(action: Callable[[], T]) -> T:
    """Read or write, again while the database is locked or can't be reached.

    Optuna retries only the creation of a trial; a lock while a result is stored would lose
    the result. A write that meets a lock has been rolled back, so doing it again is safe. Of one
    that lost its connection nobody knows whether it was done: whatever is given here does no harm
    when it is done twice.

    Raises:
        AutomlError: the database stayed locked for all `ATTEMPTS`, or away for `AWAY_SECONDS`.
    """
    waits = iter(_WAITS)
    for attempt in count(1):
        try:
            return action()
        except (StorageInternalError, DBAPIError) as error:
            if _is_locked(error):
                if attempt == ATTEMPTS:
                    raise AutomlError(
                        f"the database of trials stayed locked for {ATTEMPTS} attempts: another "
                        "process holds it; close that one and run the same command again"
                    ) from error
                time.sleep(0.1 * attempt)
            elif _is_away(error):
                wait = next(waits, None)
                if wait is None:
                    raise AutomlError(
                        f"the database of trials could not be reached for {AWAY_SECONDS:.0f} s "
                        f"({said(error)}); run the same command again once it can, what was "
                        "stored is kept"
                    ) from error
                time.sleep(wait)
            else:
                raise
    raise AssertionError("unreachable")


def patient(function: Callable[P, T]) -> Callable[P, T]:
    """Return a function that reads or writes as one that does so by `patiently`."""

    @wraps(function)
    def patient_function(*args: P.args, **kwargs: P.kwargs) -> T:
        return patiently(partial(function, *args, **kwargs))

    return patient_function


def said(error: BaseException) -> str:
    """Return what the server, or its driver, said, in one line."""
    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    return " ".join(str(getattr(cause, "orig", None) or cause).split())


def _is_away(error: BaseException) -> bool:
    """Tell whether a server can't be reached, or ended a write that waited in a circle."""
    return any(
        isinstance(cause, DBAPIError)
        and "sqlite3" not in type(cause.orig).__module__
        and (
            cause.connection_invalidated
            or (isinstance(cause, OperationalError | InterfaceError) and _will_pass(cause.orig))
        )
        for cause in (error, error.__cause__)
    )


def _will_pass(said: Any) -> bool:
    """Tell by its code whether what a server says is over soon; without one nobody answered."""
    state = getattr(said, "sqlstate", None) or getattr(said, "pgcode", None)
    if state is not None:
        return str(state).startswith(PASSING_CLASSES)
    code = next(iter(said.args), None)
    return not isinstance(code, int) or code in PASSING_CODES


def _is_locked(error: BaseException) -> bool:
    return any(
        isinstance(cause, OperationalError)
        and "sqlite3" in type(cause.orig).__module__
        and "locked" in str(cause.orig)
        for cause in (error, error.__cause__)
    )
