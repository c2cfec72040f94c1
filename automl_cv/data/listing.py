"""Listing: which files a folder offers as images, of which class and split."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from automl_cv.data import file_names, levels
from automl_cv.data.candidates import Candidate, Listing, as_label, split_of
from automl_cv.data.file_names import is_picture
from automl_cv.data.ledger import Skipped
from automl_cv.errors import UserError
from automl_cv.words import counted, listed

DEEPEST = 8  # folders within folders that hold nothing else

# What operating systems, network disks and editors leave behind, folders and files alike; names
# beginning with a dot (.DS_Store, ._photo.jpg, .git) are passed over as well.
LITTER = frozenset(
    {
        *("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx", "__pycache__"),
        *("@eadir", "#recycle", "$recycle.bin", "system volume information", "lost+found"),
    }
)


def list_folder(root: Path, class_level: int | None = None) -> Listing:
    """List a folder of class folders, or one of ready split folders that hold class folders.

    It has ready splits if `train` is there with class folders in it, and either nothing but split
    folders stands beside it or at least one other split folder does: a class may well be called
    "train", beside "bus" and "tram". Other usual names of splits count as well (`split_of`).
    Files below a class folder count to the class however deep they lie; links to folders are
    followed. Where files stand in place of class folders, their names may say the class
    (`file_names`).

    Args:
        root: the folder.
        class_level: at which level below `root` the class folders stand, from 1, where that is
            known; no folder is then taken for a split.

    Raises:
        UserError: no classes can be told, the folders are more likely not the classes
            (`levels`), or there are two folders for one split.
    """
    walk = _Walk(root)
    folders, files = walk.entries(root)
    notes: list[str] = []
    if not folders:
        candidates = _named(root, files, None, walk, notes)
        if candidates is None:
            raise UserError(
                f"{root}: {'holds files only' if files else 'empty folder'}; expected one "
                "sub-folder of images a class, or the folders train, validation and test of "
                "class folders"
            )
        return _listing(candidates, walk, notes)
    candidates = [Candidate(str(path), walk.name(path), None) for path in files]
    if class_level is not None:
        for _ in range(class_level - 1):
            inner = [walk.entries(folder) for folder in folders]
            candidates += [
                Candidate(str(path), walk.name(path), None) for _, loose in inner for path in loose
            ]
            folders = [folder for found, _ in inner for folder in found]
        if not folders:
            raise UserError(f"{root}: has no folders at level {class_level}; check --class-level")
        for folder in folders:
            candidates += walk.class_folder(folder, None, notes)
        return _listing(candidates, walk, notes)
    splits = _split_folders(root, folders, walk, notes)
    if not splits:
        levels.check_classes(root, {folder.name: _inside(folder) for folder in folders})
    for folder in folders:
        if not splits:
            candidates += walk.class_folder(folder, None, notes)
        elif folder in splits:
            candidates += _split(folder, splits[folder], walk, notes)
        elif split_of(folder.name) is None:
            notes.append(f"folder {folder.name} stands beside ready splits and was left out")
    return _listing(candidates, walk, notes)


def wrapped(folder: Path) -> Path | None:
    """Return the folder below one that holds two folders or more, where each above holds one.

    Args:
        folder: of which nothing but one class could be read.
    """
    for _ in range(DEEPEST):
        inner, files = _look(folder)
        if any(is_picture(path.name) for path in files):
            return None
        if len(inner) >= 2:
            return folder
        if not inner:
            return None
        folder = inner[0]
    return None


def _listing(candidates: list[Candidate], walk: _Walk, notes: list[str]) -> Listing:
    return Listing(
        tuple(sorted(candidates, key=lambda candidate: candidate.name)),
        tuple(walk.skipped),
        tuple(notes),
        walk.passed_over,
    )


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


def _split(folder: Path, split: str, walk: _Walk, notes: list[str]) -> list[Candidate]:
    """Return the files of a split folder, by class folders or by what their names say."""
    classes, loose = walk.entries(folder)
    if not classes:
        return _named(folder, loose, split, walk, notes) or []
    candidates = [Candidate(str(path), walk.name(path), None) for path in loose]
    for class_folder in classes:
        candidates += walk.class_folder(class_folder, split, notes)
    return candidates


def _named(
    folder: Path, files: Sequence[Path], split: str | None, walk: _Walk, notes: list[str]
) -> list[Candidate] | None:
    """Return the files of a folder with the labels that their names say; None where they don't."""
    labels = file_names.labels([path.name for path in files])
    if labels is None:
        return None
    where = "" if folder == walk.root else f" in {walk.name(folder)}"
    kinds = sorted(set(labels.values()))
    notes.append(
        f"no class folders{where}: labels are what stands before the numbers in the files' names, "
        f"{listed(kinds)}"
    )
    return [Candidate(str(path), walk.name(path), labels.get(path.name), split) for path in files]


def _look(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return a folder's sub-folders and files; nothing is counted or noted."""
    return _Walk(folder.parent).entries(folder)


def _inside(folder: Path) -> tuple[list[str], bool]:
    """Return the names of a folder's sub-folders, and whether images lie beside them."""
    folders, files = _look(folder)
    return [inner.name for inner in folders], any(is_picture(path.name) for path in files)


def _split_folders(
    root: Path, folders: list[Path], walk: _Walk, notes: list[str]
) -> dict[Path, str]:
    """Return the split of each ready split folder; empty where the folders are classes."""
    splits = {folder: split for folder in folders if (split := split_of(folder.name))}
    train = [folder for folder, split in splits.items() if split == "train"]
    alone = len(splits) == len(folders)
    if not train or not (alone or len(set(splits.values())) > 1):
        return {}
    held = {_below_its_name(folder): split for folder, split in splits.items()}
    labelled = {}
    for folder, split in held.items():
        inner, files = _look(folder)
        if inner or file_names.labels([path.name for path in files]):
            labelled[folder] = split
        elif split == "train":
            raise UserError(
                f"{folder}: holds no class folders; expected one sub-folder of images a class, "
                "or a table of path and label"
            )
        else:
            unlabelled = f"{counted(len(files), 'file')} of no class" if files else "nothing"
            notes.append(
                f"folder {walk.name(folder)} holds {unlabelled} and was left out; predict takes "
                "images without labels"
            )
    for split in set(labelled.values()):
        same = [folder.name for folder, other in labelled.items() if other == split]
        if len(same) > 1:
            raise UserError(f"{root}: {' and '.join(same)} are both the {split} split; merge them")
    folders[:] = [*labelled, *(folder for folder in folders if folder not in splits)]
    return labelled


def _below_its_name(folder: Path) -> Path:
    """Return the folder of the same split that a split folder holds and nothing beside it.

    Archives that were unpacked into folders of their names look so: training_set/training_set/cats.
    """
    split = split_of(folder.name)
    for _ in range(DEEPEST):
        inner, files = _look(folder)
        if files or len(inner) != 1 or split_of(inner[0].name) != split:
            break
        folder = inner[0]
    return folder


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
