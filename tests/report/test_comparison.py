import io
import json

import pandas as pd
import pytest

from automl_cv.report.columns import Column
from automl_cv.report.comparison import PAIR_COLUMNS, compose_comparison
from automl_cv.report.data import as_csv, as_json, as_parquet
from automl_cv.report.formats import FORMATS
from automl_cv.report.leaderboard import compose
from automl_cv.report.page import as_page
from automl_cv.report.terminal import as_text
from automl_cv.store.leaderboard import read_run
from tests.published import build
from tests.store.retrained import retrained


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    return read_run(retrained(tmp_path_factory.mktemp("retrained")))


@pytest.fixture(scope="module")
def report(read):
    return compose_comparison(read)


def test_the_table_asks_and_answers(report):
    by_name = {column.name: index for index, column in enumerate(report.table.columns)}
    rows = [
        [row[by_name[name]] for name in ("question", "trials", "difference", "repeated", "verdict")]
        for row in report.table.rows
    ]
    assert rows == [
        ["augmented against finalists", "narrowed/3", "+0.0207", "3 seeds, paired", "better"],
        [
            "folded against wide: head linear against mlp",
            "narrowed/3 against coarse/5",
            "+0.0401",
            "3 folds, paired",
            "can't be told apart",
        ],
        [
            "narrowed against coarse in finalists",
            "narrowed/3 against coarse/5",
            "−0.0002",
            "3 seeds, unpaired",
            "can't be told apart",
        ],
        [
            "first against second in finalists",
            "coarse/5 against narrowed/3",
            "+0.0002",
            "3 seeds, unpaired",
            "can't be told apart",
        ],
    ]
    assert report.table.rows[0][by_name["val_accuracy_of_both"]] == "0.9540 / 0.9333"
    assert report.table.rows[0][by_name["interval"]] == "+0.0194 to +0.0219"


def test_footnotes_name_each_method_that_was_used(report, read):
    told = "\n".join(report.footnotes)
    for words in ("Student's t", "Welch", "Nadeau and Bengio", "another split may decide"):
        assert words in told
    folds_alone = "\n".join(compose_comparison(read, stage="wide").footnotes)
    assert "Welch" not in folds_alone
    assert "another split" not in folds_alone


@pytest.mark.parametrize("width", [80, 100, 120, 160])
def test_it_fits_its_width(report, width):
    assert max(map(len, as_text(report, width).splitlines())) <= width


def test_what_matters_stays_at_the_width_of_a_small_terminal(report):
    shown = as_text(report, 80)
    for words in ("0.9540 /", "+0.0207", "+0.0194 to", "better"):
        assert words in shown
    assert "not shown at this width: over, val loss" in " ".join(shown.split())


def test_data_forms_hold_the_pairs(report):
    content = json.loads(as_json(report))
    assert content["run"] == "slides"
    assert [pair["verdict"] for pair in content["comparisons"]].count("better") == 1
    assert "trials" not in content
    again = pd.read_csv(io.StringIO(as_csv(report)))
    pd.testing.assert_frame_equal(again, report.board, check_dtype=False)
    typed = pd.read_parquet(io.BytesIO(as_parquet(report)))
    pd.testing.assert_frame_equal(typed, report.board)


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    return compose_comparison(read_run(build(tmp_path_factory.mktemp("searched"))[0]))


@pytest.mark.parametrize("form", list(FORMATS), ids=lambda form: form.name)
def test_every_form_takes_it_whole_or_empty(report, empty, form):
    for one in (report, empty):
        content = form.load()(one)
        assert content
        if not form.is_data:
            assert ("nothing to compare: it takes a stage" in content) == (one is empty)


def test_numbers_are_not_wrapped_on_the_page(report):
    page = as_page(report)
    assert '<td class="right">+0.0194 to +0.0219</td>' in page
    assert '<td class="wrap">augmented against finalists</td>' in page


def test_the_lines_below_the_leaderboard_are_of_the_same_computation(read, report):
    notes = compose(read).notes
    (line,) = [line for line in notes if line.startswith("augmented against finalists")]
    assert line == (
        "augmented against finalists, narrowed/3: +0.0207 over 3 common seeds "
        "(95 %: 0.0194 to 0.0219): a difference"
    )
    assert any("coarse/5: val acc 0.9335 over 3 seeds" in line for line in notes)


def test_a_new_column_is_one_entry(read):
    entry = Column(
        name="loss_gain",
        about="of the validation losses",
        heading="loss gain",
        target="tests.report.test_comparison:loss_gain",
    )
    with PAIR_COLUMNS.temporary(entry):
        report = compose_comparison(read)
    assert "loss gain" in as_text(report)
    assert as_csv(report).splitlines()[0].endswith(",loss_gain")


def loss_gain(name, frame, pairs):
    return [pair.left.val_loss - pair.right.val_loss for pair in pairs]
