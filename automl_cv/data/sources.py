"""Sources: what a user may name as images: built-in data, a folder, a table, a folder of both."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from automl_cv.catalog import datasets
from automl_cv.data import listing, manifest, tables
from automl_cv.data.candidates import Candidate, Listing, split_of
from automl_cv.data.ledger import Ledger
from automl_cv.errors import UserError, suggest
from automl_cv.study.sections import Reading
from automl_cv.words import listed

# Folders that hold images of all classes, or no images of any.
PLAIN = frozenset(
    {
        *("images", "image", "img", "imgs", "pictures", "photos", "photo", "data", "files"),
        *("jpg", "jpeg", "png", "masks", "annotations", "labels", "metadata", "raw"),
    }
)
SUBMISSIONS = ("sample_submission", "samplesubmission", "submission", "gender_submission")


def list_source(
    source: str,
    cache_dir: Path,
    reading: Reading,
    on_progress: datasets.Report | None = None,
) -> tuple[Path, Listing]:
    """Return where a source lies, and the files it offers.

    A folder is read by its class folders; where it has none, by the table that lies in it.

    Args:
        source: a built-in name, a folder, or a table.
        cache_dir: where built-in data are kept.
        reading: what the user said of how it is read.
        on_progress: is told how many built-in images are written, where they are not there yet.

    Raises:
        UserError: there is no such source, or no classes can be told.
    """
    if source in datasets.DATASETS:
        root = datasets.materialise(source, cache_dir, on_progress)
        return root, listing.list_folder(root)
    if not source:  # A variable that is not set; its path would be the folder where one stands.
        raise UserError(
            "the source of images is empty; expected a folder, a table or built-in data"
        )
    root = Path(source).expanduser().absolute()
    if root.is_dir():
        return root, _list_folder(root, reading)
    if not root.exists():
        raise UserError(
            f"{source}: not found, neither a folder, a manifest nor built-in data; "
            f"{suggest(source, datasets.DATASETS.names)}"
        )
    if root.suffix.lower() not in tables.ENDINGS:
        hint = "; save it as CSV" if root.suffix.lower() == ".numbers" else ""
        raise UserError(
            f"{source}: expected a folder of images or a manifest ending in "
            f"{', '.join(tables.ENDINGS[:-1])} or {tables.ENDINGS[-1]}{hint}"
        )
    return root, manifest.list_manifest(root, reading)


def as_stored(source: str, ledger: Mapping[str, Any], folder: Path | None = None) -> str:
    """Return where a stored source lies: as it was named, or else where that was.

    Args:
        source: as it was named, maybe relative to where the command ran.
        ledger: as stored beside it.
        folder: that the ledger is stored in, which the place may be relative to.
    """
    place = _place(ledger, folder)
    if not place or source in datasets.DATASETS or Path(source).expanduser().exists():
        return source
    return place if Path(place).exists() else source


def was_at(source: str, ledger: Mapping[str, Any], folder: Path | None = None) -> str:
    """Return what to say of where a stored source was, to stand in a message; or nothing."""
    place = _place(ledger, folder)
    if not place or os.path.abspath(os.path.expanduser(source)) == place:
        return ""
    return f" (the images were at {place})"


def shared(ledger: Ledger, paths: Iterable[str], folder: Path) -> Ledger:
    """Return a ledger as a folder that is handed on may hold it, without paths of the machine.

    Args:
        ledger: of a source.
        paths: absolute, of its images; files of tables that lie elsewhere are named by these.
        folder: that is handed on.
    """
    above = sorted({os.path.join(os.path.dirname(path), "") for path in paths}, key=len)[::-1]

    def plain(text: str) -> str:
        for one in above:
            text = text.replace(one, "")
        return text

    return replace(
        ledger,
        skipped=tuple(replace(one, path=plain(one.path)) for one in ledger.skipped),
        findings=tuple(
            replace(one, line=plain(one.line), files=tuple(map(plain, one.files)))
            for one in ledger.findings
        ),
        place=place_beside(ledger.place, folder),
    )


def place_beside(place: str, folder: Path) -> str:
    """Return where a source lies as a folder that is handed on may say it.

    That is relative to the folder, and nothing where source and folder don't lie together below
    the working directory or the folder's own: a path of the machine tells strangers of its user.

    Args:
        place: absolute path of the source; empty for built-in data.
        folder: that is handed on.
    """
    own = folder.absolute()
    for shared in (Path.cwd(), own.parent):
        if place and Path(place).is_relative_to(shared) and own.is_relative_to(shared):
            return Path(os.path.relpath(place, own)).as_posix()
    return ""


def _place(ledger: Mapping[str, Any], folder: Path | None) -> str:
    place = str(ledger.get("place", ""))
    if not place or folder is None:
        return place
    return os.path.normpath(folder.absolute() / place)  # an absolute one, of before, stays


def hint_at_classes(source: str) -> str | None:
    """Return what to say of a source of one class whose folders lie within it."""
    root = Path(source).expanduser()
    inner = listing.wrapped(root) if root.is_dir() else None
    if inner is None or inner == root:
        return None
    names = sorted(one.name for one in inner.iterdir() if one.is_dir())
    return f"the folders {listed(names)} lie inside: name {inner} instead; "


def _list_folder(root: Path, reading: Reading) -> Listing:
    by_columns = reading.path_column or reading.label_column or reading.root
    if reading.class_level is None and (by_columns or not _has_classes(root)):
        try:
            found = _by_tables(root, reading)
        except UserError as error:
            # Some table that lies there need not be one of labels.
            found = None if by_columns else _if_classes(root)
            if found is None:
                raise error from None
        if found is not None:
            return found
    return listing.list_folder(root, reading.class_level)


def _if_classes(root: Path) -> Listing | None:
    """Return the images of a folder by its folders or the files' names, if they say classes."""
    try:
        found = listing.list_folder(root)
    except UserError:
        return None
    return found if len({one.label for one in found.candidates} - {None}) >= 2 else None


def _has_classes(root: Path) -> bool:
    """Tell whether the folders of a source may be its classes, or splits that hold some."""
    folders = _folders(root)
    named = [one for one in folders if split_of(one.name) is None and one.name.lower() not in PLAIN]
    splits = [one for one in folders if split_of(one.name) is not None]
    return len(named) >= 2 or any(_folders(one) for one in splits)


def _folders(root: Path) -> list[Path]:
    try:
        return [one for one in root.iterdir() if one.is_dir() and not one.name.startswith(".")]
    except OSError:
        return []


def _by_tables(root: Path, reading: Reading) -> Listing | None:
    """Return the images that tables in a folder, or in its split folders, name.

    Raises:
        UserError: more than one could be meant, or none can be read.
    """
    own = _tables(root)
    if not own:
        splits = {one: split for one in _folders(root) if (split := split_of(one.name))}
        within = [(table, split) for one, split in sorted(splits.items()) for table in _tables(one)]
        return _joined(root, within, reading) if within else None
    if len(own) == 1:
        return _noted(manifest.list_manifest(own[0], reading), own)
    found, mistakes = {}, []
    for table in own:
        try:
            found[table] = manifest.list_manifest(table, reading)
        except UserError as error:
            mistakes.append(error)
    if not found:
        raise mistakes[0]
    if len(found) == 1:
        return _noted(next(iter(found.values())), list(found))
    splits_of_tables = {table: split_of(table.stem) for table in found}
    if None not in splits_of_tables.values() and len(set(splits_of_tables.values())) == len(found):
        return _joined(
            root, [(table, str(one)) for table, one in splits_of_tables.items()], reading
        )
    raise UserError(
        f"{root}: holds {len(found)} tables of labels, {listed([one.name for one in found])}; "
        f"name the one that is meant, such as {next(iter(found))}"
    )


def _joined(root: Path, parts: list[tuple[Path, str]], reading: Reading) -> Listing:
    """Return the images of several tables, each of a split."""
    candidates: list[Candidate] = []
    notes: list[str] = []
    for table, split in parts:
        found = manifest.list_manifest(table, reading)
        candidates += [
            replace(one, name=_name(one.path, root), split=one.split or split)
            for one in found.candidates
        ]
        notes += found.notes
    names = [table.relative_to(root).as_posix() for table, _ in parts]
    notes.append(f"labels and splits are those of {listed(names)}")
    return Listing(tuple(sorted(candidates, key=lambda one: one.name)), notes=tuple(notes))


def _noted(found: Listing, own: list[Path]) -> Listing:
    return replace(found, notes=(f"labels are those of {own[0].name}", *found.notes))


def _tables(folder: Path) -> list[Path]:
    return sorted(
        one
        for one in folder.iterdir()
        if one.suffix.lower() in tables.ENDINGS
        # JSON lines are of anything; those of Hugging Face's image folders have this name.
        and (one.suffix.lower() != ".jsonl" or one.name.lower() == "metadata.jsonl")
        and one.is_file()
        and not one.name.startswith(".")
        and not one.stem.lower().startswith(SUBMISSIONS)
    )


def _name(path: str, root: Path) -> str:
    one = Path(path)
    return (one.relative_to(root) if one.is_relative_to(root) else one).as_posix()
