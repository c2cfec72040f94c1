"""Manifests: tables of path, label and, if wanted, split and group."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from automl_cv.data import columns, locating, tables
from automl_cv.data.candidates import Candidate, Listing, as_label, split_of
from automl_cv.errors import UserError, suggest
from automl_cv.study.sections import Reading
from automl_cv.words import counted, listed


def list_manifest(manifest: Path, reading: Reading | None = None) -> Listing:
    """List the images a manifest names.

    Paths are relative to the manifest's own folder, or absolute. The column split may be missing
    or all empty; otherwise every row needs a value. An empty group means no group. Other columns
    are left alone. What columns of other names are is told by `columns.find`, where files lie
    that are not where the paths say by `locating.locate`.

    Args:
        manifest: a file ending in .csv, .tsv or .parquet, see `tables.read`.
        reading: what the user said of columns and folders.

    Raises:
        UserError: the file, the row and the column of the first mistakes.
    """
    said = reading or Reading()
    table = tables.read(manifest)
    roles = columns.find(
        manifest, table, path_column=said.path_column, label_column=said.label_column
    )
    if not len(table):
        raise UserError(f"{manifest}: has no rows; expected one for each image")
    has_splits = _check_cells(manifest, table, roles)
    located = locating.locate(manifest, table.cells[roles.path], said.root)
    folder = manifest.parent.absolute()
    seen: dict[str, Candidate] = {}
    missing = []
    splits, groups = table.column(roles.split), table.column(roles.group)
    rows = zip(located.paths, roles.labels, splits, groups, strict=True)
    for row, (path, label, split, group) in enumerate(rows):
        candidate = Candidate(
            path=path,
            name=_name(Path(path), folder),
            label=sys.intern(as_label(label)),  # a text for each class, not for each image
            split=split_of(split) if has_splits else None,
            group=sys.intern(group) or None,
        )
        first = seen.setdefault(path, candidate)
        if first is not candidate:
            where = (table.where(located.paths.index(path)), table.where(row))
            _check_same(manifest, where, table.cells[roles.path][row], first, candidate)
        elif not os.path.isfile(path):
            missing.append(f"{table.where(row)}: {table.cells[roles.path][row]}")
    if missing:
        raise UserError(
            f"{manifest}: column {roles.path}: {counted(len(missing), 'file')} not found, "
            f"{listed(missing)}; paths are relative to {located.relative_to}"
            + ("" if said.root else "; name another folder with --root")
        )
    repeated = len(table) - len(seen)
    notes = [f"{manifest.name}: {note}" for note in (*table.notes, *roles.notes, *located.notes)]
    if repeated:
        notes.append(f"{counted(repeated, 'row')} of the manifest said the same twice")
    candidates = sorted(seen.values(), key=lambda candidate: candidate.name)
    return Listing(tuple(candidates), notes=tuple(notes))


def _name(path: Path, folder: Path) -> str:
    return (path.relative_to(folder) if path.is_relative_to(folder) else path).as_posix()


def _check_cells(manifest: Path, table: tables.Table, roles: columns.Roles) -> bool:
    """Refuse cells that are empty or no split; return whether the table says splits."""
    splits = table.column(roles.split)
    has_splits = any(splits)
    rows = zip(table.cells[roles.path], roles.labels, splits, strict=True)
    for row, (path, label, split) in enumerate(rows):
        for column, cell in ((roles.path, path), (roles.label_name, label)):
            if not cell:
                raise UserError(f"{manifest}: {table.where(row)}, column {column}: empty")
        if has_splits and split_of(split) is None:
            hint = suggest(split, ("train", "validation", "test"))
            shown = repr(split) if split else "empty, though other rows have a split"
            where = table.where(row)
            raise UserError(f"{manifest}: {where}, column {roles.split}: {shown}; {hint}")
    return has_splits


def _check_same(
    manifest: Path, where: tuple[str, str], cell: str, first: Candidate, second: Candidate
) -> None:
    for column in ("label", "split", "group"):
        was, now = getattr(first, column), getattr(second, column)
        if was != now:
            raise UserError(
                f"{manifest}: {where[1]}, column {column}: {cell} has {now!r} here but {was!r} in "
                f"{where[0]}; give each file once"
            )
