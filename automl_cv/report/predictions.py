"""Predictions as they come: a table, CSV, JSON lines, Parquet. None keeps what it has written."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import IO, Any

from automl_cv.errors import UserError, installing
from automl_cv.registry import Table
from automl_cv.report.formats import Format
from automl_cv.saved.prediction import Prediction
from automl_cv.words import in_spreadsheet, printable

PARQUET_ROWS = 10_000  # of a row group, the most that is held in memory


Write = Callable[[Iterable[Prediction], IO[Any], int, Sequence[str], bool], None]
"""Is given predictions, an open file (a binary one if the form is binary), how many classes each
has at most, all classes, and whether predictions say what is foreign."""

FOREIGN = "foreign"

PREDICTION_FORMATS: Table[Format] = Table(
    "format",
    [
        Format(
            name="table",
            about="for people",
            target="automl_cv.report.predictions:write_table",
            suffix=".txt",
        ),
        Format(
            name="csv",
            about="one row a file",
            target="automl_cv.report.predictions:write_csv",
            suffix=".csv",
        ),
        Format(
            name="jsonl",
            about="one object a line",
            target="automl_cv.report.predictions:write_json_lines",
            suffix=".jsonl",
        ),
        Format(
            name="parquet",
            about="the CSV's columns, typed",
            target="automl_cv.report.predictions:write_parquet",
            suffix=".parquet",
            is_binary=True,
        ),
    ],
)


def write_table(
    predictions: Iterable[Prediction],
    file: IO[str],
    top: int,
    classes: Sequence[str],
    foreign: bool = False,
) -> None:
    """Write a line a file: the classes with their probabilities, whether foreign, the path."""
    width = max(map(len, (*classes, f"top {top}")))
    column = width + 8  # two spaces, a probability of six characters
    titles = "  ".join(f"top {place}".ljust(column) for place in range(1, top + 1))
    blank = " " * (len(FOREIGN) + 2) if foreign else ""
    file.write(f"{titles}  {blank}file\n")
    for one in predictions:
        if one.error is not None:
            shown = "-".ljust((column + 2) * top - 2)
            file.write(f"{shown}  {blank}{printable(f'{one.path}: {one.error}')}\n")
            continue
        ranked = zip(one.labels, one.probabilities, strict=True)
        cells = "  ".join(
            f"{printable(label).ljust(width)}  {share:.4f}" for label, share in ranked
        )
        said = f"{FOREIGN}  " if one.is_foreign else blank
        file.write(f"{cells}  {said}{printable(one.path)}\n")


def write_csv(
    predictions: Iterable[Prediction],
    file: IO[str],
    top: int,
    classes: Sequence[str],
    foreign: bool = False,
) -> None:
    """Write a row a file: path, label, probability, label_2, …, distance, foreign, error.

    Texts are written so that no spreadsheet program runs them (`in_spreadsheet`); JSON lines and
    Parquet keep them exactly.
    """
    rows = csv.writer(file, lineterminator="\n")
    rows.writerow(columns(top, foreign=foreign))
    rows.writerows(map(in_spreadsheet, cells(one, top, foreign=foreign)) for one in predictions)


def write_json_lines(
    predictions: Iterable[Prediction],
    file: IO[str],
    top: int,
    classes: Sequence[str],
    foreign: bool = False,
) -> None:
    """Write an object a file: path and predictions, or path and error."""
    for one in predictions:
        line: dict[str, Any] = {"path": one.path}
        if one.error is not None:
            line["error"] = one.error
        else:
            ranked = zip(one.labels, one.probabilities, strict=True)
            line["predictions"] = [
                {"label": label, "probability": share} for label, share in ranked
            ]
            if foreign:
                line |= {"distance": one.distance, "foreign": one.is_foreign}
        file.write(json.dumps(line, ensure_ascii=False) + "\n")


def write_parquet(
    predictions: Iterable[Prediction],
    file: IO[bytes],
    top: int,
    classes: Sequence[str],
    foreign: bool = False,
) -> None:
    """Write the columns of the CSV as a Parquet file, row group by row group.

    Raises:
        UserError: pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise UserError(
            f"--format parquet needs pyarrow, which is not installed; {installing('parquet')}"
        ) from None
    names = columns(top, foreign=foreign)
    is_number = [name.startswith(("probability", "distance")) for name in names]
    kinds = [pa.float64() if number else pa.string() for number in is_number]
    schema = pa.schema(list(zip(names, kinds, strict=True)))
    rows = map(lambda one: cells(one, top, foreign=foreign), predictions)
    with pq.ParquetWriter(file, schema) as writer:
        while group := list(islice(rows, PARQUET_ROWS)):
            arrays = [
                pa.array(column, kind)
                for column, kind in zip(zip(*group, strict=True), kinds, strict=True)
            ]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))


def columns(top: int, *, foreign: bool = False) -> list[str]:
    """Return the names of the columns of CSV and Parquet.

    Args:
        top: classes a file.
        foreign: whether predictions say what is foreign.
    """
    ranked = [
        name + ("" if place == 1 else f"_{place}")
        for place in range(1, top + 1)
        for name in ("label", "probability")
    ]
    return ["path", *ranked, *(("distance", FOREIGN) if foreign else ()), "error"]


def cells(one: Prediction, top: int, *, foreign: bool = False) -> list[str | float | None]:
    """Return the values of `columns`; None where there is no value."""
    ranked: list[str | float | None] = [None] * (2 * top)
    ranked[: 2 * len(one.labels) : 2] = one.labels
    ranked[1 : 2 * len(one.labels) : 2] = one.probabilities
    own: list[str | float | None] = []
    if foreign:
        said = None if one.distance is None else "yes" if one.is_foreign else "no"
        own = [one.distance, said]
    return [one.path, *ranked, *own, one.error]
