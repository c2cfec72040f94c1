"""Standard output and error as they really are: closed, full, or of few characters."""

from __future__ import annotations

import codecs
import contextlib
import os
import sys
from types import TracebackType

# What tables and sentences are drawn with, for streams that know no such signs.
PLAIN = str.maketrans(
    {
        **dict.fromkeys("─━═╌┄", "-"),
        **dict.fromkeys("│┃║", "|"),
        **dict.fromkeys("┌┐└┘├┤┬┴┼╭╮╰╯┏┓┗┛┡┩╇╞╡╪", "+"),
        **dict(zip("▁▂▃▄▅▆▇█", "_.-:=+*#", strict=True)),
        **{"≈": "~", "–": "-", "—": "-", "−": "-", "·": "-", "…": "...", "×": "x"},
        "\N{NO-BREAK SPACE}": " ",
        **{"→": "->", "≤": "<=", "≥": ">=", "±": "+-", "•": "*", "’": "'", "“": '"', "”": '"'},
    }
)
ERRORS = "automl_cv.plain"


def _plain(error: UnicodeError) -> tuple[str, int]:
    """Write signs that a stream can't write as plain ones, names as their escapes."""
    assert isinstance(error, UnicodeEncodeError)
    text = error.object[error.start : error.end].translate(PLAIN)
    return text.encode("ascii", "backslashreplace").decode("ascii"), error.end


def prepare() -> None:
    """Make the streams of this process such that writing to them says what is wrong.

    One that cannot encode a character writes a plain one instead. One that is closed has every
    write fail with "Bad file descriptor", as in any other program; its descriptor is taken, so
    that no database or log that is opened later becomes standard output.
    """
    codecs.register_error(ERRORS, _plain)
    for number, name in ((1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDONLY)
            if descriptor != number:
                os.dup2(descriptor, number)
            setattr(sys, name, open(number, "w", encoding="utf-8", closefd=False))
        stream = getattr(sys, name)
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=ERRORS)


def failed_in(trace: TracebackType | None) -> bool:
    """Return whether an exception came from writing to a stream, by the frames it passed."""
    names = set()
    while trace is not None:
        names.add(trace.tb_frame.f_code.co_name)
        trace = trace.tb_next
    return bool(names & {"echo", "_write_buffer", "flush_streams"})


def flush_streams() -> None:
    """Write what is still held back, so that a full disk shows before the exit code is decided."""
    sys.stdout.flush()


def abandon() -> None:
    """Have what stdout still holds go nowhere: it can't be written, and was complained of."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    with contextlib.suppress(OSError):
        os.dup2(nowhere, 1)
    os.close(nowhere)
