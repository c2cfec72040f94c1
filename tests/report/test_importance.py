import io
import json
import re
from dataclasses import replace

import pandas as pd
import pytest

from automl_cv.report.data import as_csv, as_json
from automl_cv.report.formats import FORMATS
from automl_cv.report.importance import compose_importance
from automl_cv.report.terminal import as_text
from automl_cv.results import evaluators
from automl_cv.results.leaderboard import read_run
from tests.results.drawn import drawn
from tests.results.retrained import retrained


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    url = drawn(tmp_path_factory.mktemp("drawn"), 170, sampler="tpe")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluators, "RESAMPLES", 5)
        return compose_importance(read_run(url))


@pytest.mark.exhaustive
@pytest.mark.slow
def test_each_parameter_has_its_shares_and_the_conditional_one_stands_apart(report):
    rows = report.table.rows
    assert [row[1] for row in rows] == ["learning rate", "optimizer", "batch size", "momentum"]
    assert [row[2] for row in rows] == ["all trials"] * 3 + ["optimizer is SGD or RMSprop"]
    columns = [column.name for column in report.table.columns]
    first = dict(zip(columns, rows[0], strict=True))
    low, high = map(float, first["fanova_interval"].split("–"))
    assert 0 <= low <= high <= 1
    assert float(first["fanova"]) > 0.5


@pytest.mark.slow
def test_footnotes_say_what_the_figures_rest_on(report):
    told = "\n".join(report.footnotes)
    assert "stage coarse: fANOVA learning rate > optimizer > batch size" in told
    assert "stage coarse where optimizer is SGD or RMSprop: fANOVA" in told
    assert "percentiles over 5 resamples" in told
    assert "stage coarse: tpe looks where results are good" in told


@pytest.mark.slow
@pytest.mark.parametrize("width", [80, 120])
def test_it_fits_its_width(report, width):
    assert max(map(len, as_text(report, width).splitlines())) <= width


@pytest.mark.slow
def test_data_forms(report):
    again = pd.read_csv(io.StringIO(as_csv(report)))
    pd.testing.assert_frame_equal(again, report.board, check_dtype=False)
    content = json.loads(as_json(report))
    assert {row["parameter"] for row in content["importance"]} >= {"momentum", "optimizer"}


@pytest.mark.slow
@pytest.mark.parametrize("form", list(FORMATS), ids=lambda form: form.name)
def test_every_form_takes_it(report, form):
    assert form.load()(report)


@pytest.mark.slow
def test_too_few_trials_are_a_line_and_no_figure(tmp_path):
    report = compose_importance(read_run(drawn(tmp_path, 9)))
    assert report.table.rows == ()
    (line,) = report.footnotes
    assert line.startswith("stage coarse: no figures: 9 trials with a result, fewer than 10; some")
    assert report.board["fanova"].isna().all()


@pytest.mark.exhaustive
@pytest.mark.slow
def test_few_trials_say_so_and_how_many_would_do(tmp_path, monkeypatch):
    monkeypatch.setattr(evaluators, "RESAMPLES", 5)
    read = read_run(drawn(tmp_path, 20))
    told = compose_importance(read)
    lines = "\n".join(told.footnotes)
    assert (
        "stage coarse: 20 trials are few: an interval that begins at 0 holds what chance" in lines
    )
    assert "trials that would tell the first from the second, fANOVA: " in lines
    assert told.command == "", "the study does not ship"
    as_shipped = replace(read, run=replace(read.run, name="importance"))
    command = compose_importance(as_shipped).command
    assert re.fullmatch(r"automl-cv search importance --stage coarse --trials \d{3,4}", command)


@pytest.mark.slow
def test_a_stage_that_searches_nothing_is_a_line(tmp_path):
    read = read_run(retrained(tmp_path), stage="finalists")
    report = compose_importance(read, stage="finalists")
    assert report.footnotes == (
        "no figures: stage finalists searches no parameter of several values",
    )
