"""The folder of a saved classifier: written whole or not at all, checked before it is used."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from automl_cv.errors import UserError
from automl_cv.features.weightfile import hash_of
from automl_cv.saved import safety
from automl_cv.saved.facts import FORMATS, Manifest, checksum_of

NETWORK, CLASSES, CARD, MANIFEST = "model.keras", "classes.json", "card.md", "bundle.json"
HASHED = (NETWORK, CLASSES)
"""What predictions depend on. The card is for people, who may write in it."""
TRAINED_ON = "trained_on.bin"
"""Content hashes of the images that it was trained on, HASH_BYTES each, sorted."""
OWN = (*HASHED, TRAINED_ON, CARD, MANIFEST)
"""All that `fit` replaces; a folder that holds anything else is not replaced."""
EVALUATIONS = "evaluations.json"
"""Looks at evaluated images, see `looks`; a new model in the folder inherits them."""

HASH_BYTES = 16  # of `automl_cv.data.images.content_hash`
LEFTOVER_SECONDS = 24 * 3600  # older folders of a killed fit are removed by the next one

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # linux/fcntl.h, linux/fs.h


@dataclass(frozen=True)
class SavedClassifier:
    """A folder that was found to be what its manifest says.

    Args:
        folder: the folder.
        manifest: its bundle.json.
        classes: names of the classes, in the order of the probabilities.
    """

    folder: Path
    manifest: Manifest
    classes: tuple[str, ...]

    @property
    def network(self) -> Path:
        """The file of the network."""
        return self.folder / NETWORK

    def trained_on(self) -> frozenset[str] | None:
        """Return the content hashes of its training images; None where none were kept."""
        if TRAINED_ON not in self.manifest.files:
            return None
        digits, step = (self.folder / TRAINED_ON).read_bytes().hex(), 2 * HASH_BYTES
        return frozenset(digits[start : start + step] for start in range(0, len(digits), step))


def read(folder: Path) -> SavedClassifier:
    """Read and check a saved classifier, all but loading its network.

    Raises:
        UserError: it is none, it was changed or damaged, it is of a newer automl-cv, or its
            network could run code.
    """
    if not folder.is_dir():
        what = "a file" if folder.exists() else "not found"
        raise UserError(f"{folder}: {what}; expected a folder that `automl-cv fit` wrote")
    _check_files(folder, (MANIFEST, *HASHED))
    manifest = _read_manifest(folder / MANIFEST)
    _check_files(folder, manifest.files)
    for name, known in manifest.files.items():
        if hash_of(folder / name) != known:
            raise UserError(
                f"{folder / name}: changed or damaged since it was written (its hash is not that "
                f"in {MANIFEST}); fit the model again, or copy it anew"
            )
    safety.check_network(folder / NETWORK)
    return SavedClassifier(folder, manifest, _read_classes(folder / CLASSES))


def _check_files(folder: Path, names: Iterable[str]) -> None:
    for name in names:
        path = folder / name
        if path.is_symlink() or not path.is_file():
            what = "a link" if path.is_symlink() else "missing"
            raise UserError(
                f"{path}: {what}; expected a folder that `automl-cv fit` wrote, with "
                f"{', '.join((MANIFEST, *HASHED))} in it"
            )


def _read_manifest(path: Path) -> Manifest:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        version = raw["format"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise UserError(f"{path}: no bundle.json of `automl-cv fit`, or a damaged one") from None
    if version not in FORMATS:
        known = " and ".join(map(str, FORMATS))
        raise UserError(
            f"{path}: has format {version!r}, this automl-cv reads {known}; use the automl-cv "
            "that wrote it, or fit the model again"
        )
    try:
        manifest = Manifest.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise UserError(f"{path}: {key}: {first['msg']}; the file is damaged") from None
    if set(manifest.files) - {TRAINED_ON} != set(HASHED):
        raise UserError(
            f"{path}: files: expected {' and '.join(HASHED)}, got "
            f"{', '.join(map(repr, manifest.files)) or 'none'}"
        )
    if manifest.checksum is not None and manifest.checksum != checksum_of(raw):
        raise UserError(
            f"{path}: changed or damaged since it was written (its checksum is not that of the "
            "rest); fit the model again, or copy it anew"
        )
    return manifest


def _read_classes(path: Path) -> tuple[str, ...]:
    try:
        classes = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        classes = None
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise UserError(f"{path}: expected a list of names of classes")
    return tuple(classes)


def check_target(out: Path) -> None:
    """Raise a UserError where a folder can't be replaced by a saved classifier."""
    if not out.parent.is_dir():
        raise UserError(f"--out {out}: the folder {out.parent} does not exist; make it first")
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise UserError(f"--out {out}: expected a folder, or a name that is free")
    found = {path.name for path in out.iterdir()} if out.is_dir() else set()
    foreign = sorted(found - {*OWN, EVALUATIONS})
    if foreign:
        raise UserError(
            f"--out {out}: holds {foreign[0]!r}, which is no file of a saved classifier; the "
            "folder would be replaced: move that away, or choose another name"
        )


@contextmanager
def replacing(out: Path) -> Iterator[Path]:
    """Give a folder beside `out` that takes its place at the end of a with block.

    Until then, and if the block fails or the process is killed, what stands at `out` stays
    whole.

    Args:
        out: the folder to be written; see `check_target`.

    Yields:
        An empty folder on the same disk.
    """
    prefix = f".{out.name}.fit-"
    for leftover in out.parent.glob(f"{prefix}*"):
        if time.time() - leftover.stat().st_mtime > LEFTOVER_SECONDS:
            shutil.rmtree(leftover, ignore_errors=True)
    temporary = Path(tempfile.mkdtemp(prefix=prefix, dir=out.parent))
    try:
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o777 & ~mask)  # a temporary folder is private, a model need not be
        yield temporary
        if (out / EVALUATIONS).is_file():
            shutil.copy2(out / EVALUATIONS, temporary)
        _sync(temporary)
        if out.is_dir():
            _exchange(temporary, out)
        else:
            temporary.rename(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def complete(
    folder: Path,
    manifest: Manifest,
    classes: tuple[str, ...],
    card: str,
    trained_on: Iterable[str] = (),
) -> None:
    """Write what belongs beside the network of a new classifier.

    Args:
        folder: holds the network already; see `replacing`.
        manifest: all but the hashes.
        classes: names of the classes, in the order of the probabilities.
        card: the model card, Markdown.
        trained_on: content hashes of the images that it was trained on; none are kept of none.
    """
    (folder / CLASSES).write_text(json.dumps(classes, ensure_ascii=False), encoding="utf-8")
    (folder / CARD).write_text(card, encoding="utf-8")
    hashes = sorted(set(trained_on))
    if hashes:
        (folder / TRAINED_ON).write_bytes(bytes.fromhex("".join(hashes)))
    named = (*HASHED, TRAINED_ON) if hashes else HASHED
    files = {name: hash_of(folder / name) for name in named}
    whole = manifest.model_copy(update={"files": files, "checksum": None})
    whole = whole.model_copy(update={"checksum": checksum_of(json.loads(whole.model_dump_json()))})
    (folder / MANIFEST).write_text(whole.model_dump_json(indent=2), encoding="utf-8")


def _sync(folder: Path) -> None:
    # Folders within, too: a SavedModel is one.
    for path in (*folder.rglob("*"), folder):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _exchange(new: Path, old: Path) -> None:
    """Swap two folders, in one step where the system can."""
    rename = getattr(ctypes.CDLL(None), "renameat2", None)
    paths = (os.fsencode(new), os.fsencode(old))
    if rename is not None and not rename(
        _AT_FDCWD, paths[0], _AT_FDCWD, paths[1], _RENAME_EXCHANGE
    ):
        return
    # Another system or disk: for a moment, only the older model's other name holds one.
    aside = old.with_name(f"{new.name}-old")
    old.rename(aside)
    new.rename(old)
    aside.rename(new)
