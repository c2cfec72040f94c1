"""`report --epochs`: the curves as numbers, in every form."""

from __future__ import annotations

import io

import pandas as pd
import pytest

import automl_cv
from automl_cv.report.data import as_csv
from automl_cv.report.epochs import compose_epochs
from automl_cv.report.formats import FORMATS
from automl_cv.report.terminal import as_text
from automl_cv.results.leaderboard import read_run
from tests.published import COARSE, NARROWED
from tests.results.retrained import retrained


@pytest.mark.slow
def test_every_epoch_is_a_row_finished_or_not(built):
    report = compose_epochs(read_run(built.url))
    table = pd.read_csv(io.StringIO(as_csv(report)))
    # Beside the published ones: a pruned trial of 20, a failed one of 2, an interrupted one of 4.
    published = sum(row[4] for row in (*COARSE, *NARROWED))
    assert len(table) == len(report.table.rows) == published + COARSE[1][4] + 2 + 4
    pd.testing.assert_frame_equal(table, report.board, check_dtype=False)
    assert report.footnotes[0].endswith("of 14 trials; --format csv has all digits")


def test_the_first_trials_of_the_board_alone(built):
    report = compose_epochs(read_run(built.url), top=1)
    assert {(row[0], row[1]) for row in report.table.rows} == {("narrowed", "3")}
    assert max(map(len, as_text(report, 100).splitlines())) <= 100


@pytest.mark.slow
@pytest.mark.parametrize("form", list(FORMATS), ids=lambda form: form.name)
def test_every_form_takes_it(built, form):
    assert form.load()(compose_epochs(read_run(built.url), top=2))


def test_trials_that_were_trained_again_have_theirs(tmp_path):
    url = retrained(tmp_path)
    repeats = read_run(url).repeated
    found = automl_cv.epochs(url)
    own = found[found["stage"].isin({one.stage for one in repeats})]
    assert len(own) == sum(len(one.history.epochs) for one in repeats) > 0


@pytest.mark.slow
def test_it_takes_top_and_no_sort(built, call):
    done = call("report", "--epochs", "--sort", "loss", "--storage", built.url, check=False)
    assert done.returncode == 2
    assert "--sort is of the leaderboard, not of --epochs; leave one of them out" in done.stderr
    assert (
        call("report", "--epochs", "--top", 1, "--storage", built.url).stdout.count("narrowed") > 9
    )
