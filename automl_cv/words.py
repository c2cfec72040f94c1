"""Numbers and names as people read them, the same in every message and view."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

SHOWN = 3  # names a message gives
LONGEST = 120  # signs of a value in a message


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
    return harmless(" ".join(line.split()))


def signed(value: float) -> str:
    """Write a difference with its sign and four decimals: +0.0028; 0.0000 has no sign."""
    shown = f"{value:+.4f}"
    return shown.replace("-", "\N{MINUS SIGN}") if float(shown) else shown[1:]


BARS = "▁▂▃▄▅▆▇█"
SPARKS = 12  # signs of a curve


def sparkline(values: Sequence[float], width: int = SPARKS) -> str:
    """Return a curve as a few signs, from its own lowest to its own highest value.

    Args:
        values: of its epochs; what is no finite number is left out.
        width: signs at most; of more values those at equal distances, the last among them.
    """
    known = [value for value in values if math.isfinite(value)]
    if len(known) < 2:
        return ""
    n_shown = min(width, len(known))
    places = [round(at * (len(known) - 1) / (n_shown - 1)) for at in range(n_shown)]
    low, high = min(known), max(known)
    scale = (len(BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(BARS[round((known[place] - low) * scale)] for place in places)


def harmless(text: str) -> str:
    """Return lines of text without anything else that a terminal would obey."""
    return "".join(
        sign
        if sign.isprintable() or sign in "\n\N{NO-BREAK SPACE}"
        else "\N{REPLACEMENT CHARACTER}"
        for sign in text
    )


def shortened(value: object) -> str:
    """Return a value as Python writes it, no longer than a line has room for."""
    text = repr(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def without_long_words(line: str) -> str:
    """Return a line in which no word, such as a name of 5,000 signs, hides what is said of it."""
    return re.sub(rf"(\S{{{LONGEST}}})\S{{20,}}", r"\1…", line)


def without_endless_words(text: str) -> str:
    """Return lines in which words of more than 500 signs are their beginning and their end.

    Most paths are shorter; a cell of a broken table may be all that stood in the file.
    """
    return re.sub(r"(\S{250})\S{151,}(\S{100})", r"\1…\2", text)


def in_markdown(line: str) -> str:
    """Return a text of which neither Markdown nor HTML within it reads a sign as its own."""
    # An underscore within a word is no sign of Markdown's.
    return re.sub(r"([\\`*\[\]<>|#]|\b_|_\b|(?<!\w)_)", r"\\\1", harmless(line).replace("\n", " "))


def in_spreadsheet(cell: object) -> object:
    """Return a cell that no spreadsheet program takes for a formula, and no terminal for an order.

    An apostrophe before it is how these programs write a text that begins so (OWASP, "CSV
    Injection"). Numbers stay what they are, and so do texts that are one ("-1").
    """
    if not isinstance(cell, str):
        return cell
    text = harmless(cell)
    is_number = re.fullmatch(r"[+-]?\d+([.,]\d+)?", text) is not None
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") and not is_number else text
