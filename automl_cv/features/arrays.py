"""Folders of arrays: written whole or not at all, checked before they are used.

A folder is written under a temporary name, synced, then renamed: readers see all of it or
nothing, whatever happens to the writer. Its `index.json` holds a checksum of each array.

Each array is read through once per process and compared with its checksum (about a second
for each gigabyte), and again when its file's size or time changes. A remembered "was good
last week" would miss what disks do to files that nobody writes.
"""

from __future__ import annotations

import json
import os
import shutil
import time
import uuid
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl_cv.errors import AutomlError

TEMPORARY_PREFIX = ".tmp-"
TEMPORARY_MAX_AGE = 24 * 3600  # seconds; no write takes that long, so its writer is dead
READ_BYTES = 2**20

_verified: set[tuple[str, int, int]] = set()  # path, size and time of arrays found good


class Damaged(AutomlError):
    """A file is not what was written; the text says which and how."""


def temporary_folder(parent: Path) -> Path:
    """Make a folder to be filled and then handed to `publish`."""
    folder = parent / f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}"
    folder.mkdir(parents=True)
    return folder


def publish(temporary: Path, folder: Path, index: dict[str, Any]) -> None:
    """Complete a temporary folder with its index, sync it and give it its name.

    Args:
        temporary: a folder of .npy files.
        folder: its name from now on; where it is there already, the older one stays.
        index: plain data to keep with the arrays; `files` is added.
    """
    files = {
        path.name: {"bytes": path.stat().st_size, "crc32": _checksum(path)}
        for path in temporary.glob("*.npy")
    }
    (temporary / "index.json").write_text(json.dumps({**index, "files": files}), encoding="utf-8")
    for path in (*temporary.iterdir(), temporary):
        _sync(path)
    try:
        temporary.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise
        shutil.rmtree(temporary)
    _sync(folder.parent)


def read_index(folder: Path) -> dict[str, Any]:
    """Read what `publish` was given, and `files`: bytes and CRC-32 of each array by file name.

    Raises:
        Damaged: the index is absent or no index.
    """
    path = folder / "index.json"
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Damaged(f"{path} can't be read: {error}") from None
    if not isinstance(index, dict) or not index.get("files"):
        raise Damaged(f"{path} lists no arrays")
    return index


def open_array(path: Path, index: dict[str, Any]) -> NDArray[Any]:
    """Memory-map an array, read-only, once it was compared with its checksum.

    Raises:
        Damaged: it is absent, or its size or checksum is not the index's.
    """
    try:
        found = path.stat()
        state = (str(path), found.st_size, found.st_mtime_ns)
        if state not in _verified:
            expected = index["files"][path.name]
            if found.st_size != expected["bytes"]:
                raise Damaged(f"{path} has {found.st_size} bytes, not {expected['bytes']}")
            if _checksum(path) != expected["crc32"]:
                raise Damaged(f"{path} does not match its checksum")
            _verified.add(state)
        array: NDArray[Any] = np.load(path, mmap_mode="r")
        return array
    except (OSError, ValueError, KeyError) as error:
        raise Damaged(f"{path} can't be read: {error}") from None


def write_text(path: Path, text: str) -> None:
    """Write a small file, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a path to write to; when that went well it is synced and takes the place of `path`."""
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}")
    try:
        yield temporary
        _sync(temporary)
        temporary.replace(path)
        _sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def remove_abandoned(folder: Path) -> None:
    """Remove what killed writers left in a folder and the folders in it, once it is a day old."""
    oldest = time.time() - TEMPORARY_MAX_AGE
    for pattern in (f"{TEMPORARY_PREFIX}*", f"*/{TEMPORARY_PREFIX}*"):
        for path in folder.glob(pattern):
            try:
                if path.stat().st_mtime < oldest:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
            except FileNotFoundError:  # another process was first
                continue


def folder_size(folder: Path) -> int:
    """Return the bytes of all files below a folder; 0 where there is none."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:  # another process has just renamed or removed it
            continue
    return total


def remove_folder(folder: Path) -> int:
    """Remove a folder as far as it can be removed; return the bytes freed."""
    before = folder_size(folder)
    shutil.rmtree(folder, ignore_errors=True)
    return before - folder_size(folder)


def _checksum(path: Path) -> int:
    value = 0
    with path.open("rb") as file:
        while piece := file.read(READ_BYTES):
            value = zlib.crc32(piece, value)
    return value


def _sync(path: Path) -> None:
    """Have a file or a folder written to the disk itself."""
    if path.is_dir() and os.name == "nt":
        return  # Windows can't open folders, and syncs their entries by itself
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
