"""Columns: which of a table's is the path of an image, which its label."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from automl_cv.data.candidates import split_of
from automl_cv.data.file_names import is_picture
from automl_cv.data.tables import Table
from automl_cv.data.texts import Texts
from automl_cv.errors import UserError, alike

# As data sets are handed out with, the more telling first; letters and digits alone count.
PATHS = (
    *("path", "filename", "file", "filepath", "imagepath", "imagefile", "imagefilename"),
    *("imgpath", "imgname", "imagename", "image", "img", "imageid", "imgid", "id", "name"),
)
LABELS = (
    *("label", "labels", "class", "classname", "category", "categoryname", "target"),
    *("labelname", "species", "breed", "diagnosis", "dx", "groundtruth", "classid", "labelid", "y"),
)
SPLITS = ("split", "subset", "set", "partition")
EXPECTED = "expected path,label[,split][,group]; or name yours with --path-column, --label-column"


@dataclass(frozen=True)
class Roles:
    """What the columns of a table are.

    Args:
        path: name of the column of paths.
        labels: of the rows; "" where one has none.
        split: name of the column of splits, or None.
        group: name of the column of groups, or None.
        notes: what was taken for what, where the names did not say so themselves.
        label_name: the column of labels, for messages.
    """

    path: str
    labels: Sequence[str]
    split: str | None
    group: str | None
    notes: tuple[str, ...] = ()
    label_name: str = "label"


def find(
    where: Path, table: Table, *, path_column: str | None = None, label_column: str | None = None
) -> Roles:
    """Tell what the columns of a table are.

    Args:
        where: the table's file, for messages.
        table: what it holds.
        path_column: the column of paths, where the user named it.
        label_column: the column of labels, where the user named it.

    Raises:
        UserError: a named column is not there; the table says it in more than one way, or not
            at all.
    """
    notes: list[str] = []
    path = path_column or _by_name("path", PATHS, table.columns) or _by_endings(table)
    label = label_column or _by_name("label", LABELS, [c for c in table.columns if c != path])
    for option, name in (("--path-column", path_column), ("--label-column", label_column)):
        if name is not None and name not in table.columns:
            close = alike(name, table.columns)
            hint = f"did you mean {' or '.join(map(repr, close))}? " if close else ""
            raise UserError(
                f"{where}: has no column {name!r} ({option}); {hint}it has {_shown(table)}"
            )
    split = "split" if "split" in table.columns else _split_column(table, (path, label))
    group = "group" if "group" in table.columns else None
    for name in {path, label, split, group} - {None}:
        if table.columns.count(str(name)) > 1:
            raise UserError(f"{where}: has the column {name!r} twice")
    rest = [name for name in table.columns if name not in (path, label, split, group) and name]
    hot = None
    if label is None and path is not None:
        hot = _from_one_hot(where, table, rest)
        label = rest[0] if len(rest) == 1 else None
    missing = [role for role, known in (("path", path), ("label", label or hot)) if known is None]
    if path is None or missing:
        raise UserError(
            f"{where}: lacks the column{'s' if len(missing) > 1 else ''} "
            f"{' and '.join(missing)}; it has {_shown(table)}; {EXPECTED}"
        )
    if hot is not None:
        notes.append(f"labels are the columns that hold 1: {', '.join(rest[:3])}, …")
    taken = {"path": path, "label": label, "split": split}
    notes += [
        f"column {name} is taken for the {role}"
        for role, name in taken.items()
        if name not in (None, role, path_column, label_column)
    ]
    if hot is not None:
        return Roles(path, hot, split, group, tuple(notes), "of labels")
    column = str(label)
    return Roles(path, table.cells[column], split, group, tuple(notes), column)


def _by_name(role: str, known: Sequence[str], columns: Sequence[str]) -> str | None:
    """Return the column of the most telling name; one that is named as the role comes first."""
    if role in columns:
        return role
    plain = {re.sub(r"[^a-z0-9]", "", name.lower()): name for name in reversed(columns)}
    return next((plain[name] for name in known if name in plain), None)


def _by_endings(table: Table) -> str | None:
    """Return the one column whose every cell ends as an image."""
    found = [
        name
        for name in dict.fromkeys(table.columns)
        if len(table) and all(map(is_picture, table.cells[name]))
    ]
    return found[0] if len(found) == 1 else None


def _split_column(table: Table, others: Sequence[str | None]) -> str | None:
    """Return the column that names a split in every row."""
    for name in table.columns:
        plain = name.lower()
        if name not in others and plain in SPLITS and len(table):
            if all(map(split_of, table.cells[name])):
                return name
    return None


def _from_one_hot(where: Path, table: Table, columns: Sequence[str]) -> Texts | None:
    """Return the labels of columns that hold 0 and 1 alone; None where some hold anything else.

    Raises:
        UserError: not one column is 1 in a row.
    """
    if len(columns) < 2 or not len(table):
        return None
    try:
        values = np.array([[float(cell) for cell in table.cells[name]] for name in columns])
    except ValueError:
        return None
    if not np.isin(values, (0, 1)).all():
        return None
    sums = values.sum(axis=0)
    if (wrong := np.flatnonzero(sums != 1)).size:
        raise UserError(
            f"{where}: {table.where(wrong[0])}: {sums[wrong[0]]:.0f} of the columns "
            f"{', '.join(columns[:3])}, … are 1; expected one: an image has one label here. Name "
            "the column of labels with --label-column if these are none"
        )
    return Texts.of(columns[place] for place in values.argmax(axis=0))


def _shown(table: Table) -> str:
    return ", ".join(table.columns) or "none"
