"""Every error automl-cv raises on purpose, and the one warning it gives.

A message is one line that answers four questions: what was wrong, where (file,
key, trial), what was expected, what to do.
"""

from __future__ import annotations

import difflib
import errno
import os
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

# Of difflib, whose own 0.6 takes "bayes" for a slip of "cmaes".
LIKENESS = 0.65


class AutomlError(Exception):
    """Something failed that the user should read about; the command exits with 1."""

    exit_code = 1


class UserError(AutomlError):
    """The input or the use was wrong; the command exits with 2."""

    exit_code = 2


class SearchBroken(AutomlError):
    """Trials fail one after the other, so going on would waste the budget."""


class AutomlWarning(UserWarning):
    """A thing the user can act on but need not."""


def warn(message: str) -> None:
    """Warn in one line, blamed on the first caller outside this package."""
    here = str(Path(__file__).parent)
    depth, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(here):
        depth, frame = depth + 1, frame.f_back
    warnings.warn(message, AutomlWarning, stacklevel=depth + 1)


# What the machine lacks, and what to do. The numbers are those of errno(3).
TROUBLES = {
    errno.ENOSPC: "the disk is full; free some space",
    errno.EDQUOT: "the disk quota is used up; free some space",
    errno.EROFS: "the disk may only be read; name another place",
    errno.EACCES: "permission is denied; change it, or name another place",
    errno.EPERM: "the operation is not permitted; name another place",
    errno.EMFILE: "too many files are open; raise the limit (`ulimit -n 4096`)",
    errno.ENFILE: "too many files are open on this machine; close some programs",
    errno.ELOOP: "links lead in a circle; mend them",
    errno.ENAMETOOLONG: "the name is too long for this disk; choose a shorter one",
    errno.EIO: "the disk can't be read or written; check it",
    errno.EBADF: "it is closed; send it to a file or a terminal",
    errno.ENOMEM: "memory is used up; close other programs, or use fewer workers",
    errno.EAGAIN: "no more processes or threads may be started; raise the limit (`ulimit -u`)",
}
# What SQLite and NumPy say of the same, without a number.
_SAID = {
    "database or disk is full": errno.ENOSPC,
    "requested and": errno.ENOSPC,  # numpy.save: "7680 requested and 2016 written"
    "readonly database": errno.EROFS,
    "disk I/O error": errno.EIO,
}


def trouble(error: BaseException | None) -> str | None:
    """Return in one line what the machine lacks: space, permission, files, memory.

    Args:
        error: what was raised; what it was raised from counts too.

    Returns:
        Where it was, what was wrong, what to do; None for all that is not the machine's.
    """
    while error is not None:
        if isinstance(error, MemoryError):
            return TROUBLES[errno.ENOMEM]
        if isinstance(error, OSError) or type(error).__name__ == "OperationalError":
            said = str(error)
            known = (number for text, number in _SAID.items() if text in said)
            number = getattr(error, "errno", None) or next(known, None)
            if number in TROUBLES:
                name = getattr(error, "filename", None)
                where = f"{os.fsdecode(name)}: " if name is not None else ""
                return f"{where}{TROUBLES[number]}"
        if away := _server_trouble(error):
            return away
        error = error.__cause__
    return None


def _server_trouble(error: BaseException) -> str | None:
    """Return the line that says that a database server does not answer; SQLite is none."""
    said = getattr(error, "orig", None)  # of SQLAlchemy's errors: the driver's own
    is_servers = type(error).__name__ in ("OperationalError", "InterfaceError")
    if said is None or not is_servers or type(said).__module__.startswith("sqlite3"):
        return None
    return (
        f"the database server can't be used ({' '.join(str(said).split())}); see that it runs and "
        "can be reached, and run the same command again: what was stored is kept"
    )


@contextmanager
def naming(path: Path | str) -> Iterator[None]:
    """Say of an OSError within the block which file or folder it was about, where it does not."""
    try:
        yield
    except OSError as error:
        if error.filename is not None:
            raise
        known = (number for text, number in _SAID.items() if text in str(error))
        number = error.errno or next(known, None)
        if number is None:
            raise
        raise OSError(number, os.strerror(number), str(path)) from error


def installing(extra: str) -> str:
    """Return what to do where packages are missing: automl-cv comes as a clone.

    Args:
        extra: of `pyproject.toml`, which brings them; empty for what is always needed.
    """
    what = f".[{extra}]" if extra else "."
    return f"run in automl-cv's folder: pip install -c .ci/constraints.txt '{what}'"


def suggest(name: str, known: Iterable[str]) -> str:
    """Return "did you mean …?" with close matches of `name`, then all known names."""
    names = list(known)
    close = alike(name, names)
    hint = f"did you mean {' or '.join(map(repr, close))}? " if close else ""
    return f"{hint}known: {', '.join(names) or 'none'}"


def alike(name: str, known: Iterable[str]) -> list[str]:
    """Return up to three of the known names that `name` may be a slip of, the closest first."""
    folded = {other.casefold(): other for other in known}
    for one, others in ((name, list(folded.values())), (name.casefold(), list(folded))):
        if found := difflib.get_close_matches(one, others, n=3, cutoff=LIKENESS):
            return [folded[other.casefold()] for other in found]
    return []
