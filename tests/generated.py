"""Generated cases: each of its own seed, each ends well or in lines, soon, without a traceback.

Few by default; `pytest -m exhaustive` takes all of them.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from automl_cv.errors import AutomlError, trouble
from automl_cv.screen.console import told

MANY = 2000
LONGEST_LINE = 2000
SECONDS = 120.0
"""A case that takes longer hangs; most take milliseconds, on a busy machine too."""


def numbers(few: int, many: int = MANY) -> pytest.MarkDecorator:
    """Return what runs a test of generated cases with few of them, or with many."""
    marks = [pytest.mark.slow(seconds=20), pytest.mark.exhaustive]
    whole = pytest.param(many, id="many", marks=marks)
    return pytest.mark.parametrize("cases", [pytest.param(few, id="few"), whole])


# What stands in no sensible place: ends of ranges, signs of other languages, formulas, escapes.
TEXTS = (
    *("", " ", "x", "a/b", "../..", ".", "/", "~", "-", "--", "-1", "0", "1e999", "nan", "\x00"),
    *("\x1b[31m", "a\nb", "a\tb", "ä", "日本", "\U0001f408", "\u202e", "=1+1", "<b>", "a" * 300),
    *("%s", "{0}", "{", "*", "[", "[a", "a]", "\\", "'", '"', "None", "true", "9" * 5000, "\ufeff"),
)


@contextmanager
def at_most(seconds: float = SECONDS) -> Iterator[None]:
    """Raise a TimeoutError where the block takes longer; where signals can't tell, wait."""
    if sys.platform == "win32" or threading.current_thread() is not threading.main_thread():
        yield
        return

    def over(number: int, frame: object) -> None:
        raise TimeoutError(f"more than {seconds} s")

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def ends_well(case: Callable[[], object], seed: int) -> bool:
    """Run a case; tell whether it ended without an error, which must be a readable one.

    Raises:
        AssertionError: it ended in another one, or in a message that nobody can read.
    """
    try:
        with at_most():
            case()
    except AutomlError as error:
        check_lines(str(error), seed)
        return False
    except Exception as error:
        if lacks := trouble(error):  # as `main` tells it
            check_lines(lacks, seed)
            return False
        raise AssertionError(f"case {seed}: {type(error).__name__}: {error}") from error
    return True


def check_lines(text: str, seed: int) -> None:
    """Check that what is told can be read: there is a line, and none is endless."""
    lines = told(text).splitlines()
    assert text.strip(), seed
    assert all(len(line) <= LONGEST_LINE for line in lines), (seed, text[:200])
