"""Writes a file that a user names: whole or not at all, wherever that can be."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from automl_cv.errors import UserError
from automl_cv.features.arrays import replacing

# What stands there is no file of the disk, though it may lead to one: /dev/stdout, /dev/fd/3.
_NOT_ON_DISK = (Path("/dev"), Path("/proc"))


def write_whole(path: Path, content: bytes) -> None:
    """Write a file such that no reader ever sees a part of it; see `writing`.

    Args:
        path: the file; one that exists is replaced.
        content: all of it.

    Raises:
        UserError: the folder does not exist or can't be written.
    """
    with writing(path) as place:
        place.write_bytes(content)


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Give a place to write to, and put what was written where a user wants it.

    A plain file is replaced when all is written. Through a symbolic link it is the file that
    the link leads to, and the link stays. Devices, pipes and sockets can't be replaced: they
    are written to as they are.

    Args:
        path: given by the user.

    Raises:
        UserError: it is a folder, its folder does not exist, or it can't be written.
    """
    try:
        if _is_written_through(path):
            yield path
            return
        target = Path(os.path.realpath(path))
        with replacing(target) as temporary:
            yield temporary
    except OSError as error:
        raise UserError(f"--out {path}: can't be written: {error.strerror}") from None


def _is_written_through(path: Path) -> bool:
    """Tell whether a path is something that bytes go into, and no file that can be replaced."""
    if any(folder in path.absolute().parents for folder in _NOT_ON_DISK):
        return True
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return False
    if stat.S_ISDIR(mode):
        raise UserError(f"--out {path}: is a folder; name a file")
    return not stat.S_ISREG(mode)
