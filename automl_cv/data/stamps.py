"""Stamps: whether a file system can say that a file is the one it was, without reading it.

Size and time of the last write do not tell: uncompressed images have equal sizes, and `mv`,
`cp -p`, `rsync -t`, unzip and `os.utime` keep or set the time. The inode tells one file from
another, and the time of the last change (ctime) moves with every write, rename and `os.utime`,
and can't be set. A change within the clock's grain of the one before leaves no trace, so what
changed just now is never trusted; git does the same with its index:
https://git-scm.com/docs/racy-git.
"""

from __future__ import annotations

import os
import re
import stat
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

STAMP_PARTS = 4
"""Of a stamp, uint64: size in bytes, last write and last change in nanoseconds (before 1970 modulo
2**64), inode; zeros where only a file's bytes tell."""

RECENT = 2_000_000_000  # nanoseconds; ext3 and HFS+ count whole seconds, FAT every second one

# A clock that counts in steps of this or more gives itself away: its times end in zeros. So does
# what makes times up from whole seconds: archives mounted as folders, SFTP, ext4's small inodes.
GRAIN = 10_000_000  # nanoseconds

# File systems of Linux whose inodes and times of change are their own and lie on this machine.
# Of the others some make them up (FAT, exFAT, FUSE, Windows' disks), and on network disks what
# is known here may be older than what another machine has written.
TELLING = frozenset(
    {
        *("ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "bcachefs", "jfs"),
        *("tmpfs", "ramfs", "overlay"),
    }
)
MOUNTS = Path("/proc/self/mountinfo")


def take(paths: Sequence[str]) -> NDArray[np.uint64]:
    """Return what tells each file from any other that may come in its place.

    Taken before a file is read, a stamp that comes again says that the file is still that one.

    Args:
        paths: absolute paths of files.

    Returns:
        A stamp for each path, (paths, 4); zeros where only the bytes tell: it changed within the
        last two seconds, its file system can't be trusted, or it is no regular file.
    """
    before = time.time_ns()
    mounts = _mounts()
    telling: dict[int, bool] = {}
    stamps = np.zeros((len(paths), STAMP_PARTS), np.uint64)
    for place, path in enumerate(paths):
        try:
            status = os.stat(path)
        except OSError:
            continue
        device = status.st_dev
        if device not in telling:
            telling[device] = _is_telling(path, mounts)
        is_told = (
            telling[device]
            and stat.S_ISREG(status.st_mode)
            and status.st_ino != 0
            and status.st_ctime_ns % GRAIN != 0
            and status.st_ctime_ns < before - RECENT
        )
        if is_told:
            told = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
            stamps[place] = [number % 2**64 for number in told]
    return stamps


def _is_telling(path: str, mounts: Sequence[tuple[str, str]] | None) -> bool:
    """Tell whether the file system of a path is one of TELLING.

    Args:
        path: of a file.
        mounts: (folder, kind) of what is mounted; None where the system does not say.
    """
    if mounts is None:
        # macOS counts nanoseconds of change; Windows gives the time of creation in their place.
        return sys.platform == "darwin"
    real = os.path.realpath(path)
    above = [
        (len(folder), number, kind)
        for number, (folder, kind) in enumerate(mounts)
        if real == folder or real.startswith(folder.rstrip("/") + "/")
    ]
    return bool(above) and max(above)[2] in TELLING  # of two mounts on one folder the later counts


def _mounts() -> list[tuple[str, str]] | None:
    """Return folder and kind of every mounted file system, in order; None if nothing says so."""
    try:
        lines = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None
    found = []
    for line in lines:
        before, _, after = line.partition(" - ")
        folder = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), before.split()[4])
        found.append((folder, after.split()[0]))
    return found
