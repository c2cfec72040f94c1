"""Dataset: a source of images as a table of path, label, split, content hash and group."""

from __future__ import annotations

import hashlib
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from automl_cv.data import (
    findings,
    greys,
    inspection,
    near_copies,
    source_images,
    sources,
    splitting,
)
from automl_cv.data.images import Window
from automl_cv.data.inspection import OnStep
from automl_cv.data.ledger import Finding, Ledger
from automl_cv.data.near_copies import NearCopies
from automl_cv.data.source_images import COLUMNS, SourceImages
from automl_cv.data.splitting import SPLITS
from automl_cv.errors import UserError
from automl_cv.study import studyfile
from automl_cv.study.sections import Reading
from automl_cv.words import counted, listed


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images of a source that could be decoded, each in one split.

    Args:
        source: as the user named it.
        images: one row an image, columns COLUMNS, all of dtype str; `path` is absolute, `split`
            one of SPLITS, `group` may be missing. Sorted by label and content, so that the order
            depends on neither names nor places of files.
        classes: names of the classes, sorted; an image's number is its label's place here.
        ledger: what was skipped, and other findings.
        fingerprint: 32 hexadecimal digits; the same for the same images, labels and splits,
            wherever the files lie.
        near: which rows of `images` are near copies of one another.
    """

    source: str
    images: pd.DataFrame
    classes: tuple[str, ...]
    ledger: Ledger
    fingerprint: str
    near: NearCopies = field(default_factory=near_copies.none)

    @property
    def window(self) -> Window | None:
        """Which values of deep greys become black and white; None for the whole of 16 bits."""
        found = self.ledger.greys
        return None if found is None or found.window is None else Window(*found.window)

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits that hold images, in the order of SPLITS."""
        present = set(self.images["split"])
        return tuple(name for name in SPLITS if name in present)

    def rows(self, split: str) -> pd.DataFrame:
        """Return the rows of one split, in their order, numbered from 0; none if it is absent."""
        return self.images[self.images["split"] == split].reset_index(drop=True)

    def labels(self, split: str) -> npt.NDArray[np.int32]:
        """Return the class number of each image of a split: int32, (n,)."""
        numbers = {label: number for number, label in enumerate(self.classes)}
        return np.array([numbers[label] for label in self.rows(split)["label"]], dtype=np.int32)

    def counts(self) -> pd.DataFrame:
        """Return the number of images: a row for each class, a column for each split present."""
        found = pd.crosstab(self.images["label"], self.images["split"])
        return found.reindex(index=self.classes, columns=list(self.splits), fill_value=0)


def load_for(
    study: studyfile.StudyFile,
    source: str,
    *,
    cache_dir: Path,
    ledger: Mapping[str, Any] | None,
    strict: bool = False,
    on_progress: OnStep | None = None,
) -> Dataset:
    """Read a source of images as a study reads and divides its own; see `load`.

    Args:
        study: gives the shares of the splits, the seed, and how a source is read.
        source: where the images are.
        cache_dir: see `load`.
        ledger: see `load`.
        strict: see `load`.
        on_progress: see `load`.

    Raises:
        UserError: see `load`.
    """
    return load(
        source,
        split=study.data.split,
        seed=study.seed,
        cache_dir=cache_dir,
        reading=study.data,
        ledger=ledger,
        strict=strict,
        on_progress=on_progress,
    )


def load(
    source: str,
    *,
    split: studyfile.Split,
    seed: int,
    cache_dir: Path,
    reading: Reading | None = None,
    ledger: Mapping[str, Any] | None = None,
    strict: bool = False,
    on_progress: OnStep | None = None,
) -> Dataset:
    """Read a source of images, decode every file, and give each image a split.

    Ready splits are kept as they are. Where they lack validation images, these are cut from the
    training images, in the proportion that `split` gives the two; where they lack a test split,
    there is none; where they hold training images alone, these are split as if nothing had been
    said. Without ready splits each class is divided as `split` says, and copies of an image or
    members of a group stay together.

    Args:
        source: the name of a built-in data set (`catalog.datasets`), which goes before a folder
            of that name, ./NAME; a folder of class folders; a folder of train, validation and
            test folders of class folders; or a manifest: see `sources.list_source`.
        split: shares of the splits.
        seed: another seed gives another split.
        cache_dir: where built-in data and what inspection found are kept.
        reading: what the user said of how it is read.
        ledger: as stored with a run or a model, whose window deep greys are then scaled from.
        strict: refuse a source with any file that is no whole image.
        on_progress: is told how many built-in images are written, then how many are inspected.

    Raises:
        UserError: there is no such source, it holds no images, fewer than two classes, or a class
            too small to be in every split.
    """
    read = source_images.read(source, cache_dir, reading or Reading(), ledger, on_progress)
    table, found, skipped = read.table, read.found, read.skipped
    if strict and skipped:
        raise UserError(
            f"{source}: {counted(len(skipped), 'file')} can't be used as images: "
            f"{listed([f'{one.path} ({one.reason})' for one in skipped])}; "
            "remove them, or go on without --strict to leave them out"
        )
    classes = tuple(sorted(set(table["label"])))
    if len(classes) < 2:
        raise UserError(
            f"{source}: has one class only, {classes[0]!r}; "
            + (sources.hint_at_classes(source) or "")
            + "expected a sub-folder for each of two or more classes"
        )
    unused = greys.note_unused(found)
    try:
        of_splits = _divide(source, table, split, seed)
    except UserError as error:
        # Images that come out black are copies of one another.
        raise UserError("; ".join([str(error), *unused])) from None
    endings = inspection.note_wrong_endings(table["name"].tolist(), found)
    near = near_copies.find(
        found.rows["sketch"],
        np.stack([found.rows["width"], found.rows["height"]], axis=1),
        found.content_hashes,
    )
    known = [
        *findings.of_labels(table),
        *findings.of_overlap(table),
        *findings.of_near_copies(table, near, source),
        *_find_groups(table),
        *findings.notes("data", [*read.notes, *_note_empty_classes(read, classes), *endings]),
        *findings.of_copies(table),
        *findings.notes("range", unused),
        *findings.notes("data", of_splits),
        *findings.of_sizes(table),
    ]
    about = Ledger(
        n_read=len(table),
        skipped=tuple(skipped),
        findings=findings.in_order(known),
        passed_over=read.passed_over,
        sizes=inspection.measure(found),
        greys=greys.of_images(found),
        place=read.place,
    )
    images = table[list(COLUMNS)]
    return Dataset(source, images, classes, about, fingerprint(images), near)


def load_undivided(
    source: str,
    *,
    cache_dir: Path,
    reading: Reading | None = None,
    ledger: Mapping[str, Any] | None = None,
    on_progress: OnStep | None = None,
) -> Dataset:
    """Read a source of images as it is: no split is drawn, one image is enough.

    Args:
        source: as in `load`.
        cache_dir: as in `load`.
        reading: as in `load`.
        ledger: as in `load`.
        on_progress: as in `load`.

    Returns:
        Images whose `split` is what the source says, missing where it says none.

    Raises:
        UserError: there is no such source, or it holds no image that can be read.
    """
    read = source_images.read(source, cache_dir, reading or Reading(), ledger, on_progress)
    images = read.table[list(COLUMNS)]
    about = Ledger(
        n_read=len(images),
        skipped=tuple(read.skipped),
        findings=tuple(findings.notes("data", read.notes)),
        passed_over=read.passed_over,
        sizes=inspection.measure(read.found),
        greys=greys.of_images(read.found),
        place=read.place,
    )
    classes = tuple(sorted(set(images["label"])))
    return Dataset(source, images, classes, about, fingerprint(images.fillna({"split": ""})))


def _divide(source: str, table: pd.DataFrame, split: studyfile.Split, seed: int) -> list[str]:
    """Fill the column `split` in place; return notes on what was found and done."""
    wanted = {name: share for name in SPLITS if (share := getattr(split, name)) > 0}
    ready = set(table["split"].dropna())
    if not ready:
        _assign(table, wanted, seed)
        return []
    _check_ready(source, table)
    notes = []
    if ready == {"train"}:
        _assign(table, wanted, seed)
        notes.append(f"{', '.join(list(wanted)[1:])} cut from train: the source has no other split")
    elif "validation" not in ready:
        both = wanted["train"] + wanted["validation"]
        shares = {name: wanted[name] / both for name in ("train", "validation")}
        _assign(table, shares, seed)
        notes.append(f"validation cut from train, {shares['validation']:.0%} of it")
    if "test" not in ready and "validation" in ready:
        notes.append("no test split: the source has none, so evaluate can't be used")
    return notes + _note_absent(table)


def _assign(table: pd.DataFrame, shares: Mapping[str, float], seed: int) -> None:
    """Divide the training images, or all where the source has no splits, among `shares`."""
    rows = table[table["split"].isna() | (table["split"] == "train")]
    groups = [None if pd.isna(group) else group for group in rows["group"]]
    # A text for each class, not for each image.
    labels = [sys.intern(label) for label in rows["label"]]
    chosen = splitting.assign(labels, rows["content_hash"].tolist(), groups, shares, seed)
    table.loc[rows.index, "split"] = chosen


def _check_ready(source: str, table: pd.DataFrame) -> None:
    """Raise UserError where the ready splits can't be learned from."""
    trained = set(table.loc[table["split"] == "train", "label"])
    if not trained:
        raise UserError(f"{source}: has no training images; expected some with the split train")
    unknown = sorted(set(table["label"]) - trained)
    if unknown:
        label = unknown[0]
        where = sorted(set(table.loc[table["label"] == label, "split"]))
        raise UserError(
            f"{source}: class {label!r} has 0 images in train, 1 needed; it is in "
            f"{' and '.join(where)} only"
        )


def _note_absent(table: pd.DataFrame) -> list[str]:
    """Note classes without images in a ready split; they can't be scored there."""
    counts = pd.crosstab(table["label"], table["split"])
    notes = []
    for name in (name for name in SPLITS if name in counts.columns):
        absent = sorted(counts.index[counts[name] == 0])
        if absent:
            notes.append(f"{name} has no images of {listed([repr(label) for label in absent])}")
    return notes


def _find_groups(table: pd.DataFrame) -> list[Finding]:
    """Find groups that ready splits tear apart."""
    n_splits = table.dropna(subset=["group"]).groupby("group")["split"].nunique()
    torn = sorted(n_splits.index[n_splits > 1])
    if not torn:
        return []
    line = f"{counted(len(torn), 'group')} in more than one ready split: {listed(torn)}"
    files = table.loc[table["group"].isin(torn), "name"]
    return [Finding("groups", "warning", line, tuple(files))]


def _note_empty_classes(read: SourceImages, classes: Sequence[str]) -> list[str]:
    empty = sorted(read.offered - set(classes))
    return [f"class {label!r} was left out: none of its files is an image" for label in empty]


def fingerprint(images: pd.DataFrame) -> str:
    """Return 32 hexadecimal digits, the same for the same images, labels and splits.

    Args:
        images: columns `content_hash`, `label` and `split`, none missing; in any order.
    """
    rows = Counter(zip(images["content_hash"], images["label"], images["split"], strict=True))
    digest = hashlib.blake2b(digest_size=16)
    for row, number in sorted(rows.items()):
        digest.update(repr((row, number)).encode())
    return digest.hexdigest()
