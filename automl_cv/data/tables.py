"""Tables as programs write them: CSV however it is written, JSON lines, Parquet, spreadsheets."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from itertools import islice, repeat
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from automl_cv.data.texts import AT_ONCE, Texts
from automl_cv.errors import UserError, installing
from automl_cv.words import counted

SPREADSHEETS = (".xlsx", ".xls", ".ods")
ENDINGS = (".csv", ".tsv", ".parquet", ".jsonl", *SPREADSHEETS)
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
WINDOWS = "cp1252"

# Half a pair, as JSON may have it, is no text; the other halves are bytes of names of files.
_HALF = re.compile("[\ud800-\udc7f\udd00-\udfff]")


@dataclass(frozen=True, eq=False)
class Table:
    """A table of text.

    Args:
        columns: their names, in order; one may stand twice.
        cells: the text of each column, without blanks around it, "" for an empty cell; of two
            columns of one name the later's.
        lines: where each row stands.
        unit: what is counted there: "line" or "row".
        notes: how it was read, where that is not as CSV is written by the book.
    """

    columns: tuple[str, ...]
    cells: Mapping[str, Texts]
    lines: NDArray[np.int64]
    unit: Literal["line", "row"] = "line"
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.lines)

    def column(self, name: str | None) -> Texts:
        """Return the cells of a column; of none, an empty one for each row."""
        return Texts.of(repeat("", len(self))) if name is None else self.cells[name]

    def where(self, row: int) -> str:
        """Return where a row stands, for messages: "line 3"."""
        return f"{self.unit} {self.lines[row]}"


Row = tuple[int, Sequence[str]]
"""Where a row stands, and its cells, one for each column."""


def _held(
    columns: Sequence[str],
    rows: Iterable[Row],
    unit: Literal["line", "row"] = "line",
    notes: Sequence[str] = (),
) -> Table:
    """Return rows by column, a million of which as lists of texts would take a gigabyte."""
    lines: list[int] = []
    parts: list[list[Texts]] = [[] for _ in columns]
    given = iter(rows)
    while some := [*islice(given, AT_ONCE)]:
        lines += [line for line, _ in some]
        by_column = zip(*(cells for _, cells in some), strict=True)
        for part, cells in zip(parts, by_column, strict=True):
            part.append(Texts.of(cell.strip() for cell in cells))
    held = dict(zip(columns, map(Texts.joined, parts), strict=True))
    return Table(tuple(columns), held, np.array(lines, np.int64), unit, tuple(notes))


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
        columns = [name.strip() for name in next(reader, [])]
        return _held(columns, _text_rows(path, reader, columns, separator, skipped), notes=notes)
    except csv.Error as error:
        line = reader.line_num + skipped
        raise UserError(f"{path}: line {line}: no valid CSV: {error}") from None


def _text_rows(
    path: Path,
    reader: Iterator[list[str]],
    columns: Sequence[str],
    separator: str,
    skipped: int,
) -> Iterator[Row]:
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
        yield line, cells


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
    texts = table.astype("str").where(table.notna(), "")
    rows = ([str(cell) for cell in row] for row in texts.itertuples(index=False, name=None))
    return _held([str(name) for name in table.columns], enumerate(rows, 1), "row")


def _json_lines(path: Path) -> Table:
    text, notes = _decoded(path, path.read_bytes())
    found: list[tuple[int, dict[str, str]]] = []
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
        found.append((number, {name.strip(): _as_text(value) for name, value in row.items()}))
    columns = tuple(dict.fromkeys(name for _, cells in found for name in cells))
    rows = ((number, [cells.get(name, "") for name in columns]) for number, cells in found)
    return _held(columns, rows, notes=notes)


def _as_text(value: object) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return _HALF.sub("\N{REPLACEMENT CHARACTER}", text)


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
    rows = ((number, line) for number, line in enumerate(lines[1:], 2) if any(line))
    more = f"its first sheet, {sheets[0]}, was read; it has {len(sheets)}" if sheets[1:] else ""
    return _held(lines[0] if lines else (), rows, "row", [more] if more else ())
