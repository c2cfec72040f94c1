"""Numbers and names as people read them, the same in every message and view."""

from __future__ import annotations

from collections.abc import Sequence

SHOWN = 3  # names a message gives


def counted(number: int, singular: str, plural: str | None = None) -> str:
    """Return "1 image" or "1,797 images"."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def listed(names: Sequence[str]) -> str:
    """Return "a, b, c and 4 more"."""
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more:,} more" if more > 0 else "")


def trials_text(trials: Sequence[int]) -> str:
    """Return "trial 3" or "trials 3, 5 and 6"."""
    *others, last = map(str, trials)
    return f"trials {', '.join(others)} and {last}" if others else f"trial {last}"


def printable(line: str) -> str:
    """Return a text as one line without anything that a terminal would obey."""
    words = " ".join(line.split())
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in words)
