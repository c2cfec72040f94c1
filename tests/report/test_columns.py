import json

import pytest

from automl_cv.report.columns import COLUMNS, Column, accuracy, of_parameter, text
from automl_cv.report.data import as_csv, as_json
from automl_cv.report.terminal import as_text
from automl_cv.words import signed
from tests.report.conftest import Built


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (5.98e-5, "5.98e-05"),
        (3.74e-6, "3.74e-06"),
        (8.7942, "8.794"),
        (0.2042, "0.2042"),
        (0.035, "0.035"),
        (0.123456, "0.1235"),
        (float("inf"), "inf"),
        (76, "76"),
        ("SGD", "SGD"),
        (True, "True"),
    ],
)
def test_text(value, shown):
    assert text(value) == shown


def test_accuracy():
    assert accuracy(1.0) == "1.0000"
    assert accuracy(0.93417) == "0.9342"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.00276, "+0.0028"),
        (-0.00276, "−0.0028"),
        (-4e-5, "0.0000"),
        (4e-5, "0.0000"),
        (-0.0, "0.0000"),
    ],
)
def test_a_difference_that_rounds_to_none_has_no_sign(value, shown):
    assert signed(value) == shown


def test_a_missing_value_is_a_dash():
    assert COLUMNS["momentum"].cell(None) == "–"
    assert of_parameter("weight_decay").heading == "weight decay"


@pytest.mark.slow
@pytest.mark.parametrize("name", COLUMNS.names)
def test_every_column_shows_up(built, name):
    report = built.report()
    column = COLUMNS[name]
    assert (name in report.board) == column.in_data
    shown = [shown.name for shown in report.table.columns]
    # Trials that were trained once alone need no column that says so.
    assert (name in shown) == (column.drop is not None and name != "repeats")
    assert column.about


def gap(name, board, records):
    return [record.history.best.accuracy - record.value for record in records]


def test_a_new_column_is_one_entry(built: Built):
    entry = Column(
        name="gap",
        about="training minus validation accuracy",
        heading="the gap",
        target="tests.report.test_columns:gap",
        format=accuracy,
        largest_first=True,
    )
    with COLUMNS.temporary(entry):
        report = built.report(sort="gap")
    assert list(report.board["gap"]) == sorted(report.board["gap"], reverse=True)
    assert "the gap" in as_text(report)
    assert as_csv(report).splitlines()[0].endswith(",gap")
    assert json.loads(as_json(report))["trials"][0]["gap"] == pytest.approx(0.15)
