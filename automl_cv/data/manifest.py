"""Manifests: tables of path, label and, if wanted, split and group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from automl_cv.data import columns, locating, tables
from automl_cv.data.candidates import Candidate, Listing, as_label, split_of
from automl_cv.errors import UserError, suggest
from automl_cv.study.sections import Reading
from automl_cv.words import counted, listed


@dataclass(frozen=True)
class _Row:
    """One line of a manifest: where it stands, for messages, and its cells; "" for an empty one."""

    where: str
    path: str
    label: str
    split: str
    group: str


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
    rows = [
        _Row(
            row.where,
            row.cells[roles.path],
            roles.label(dict(row.cells)),
            row.cells[roles.split] if roles.split else "",
            row.cells[roles.group] if roles.group else "",
        )
        for row in table.rows
    ]
    if not rows:
        raise UserError(f"{manifest}: has no rows; expected one for each image")
    _check_cells(manifest, rows, roles)
    located = locating.locate(manifest, [row.path for row in rows], said.root)
    folder = manifest.parent.absolute()
    has_splits = any(row.split for row in rows)
    seen: dict[str, tuple[_Row, Candidate]] = {}
    missing = []
    for row, path in zip(rows, located.paths, strict=True):
        candidate = Candidate(
            path=path,
            name=_name(Path(path), folder),
            label=as_label(row.label),
            split=split_of(row.split) if has_splits else None,
            group=row.group or None,
        )
        if path in seen:
            _check_same(manifest, seen[path], (row, candidate))
        elif not Path(path).is_file():
            missing.append(f"{row.where}: {row.path}")
        else:
            seen[path] = (row, candidate)
    if missing:
        raise UserError(
            f"{manifest}: column {roles.path}: {counted(len(missing), 'file')} not found, "
            f"{listed(missing)}; paths are relative to {located.relative_to}"
            + ("" if said.root else "; name another folder with --root")
        )
    repeated = len(rows) - len(seen)
    notes = [f"{manifest.name}: {note}" for note in (*table.notes, *roles.notes, *located.notes)]
    if repeated:
        notes.append(f"{counted(repeated, 'row')} of the manifest said the same twice")
    candidates = sorted((one for _, one in seen.values()), key=lambda candidate: candidate.name)
    return Listing(tuple(candidates), notes=tuple(notes))


def _name(path: Path, folder: Path) -> str:
    return (path.relative_to(folder) if path.is_relative_to(folder) else path).as_posix()


def _check_cells(manifest: Path, rows: Sequence[_Row], roles: columns.Roles) -> None:
    has_splits = any(row.split for row in rows)
    for row in rows:
        for column, cell in ((roles.path, row.path), (roles.label_name, row.label)):
            if not cell:
                raise UserError(f"{manifest}: {row.where}, column {column}: empty")
        if has_splits and split_of(row.split) is None:
            hint = suggest(row.split, ("train", "validation", "test"))
            shown = repr(row.split) if row.split else "empty, though other rows have a split"
            raise UserError(f"{manifest}: {row.where}, column {roles.split}: {shown}; {hint}")


def _check_same(
    manifest: Path, first: tuple[_Row, Candidate], second: tuple[_Row, Candidate]
) -> None:
    (row, candidate), (other_row, other) = first, second
    for column in ("label", "split", "group"):
        was, now = getattr(candidate, column), getattr(other, column)
        if was != now:
            raise UserError(
                f"{manifest}: {other_row.where}, column {column}: {other_row.path} has {now!r} "
                f"here but {was!r} in {row.where}; give each file once"
            )
