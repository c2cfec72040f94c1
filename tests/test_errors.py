"""What the machine lacks is said in one line, with the place and what to do."""

from __future__ import annotations

import errno
import os

import pytest

from automl_cv.errors import AutomlError, naming, trouble


class OperationalError(Exception):
    """Named as SQLAlchemy's."""


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "", "/disk/x"), "/disk/x: the disk is full; free some space"),
        (OSError(errno.EROFS, "", b"/ro"), "/ro: the disk may only be read; name another place"),
        (OSError(errno.EMFILE, ""), "too many files are open; raise the limit (`ulimit -n 4096`)"),
        (
            OSError("7680 requested and 2016 written"),
            "the disk is full; free some space",
        ),
        (OperationalError("database or disk is full"), "the disk is full; free some space"),
        (
            MemoryError(),
            "memory is used up; close other programs, or use fewer workers",
        ),
    ],
)
def test_the_machines_troubles_are_told(error, said):
    assert trouble(error) == said
    try:
        raise RuntimeError("a write failed") from error
    except RuntimeError as outer:
        assert trouble(outer) == said


def test_a_bug_is_no_trouble_of_the_machine():
    for error in (ValueError("No space left"), OSError("odd"), AutomlError("database or disk")):
        assert trouble(error) is None


def test_an_error_without_a_name_gets_one():
    with pytest.raises(OSError, match="/cache") as named, naming("/cache"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert trouble(named.value) == "/cache: the disk is full; free some space"
    with pytest.raises(OSError) as named, naming("/cache"):
        raise OSError("7680 requested and 2016 written")
    assert named.value.filename == "/cache"
    with pytest.raises(FileNotFoundError) as named, naming("/cache"):
        raise FileNotFoundError(errno.ENOENT, "", "/own")
    assert named.value.filename == "/own"
    with pytest.raises(OSError) as odd, naming("/cache"):
        raise OSError("odd")
    assert str(odd.value) == "odd"
