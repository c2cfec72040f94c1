"""Every error automl-cv raises on purpose, and the one warning it gives.

A message is one line that answers four questions: what was wrong, where (file,
key, trial), what was expected, what to do.
"""

from __future__ import annotations

import difflib
import sys
import warnings
from collections.abc import Iterable
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
