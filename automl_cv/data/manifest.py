"""Manifests: CSV or Parquet tables of path, label and, if wanted, split and group."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from automl_cv.data.listing import SPLIT_NAMES, Candidate, Listing, as_label
from automl_cv.errors import UserError, suggest
from automl_cv.words import counted, listed

ENDINGS = (".csv", ".parquet")
REQUIRED = ("path", "label")
OPTIONAL = ("split", "group")


@dataclass(frozen=True)
class _Row:
    """One line of a manifest: where it stands, for messages, and its cells; "" for an empty one."""

    where: str
    path: str
    label: str
    split: str
    group: str


def list_manifest(manifest: Path) -> Listing:
    """List the images a manifest names.

    Paths are relative to the manifest's own folder, or absolute. The column split may be missing
    or all empty; otherwise every row needs a value. An empty group means no group. Other columns
    are left alone.

    Args:
        manifest: a file ending in .csv (UTF-8, comma) or .parquet (needs PyArrow).

    Raises:
        UserError: the file, the row and the column of the first mistakes.
    """
    rows = list(_rows(manifest))
    if not rows:
        raise UserError(f"{manifest}: has no rows; expected one for each image")
    _check_cells(manifest, rows)
    folder = manifest.parent.absolute()
    has_splits = any(row.split for row in rows)
    seen: dict[str, tuple[_Row, Candidate]] = {}
    missing = []
    for row in rows:
        path = os.path.normpath(folder / row.path)
        candidate = Candidate(
            path=path,
            name=_name(Path(path), folder),
            label=as_label(row.label),
            split=SPLIT_NAMES[row.split.lower()] if has_splits else None,
            group=row.group or None,
        )
        if path in seen:
            _check_same(manifest, seen[path], (row, candidate))
        elif not os.path.isfile(path):
            missing.append(f"{row.where}: {row.path}")
        else:
            seen[path] = (row, candidate)
    if missing:
        raise UserError(
            f"{manifest}: column path: {counted(len(missing), 'file')} not found, "
            f"{listed(missing)}; paths are relative to {folder}"
        )
    repeated = len(rows) - len(seen)
    notes = (f"{counted(repeated, 'row')} of the manifest said the same twice",) if repeated else ()
    candidates = sorted((one for _, one in seen.values()), key=lambda candidate: candidate.name)
    return Listing(tuple(candidates), notes=notes)


def _name(path: Path, folder: Path) -> str:
    return (path.relative_to(folder) if path.is_relative_to(folder) else path).as_posix()


def _rows(manifest: Path) -> Iterator[_Row]:
    try:
        yield from _csv_rows(manifest) if _is_csv(manifest) else _parquet_rows(manifest)
    except OSError as error:
        raise UserError(f"{manifest}: can't be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{manifest}: no UTF-8 text: {error.reason}; save it as UTF-8") from None


def _is_csv(manifest: Path) -> bool:
    return manifest.suffix.lower() == ".csv"


def _csv_rows(manifest: Path) -> Iterator[_Row]:
    # The csv module rather than pandas: it knows the line a row ends on, and guesses no types.
    with manifest.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        try:
            _check_columns(manifest, reader.fieldnames or [])
            for cells in reader:
                if None in cells or None in cells.values():
                    raise UserError(
                        f"{manifest}: line {reader.line_num}: expected "
                        f"{counted(len(reader.fieldnames or []), 'cell')}, as the first line has; "
                        "quote cells that hold a comma"
                    )
                yield _Row(f"line {reader.line_num}", *_cells(cells))
        except csv.Error as error:
            raise UserError(
                f"{manifest}: line {reader.reader.line_num}: no valid CSV: {error}"
            ) from None


def _parquet_rows(manifest: Path) -> Iterator[_Row]:
    try:
        table = pd.read_parquet(manifest)
    except ImportError:
        raise UserError(
            f"{manifest}: reading Parquet needs PyArrow; "
            "install it with: pip install 'automl-cv[parquet]'"
        ) from None
    except ValueError as error:  # pyarrow.ArrowInvalid is one
        raise UserError(f"{manifest}: no valid Parquet file: {error}") from None
    _check_columns(manifest, [str(name) for name in table.columns])
    wanted = table[[name for name in (*REQUIRED, *OPTIONAL) if name in table.columns]]
    texts = wanted.astype("str").where(wanted.notna(), "")
    for number, cells in enumerate(texts.to_dict("records"), start=1):
        yield _Row(f"row {number}", *_cells({str(key): str(cells[key]) for key in cells}))


def _cells(cells: dict[str, str]) -> tuple[str, str, str, str]:
    path, label, split, group = (cells.get(name, "").strip() for name in (*REQUIRED, *OPTIONAL))
    return path, label, split, group


def _check_columns(manifest: Path, columns: Sequence[str]) -> None:
    for name in (*REQUIRED, *OPTIONAL):
        if columns.count(name) > 1:
            raise UserError(f"{manifest}: has the column {name!r} twice")
    missing = [name for name in REQUIRED if name not in columns]
    if missing:
        raise UserError(
            f"{manifest}: lacks the column{'s' if len(missing) > 1 else ''} "
            f"{' and '.join(missing)}; it has {', '.join(columns) or 'none'}; expected "
            "path,label[,split][,group], separated by commas"
        )


def _check_cells(manifest: Path, rows: Sequence[_Row]) -> None:
    has_splits = any(row.split for row in rows)
    for row in rows:
        for column in REQUIRED:
            if not getattr(row, column):
                raise UserError(f"{manifest}: {row.where}, column {column}: empty")
        if has_splits and row.split.lower() not in SPLIT_NAMES:
            hint = suggest(row.split, ("train", "validation", "test"))
            shown = repr(row.split) if row.split else "empty, though other rows have a split"
            raise UserError(f"{manifest}: {row.where}, column split: {shown}; {hint}")


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
