"""Listing: which files a folder offers as images, of which class and split."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from automl_cv.data.ledger import Skipped
from automl_cv.errors import UserError

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}

# What operating systems, network disks and editors leave behind, folders and files alike; names
# beginning with a dot (.DS_Store, ._photo.jpg, .git) are passed over as well.
LITTER = frozenset(
    {
        *("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx", "__pycache__"),
        *("@eadir", "#recycle", "$recycle.bin", "system volume information", "lost+found"),
    }
)


@dataclass(frozen=True)
class Candidate:
    """A file that may be an image.

    Args:
        path: absolute.
        name: relative to the source, with forward slashes; for messages and sorting.
        label: its class; None for a file that lies in no class folder.
        split: "train", "validation" or "test" where the source says so.
        group: images of one group must stay in one split; None for no group.
    """

    path: str
    name: str
    label: str | None
    split: str | None = None
    group: str | None = None


@dataclass(frozen=True)
class Listing:
    """All files of a source.

    Args:
        candidates: files to be decoded.
        skipped: entries that can't be decoded whatever they hold.
        notes: what a user should know about the source, one line each.
        passed_over: hidden entries and litter; a folder of litter counts once.
    """

    candidates: tuple[Candidate, ...]
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()
    passed_over: int = 0


def list_folder(root: Path) -> Listing:
    """List a folder of class folders, or one of ready split folders that hold class folders.

    It has ready splits if `train` is there with class folders in it, and either nothing but split
    folders stands beside it or at least one other split folder does: a class may well be called
    "train", beside "bus" and "tram". Files below a class folder count to the class however deep
    they lie; links to folders are followed.

    Args:
        root: the folder.

    Raises:
        UserError: the folder has no sub-folders, or two folders for one split.
    """
    walk = _Walk(root)
    folders, files = walk.entries(root)
    if not folders:
        raise UserError(
            f"{root}: {'holds files only' if files else 'empty folder'}; expected one sub-folder "
            "of images a class, or the folders train, validation and test of class folders"
        )
    splits = _split_folders(root, folders, walk)
    candidates = [Candidate(str(path), walk.name(path), None) for path in files]
    notes: list[str] = []
    for folder in folders:
        if not splits:
            candidates += walk.class_folder(folder, None, notes)
        elif folder in splits:
            classes, loose = walk.entries(folder)
            candidates += [Candidate(str(path), walk.name(path), None) for path in loose]
            for class_folder in classes:
                candidates += walk.class_folder(class_folder, splits[folder], notes)
        else:
            notes.append(f"folder {folder.name} stands beside ready splits and was left out")
    return Listing(
        tuple(sorted(candidates, key=lambda candidate: candidate.name)),
        tuple(walk.skipped),
        tuple(notes),
        walk.passed_over,
    )


def as_label(text: str) -> str:
    """Return a class name in Unicode's composed form: macOS writes "é" as two characters."""
    return unicodedata.normalize("NFC", text)


class _Walk:
    """Reads folders; remembers what it passed over and what it could not list."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.passed_over = 0
        self.skipped: list[Skipped] = []

    def name(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

    def entries(self, folder: Path) -> tuple[list[Path], list[Path]]:
        """Return a folder's sub-folders and files, each sorted by name."""
        folders, files = [], []
        try:
            with os.scandir(folder) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            if folder == self.root:
                raise UserError(f"{folder}: can't be read: {error.strerror}") from None
            self._skip(folder, f"can't be read: {error.strerror}")
            return [], []
        for entry in entries:
            path = folder / entry.name
            if entry.name.startswith(".") or entry.name.lower() in LITTER:
                self.passed_over += 1
            elif not _is_unicode(entry.name):
                self._skip(path, "its name is no valid UTF-8")
            elif entry.is_dir():
                folders.append(path)
            elif entry.is_symlink() and not path.exists():
                self._skip(path, "broken link")
            else:
                files.append(path)
        return folders, files

    def class_folder(self, folder: Path, split: str | None, notes: list[str]) -> list[Candidate]:
        label = as_label(folder.name)
        found = [
            Candidate(str(path), self.name(path), label, split)
            for path in self._below(folder, frozenset(map(_identity, (self.root, folder.parent))))
        ]
        if not found:
            notes.append(f"folder {self.name(folder)} holds no files and makes no class")
        return found

    def _below(self, folder: Path, above: frozenset[tuple[int, int]]) -> Iterator[Path]:
        here = _identity(folder)
        if here in above:
            self._skip(folder, "a link to a folder above it")
            return
        folders, files = self.entries(folder)
        yield from files
        for inner in folders:
            yield from self._below(inner, above | {here})

    def _skip(self, path: Path, reason: str) -> None:
        # The name may not be valid text, and it's about to be printed and stored.
        name = os.fsencode(self.name(path)).decode(errors="replace")
        self.skipped.append(Skipped(name, reason))


def _split_folders(root: Path, folders: list[Path], walk: _Walk) -> dict[Path, str]:
    """Return the split of each ready split folder; empty where the folders are classes."""
    splits = {
        folder: SPLIT_NAMES[folder.name.lower()]
        for folder in folders
        if folder.name.lower() in SPLIT_NAMES
    }
    train = [folder for folder, split in splits.items() if split == "train"]
    alone = len(splits) == len(folders)
    if not train or not (alone or len(set(splits.values())) > 1):
        return {}
    for split in set(splits.values()):
        same = [folder.name for folder, other in splits.items() if other == split]
        if len(same) > 1:
            raise UserError(f"{root}: {' and '.join(same)} are both the {split} split; merge them")
    if not _Walk(root).entries(train[0])[0]:
        raise UserError(
            f"{train[0]}: holds no class folders; expected one sub-folder of images a class"
        )
    return splits


def _identity(folder: Path) -> tuple[int, int]:
    """Return what tells a folder from others whatever links lead to it."""
    status = folder.stat()
    return status.st_dev, status.st_ino


def _is_unicode(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
