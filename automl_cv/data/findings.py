"""Findings: what can be known of images before anything is trained, in the order of its harm.

Made once, when a source is read; kept with the run and the model, shown by `data`, `search` and
`report` alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from automl_cv.data import overlap
from automl_cv.data.ledger import Finding, Harm
from automl_cv.data.near_copies import NearCopies
from automl_cv.words import counted, listed

HARMS: tuple[Harm, ...] = ("stop", "warning", "note")

# Shares of images from which a search is stopped. Of images under two labels at most one can be
# told right; where half of a split stands in the training images, its figures are of memory.
CONTRADICTED = 0.1
OVERLAPPED = 0.5

LIKENESS = "nearly identical in looks"  # features, a second sign, tell their own in a search

UNEVEN = 10  # times as many images as the smallest class, from which that is worth a word


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return findings by their harm, the worst first; those of equal harm as they came."""
    return tuple(sorted(findings, key=lambda one: HARMS.index(one.harm)))


def notes(about: str, lines: Iterable[str]) -> list[Finding]:
    """Return lines as findings that do no harm."""
    return [Finding(about, "note", line) for line in lines]


def of_labels(table: pd.DataFrame) -> list[Finding]:
    """Find identical images under more than one label, with every file.

    Args:
        table: columns `content_hash`, `label`, `name`.
    """
    copies = table[table.duplicated("content_hash", keep=False)]
    n_labels = copies.groupby("content_hash")["label"].nunique()
    torn = n_labels.index[n_labels > 1]
    if not len(torn):
        return []
    files = copies[copies["content_hash"].isin(torn)]
    first = files[files["content_hash"] == torn[0]].drop_duplicates("label")["name"]
    share = len(files) / len(table)
    line = (
        f"{counted(len(torn), 'image')} under more than one label, in "
        f"{counted(len(files), 'file')} ({share:.1%} of the images), first "
        f"{' and '.join(first.iloc[:2])}"
    )
    harm: Harm = "stop" if share >= CONTRADICTED else "warning"
    return [Finding("labels", harm, line, tuple(files["name"]))]


def of_copies(table: pd.DataFrame) -> list[Finding]:
    """Find identical images.

    Args:
        table: columns `content_hash`, `name`.
    """
    again = table[table.duplicated("content_hash")]
    if again.empty:
        return []
    number = len(again)
    line = f"{counted(number, 'image')} {'is a copy' if number == 1 else 'are copies'} of another"
    return [Finding("copies", "note", line, tuple(again["name"]))]


def of_overlap(table: pd.DataFrame) -> list[Finding]:
    """Find identical images in two splits.

    Args:
        table: columns `content_hash`, `split`, `path`, `name`.
    """
    hashes, splits = table["content_hash"], table["split"]
    twins = overlap.identical(hashes.tolist(), splits.tolist())
    lines = twins.warnings(table["path"].tolist())
    found = []
    for ((split, earlier), number), line in zip(twins.counts.items(), lines, strict=True):
        known = set(hashes[splits == earlier])
        files = table.loc[(splits == split) & hashes.isin(known), "name"]
        harm: Harm = "stop" if number >= OVERLAPPED * twins.sizes[split] else "warning"
        found.append(Finding("overlap", harm, line, tuple(files)))
    return found


def of_near_copies(table: pd.DataFrame, near: NearCopies, source: str) -> list[Finding]:
    """Find near copies under two labels, in two splits, and the others.

    Looks may err, so none of it stops a search.

    Args:
        table: columns `label`, `split`, `name`.
        near: which of its rows are near copies.
        source: as the user named it, for what to do.
    """
    names = table["name"].tolist()
    pairs = near.pairs
    labels, splits = (pd.factorize(table[column])[0][pairs] for column in ("label", "split"))
    torn = pairs[labels[:, 0] != labels[:, 1]]
    found = []
    if len(torn):
        line = (
            f"{counted(len(torn), 'pair')} of images under two labels nearly identical, or "
            f"mirrored, first {names[torn[0, 0]]} and {names[torn[0, 1]]}"
        )
        files = tuple(names[row] for row in np.unique(torn))
        found.append(Finding("labels", "warning", line, files))
    twins = overlap.near(pairs, near.distances, table["split"].tolist())
    lines = overlap.summary(twins, table["split"].tolist(), near.threshold)
    for rows, line in zip(twins.values(), lines.warnings(names, LIKENESS), strict=True):
        line += f"; automl-cv data {source} --out FILE.csv writes a table that keeps them together"
        files = tuple(sorted({names[row] for one in rows for row in (one.row, one.twin)}))
        found.append(Finding("overlap", "warning", line, files))
    within = pairs[splits[:, 0] == splits[:, 1]]
    if len(within):
        number = len(np.unique(within[:, 1]))
        are = "is a near copy" if number == 1 else "are near copies"
        line = (
            f"{counted(number, 'image')} {are} of another in {'its' if number == 1 else 'their'} "
            f"split, first {names[within[0, 0]]} and {names[within[0, 1]]}"
        )
        found.append(
            Finding("copies", "note", line, tuple(names[row] for row in np.unique(within)))
        )
    return found


def of_sizes(table: pd.DataFrame) -> list[Finding]:
    """Find classes of very different sizes.

    Args:
        table: column `label`.
    """
    sizes = table["label"].value_counts()
    if sizes.max() < UNEVEN * sizes.min():
        return []
    few = sorted(sizes.index[sizes * UNEVEN <= sizes.max()])
    return notes(
        "classes",
        [
            f"classes have {sizes.min():,} to {sizes.max():,} images; ten times fewer than the "
            f"largest, {sizes.idxmax()!r}, have {listed([repr(label) for label in few])}: accuracy "
            'says little of them, metric = "balanced_accuracy" does'
        ],
    )


def worst(findings: Sequence[Finding]) -> Finding | None:
    """Return the finding that a search is to stop for, if there is one."""
    return next((one for one in findings if one.harm == "stop"), None)
