"""Tables as programs write them: CSV however it is written, JSON lines, Parquet, spreadsheets."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pandas as pd

from automl_cv.errors import UserError, installing
from automl_cv.words import counted

SPREADSHEETS = (".xlsx", ".xls", ".ods")
ENDINGS = (".csv", ".tsv", ".parquet", ".jsonl", *SPREADSHEETS)
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
WINDOWS = "cp1252"


@dataclass(frozen=True)
class TableRow:
    """One line of a table.

    Args:
        where: where it stands, for messages: "line 3".
        cells: its text by column, without blanks around it; "" for an empty cell.
    """

    where: str
    cells: Mapping[str, str]


@dataclass(frozen=True)
class Table:
    """A table of text.

    Args:
        columns: their names, in order; one may stand twice.
        rows: its lines.
        notes: how it was read, where that is not as CSV is written by the book.
    """

    columns: tuple[str, ...]
    rows: tuple[TableRow, ...]
    notes: tuple[str, ...] = ()


def read(path: Path) -> Table:
    """Read a table.

    Args:
        path: a file ending in one of ENDINGS: text in UTF-8, UTF-16 or else Windows-1252, separated
            by what the first line has most of; JSON lines, an object each; Parquet (needs
            PyArrow); or a spreadsheet, of which the first sheet counts (needs python-calamine).

    Raises:
        UserError: it can't be read; says the line.
    """
    ending = path.suffix.lower()
    try:
        if ending == ".parquet":
            return _parquet(path)
        if ending == ".jsonl":
            return _json_lines(path)
        return _spreadsheet(path) if ending in SPREADSHEETS else _text(path)
    except OSError as error:
        raise UserError(f"{path}: can't be read: {error.strerror or error}") from None


def _text(path: Path) -> Table:
    text, notes = _decoded(path, path.read_bytes())
    first, _, rest = text.partition("\n")
    named = re.fullmatch(r'"?sep=(.)"?', first.strip())  # Excel's own first line
    skipped = 1 if named else 0
    if named:
        text, first = rest, rest.partition("\n")[0]
    separator = named[1] if named else _separator(first)
    if separator != ",":
        notes.append(f"its cells are separated by {SEPARATORS.get(separator, repr(separator))}")
    # The csv module rather than pandas: it knows the line a row ends on, and guesses no types.
    reader = csv.reader(StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        columns = tuple(name.strip() for name in next(reader, []))
        rows = tuple(_text_rows(path, reader, columns, separator, skipped))
    except csv.Error as error:
        line = reader.line_num + skipped
        raise UserError(f"{path}: line {line}: no valid CSV: {error}") from None
    return Table(columns, rows, tuple(notes))


def _text_rows(
    path: Path,
    reader: Iterator[list[str]],
    columns: tuple[str, ...],
    separator: str,
    skipped: int,
) -> Iterator[TableRow]:
    for cells in reader:
        line = reader.line_num + skipped  # type: ignore[attr-defined]
        if not any(cells):
            continue  # Spreadsheet programs end tables with lines of empty cells.
        if len(cells) != len(columns):
            what = {",": "a comma", ";": "a semicolon", "\t": "a tab"}.get(separator, separator)
            raise UserError(
                f"{path}: line {line}: expected {counted(len(columns), 'cell')}, as the first line "
                f"has; quote cells that hold {what}"
            )
        yield TableRow(
            f"line {line}",
            {name: cell.strip() for name, cell in zip(columns, cells, strict=True)},
        )


def _decoded(path: Path, content: bytes) -> tuple[str, list[str]]:
    """Return the text of a file, and notes on how it was found."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    elif b"\0" in content[:64]:  # UTF-16 without its mark: half of plain letters is zero
        encoding = "utf-16-be" if content[:1] == b"\0" else "utf-16-le"
    else:
        encoding = "utf-8-sig"
    try:
        notes = [] if encoding == "utf-8-sig" else ["it is written in UTF-16"]
        return content.decode(encoding), notes
    except UnicodeDecodeError as error:
        reason = error.reason
    try:
        return content.decode(WINDOWS), ["it is no UTF-8, so it was read as Windows-1252"]
    except UnicodeDecodeError:
        raise UserError(f"{path}: no UTF-8 text: {reason}; save it as UTF-8") from None


def _separator(first: str) -> str:
    """Return what a table's first line is separated by; a comma where it has one cell."""
    outside = re.sub(r'"[^"]*"', "", first)
    return max(SEPARATORS, key=outside.count)  # of equals the first, the comma


def _parquet(path: Path) -> Table:
    try:
        table = pd.read_parquet(path)
    except ImportError:
        raise UserError(f"{path}: reading Parquet needs PyArrow; {installing('parquet')}") from None
    except ValueError as error:  # pyarrow.ArrowInvalid is one
        raise UserError(f"{path}: no valid Parquet file: {error}") from None
    columns = tuple(str(name) for name in table.columns)
    texts = table.astype("str").where(table.notna(), "")
    texts.columns = pd.Index(columns)
    rows = (
        {str(key): str(cell).strip() for key, cell in row.items()}
        for row in texts.to_dict("records")
    )
    return Table(
        columns, tuple(TableRow(f"row {number}", cells) for number, cells in enumerate(rows, 1))
    )


def _json_lines(path: Path) -> Table:
    text, notes = _decoded(path, path.read_bytes())
    found: list[tuple[str, dict[str, str]]] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise UserError(f"{path}: line {number}: no valid JSON: {error}") from None
        if not isinstance(row, dict):
            raise UserError(
                f"{path}: line {number}: expected an object, as "
                '{"file_name": "1.png", "label": "cat"}'
            )
        cells = {name.strip(): _as_text(value).strip() for name, value in row.items()}
        found.append((f"line {number}", cells))
    columns = tuple(dict.fromkeys(name for _, cells in found for name in cells))
    rows = (
        TableRow(where, {name: cells.get(name, "") for name in columns}) for where, cells in found
    )
    return Table(columns, tuple(rows), tuple(notes))


def _as_text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _spreadsheet(path: Path) -> Table:
    # Calamine rather than openpyxl: it is kept up, reads .xls and .ods as well, and is faster.
    try:
        with pd.ExcelFile(path, engine="calamine") as book:
            sheets = [str(name) for name in book.sheet_names]
            cells = pd.read_excel(book, header=None, dtype=str, keep_default_na=False)
    except ImportError:
        raise UserError(
            f"{path}: reading spreadsheets needs python-calamine; save the table as CSV, or "
            f"{installing('excel')}"
        ) from None
    except OSError:
        raise
    except Exception as error:  # Calamine's errors, the archive's, and pandas' own
        raise UserError(f"{path}: no spreadsheet that can be read: {error}") from None
    lines = [[str(cell).strip() for cell in row] for row in cells.itertuples(index=False)]
    columns = tuple(lines[0]) if lines else ()
    rows = (
        TableRow(f"row {number}", dict(zip(columns, line, strict=True)))
        for number, line in enumerate(lines[1:], 2)
        if any(line)
    )
    more = f"its first sheet, {sheets[0]}, was read; it has {len(sheets)}" if sheets[1:] else ""
    return Table(columns, tuple(rows), (more,) if more else ())
