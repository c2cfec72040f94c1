"""A report as data for other programs, in full precision: CSV, JSON, Parquet."""

from __future__ import annotations

import importlib.util
import io
import json
import math
from typing import Any

import pandas as pd

from automl_cv.errors import UserError, installing
from automl_cv.report.document import Report, plain_values


def as_csv(report: Report) -> str:
    """Return the table as comma-separated values, one row a line, missing ones empty."""
    return report.board.to_csv(index=False, lineterminator="\n")


def as_json(report: Report) -> str:
    """Return run, facts, the table and what else is data as strict JSON."""
    content = {
        "run": report.run,
        **({"verdict": report.verdict} if report.verdict else {}),
        "facts": report.facts.to_json(),
        **({} if report.winner is None else {"winner": dict(report.winner)}),
        **{name: _rows(frame) for name, frame in report.frames.items()},
    }
    return json.dumps(_strict(content), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def as_parquet(report: Report) -> bytes:
    """Return the table as a Parquet file with typed columns.

    Raises:
        UserError: pyarrow is not installed.
    """
    if importlib.util.find_spec("pyarrow") is None:
        raise UserError(
            f"--format parquet needs pyarrow, which is not installed; {installing('parquet')}"
        )
    file = io.BytesIO()
    report.board.to_parquet(file, engine="pyarrow", index=False)
    return file.getvalue()


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    columns = {name: plain_values(frame, name) for name in frame.columns}
    return [
        {name: values[index] for name, values in columns.items()} for index in range(len(frame))
    ]


def _strict(value: Any) -> Any:
    """Return plain data that JSON can write: NumPy's numbers as Python's, NaN as null."""
    match value:
        case dict():
            return {str(key): _strict(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_strict(inner) for inner in value]
        case float():
            return float(value) if math.isfinite(value) else None
    return value.item() if hasattr(value, "item") else value
