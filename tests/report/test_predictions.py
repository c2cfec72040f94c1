"""Predictions in each form, written as they come."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pandas as pd
import pytest

from automl_cv.errors import UserError
from automl_cv.report import predictions
from automl_cv.report.formats import chosen_format
from automl_cv.report.predictions import PREDICTION_FORMATS
from automl_cv.saved.prediction import Prediction

CLASSES = ["cat", "red panda", "dog"]
ROWS = [
    Prediction("a.png", ("red panda", "cat"), (0.75, 0.125)),
    Prediction("b, c.png", error="empty file"),
    Prediction("d.png", ("cat", "dog"), (1.0, 0.0)),
]


def written(name: str) -> str:
    file = io.StringIO()
    PREDICTION_FORMATS[name].load()(iter(ROWS), file, 2, CLASSES)
    return file.getvalue()


def test_the_table_is_aligned():
    assert written("table").splitlines() == [
        "top 1              top 2              file",
        "red panda  0.7500  cat        0.1250  a.png",
        "-                                     b, c.png: empty file",
        "cat        1.0000  dog        0.0000  d.png",
    ]


def test_csv_and_parquet_hold_the_same(tmp_path):
    table = pd.read_csv(io.StringIO(written("csv")))
    assert list(table) == ["path", "label", "probability", "label_2", "probability_2", "error"]
    assert list(table["path"]) == ["a.png", "b, c.png", "d.png"]
    assert list(table["error"].fillna("")) == ["", "empty file", ""]
    path = tmp_path / "rows.parquet"
    with path.open("wb") as file:
        predictions.write_parquet(iter(ROWS), file, 2, CLASSES)
    pd.testing.assert_frame_equal(pd.read_parquet(path), table, check_dtype=False)


def test_parquet_is_written_row_group_by_row_group(tmp_path, monkeypatch):
    pq = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr(predictions, "PARQUET_ROWS", 2)
    path = tmp_path / "rows.parquet"
    with path.open("wb") as file:
        predictions.write_parquet(iter(ROWS), file, 2, CLASSES)
    assert pq.ParquetFile(path).metadata.num_row_groups == 2


def test_json_lines():
    first, second, _ = map(json.loads, written("jsonl").splitlines())
    assert first == {
        "path": "a.png",
        "predictions": [
            {"label": "red panda", "probability": 0.75},
            {"label": "cat", "probability": 0.125},
        ],
    }
    assert second == {"path": "b, c.png", "error": "empty file"}


def test_a_foreign_file_is_called_so_in_each_form(tmp_path):
    own = [
        Prediction("a.png", ("red panda",), (0.75,), distance=0.5),
        ROWS[1],
        Prediction("d.png", ("cat",), (1.0,), distance=1.25),
    ]

    def written(name: str) -> str:
        file = io.StringIO()
        PREDICTION_FORMATS[name].load()(iter(own), file, 1, CLASSES, True)
        return file.getvalue()

    assert written("table").splitlines() == [
        "top 1                       file",
        "red panda  0.7500           a.png",
        "-                           b, c.png: empty file",
        "cat        1.0000  foreign  d.png",
    ]
    rows = pd.read_csv(io.StringIO(written("csv")))
    assert list(rows)[-3:] == ["distance", "foreign", "error"]
    assert list(rows["foreign"].fillna("")) == ["no", "", "yes"]
    path = tmp_path / "rows.parquet"
    with path.open("wb") as file:
        predictions.write_parquet(iter(own), file, 1, CLASSES, True)
    pd.testing.assert_frame_equal(pd.read_parquet(path), rows, check_dtype=False)
    lines = list(map(json.loads, written("jsonl").splitlines()))
    assert [line.get("foreign") for line in lines] == [False, None, True]


def test_a_file_name_says_its_form():
    names = ["x.CSV", "x.jsonl", "x.parquet", "x", "x.txt"]
    found = [chosen_format(PREDICTION_FORMATS, None, Path(name)).name for name in names]
    assert found == ["csv", "jsonl", "parquet", "table", "table"]
    with pytest.raises(UserError, match=r"--out p\.json: no form ends with \.json; known: \.txt, "):
        chosen_format(PREDICTION_FORMATS, None, Path("p.json"))
    assert chosen_format(PREDICTION_FORMATS, "jsonl", Path("p.json")).name == "jsonl"
