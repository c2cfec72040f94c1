"""The winner's worth in the report's forms; nothing of it where it is not known."""

from __future__ import annotations

import json

import pytest

from automl_cv.cli.commands.report import _leaderboard
from automl_cv.report.data import as_json
from automl_cv.report.leaderboard import compose
from automl_cv.report.page.render import as_page
from automl_cv.results.leaderboard import read_run
from tests.results.searched import searched

NOISE = (0.8,) * 30
OVERTUNED = (0.95, *NOISE)


@pytest.mark.slow
def test_it_stands_under_the_table_and_in_the_data(tmp_path):
    report = _leaderboard(searched(tmp_path, NOISE), None, None, 3, None)
    data = json.loads(as_json(report))["winner"]
    name = f"{data['stage']}/{data['trial']}"
    line = report.footnotes[-1]
    assert line.startswith(
        f"winner {name}: accuracy {data['raw']:.4f} as chosen; corrected for having been chosen "
        f"from 30 trials {data['corrected']:.4f}, 95 % interval {data['low']:.4f} to "
        f"{data['high']:.4f}; log loss {data['log_loss']['raw']:.4f}, corrected "
        f"{data['log_loss']['corrected']:.4f}, 95 % interval"
    )
    assert line.endswith("Tsamardinos 2018)")
    assert data["corrected"] < data["raw"] and line in as_page(report)
    of_stage = _leaderboard(searched(tmp_path, NOISE), None, "coarse", None, None)
    assert of_stage.footnotes[-1].startswith(f"first {name}: ")


@pytest.mark.slow
def test_a_loss_that_is_the_metric_is_told_once(tmp_path):
    report = _leaderboard(searched(tmp_path, NOISE, metric="log_loss"), None, None, None, None)
    (line,) = (one for one in report.footnotes if one.startswith("winner"))
    assert line.count("log loss") == 1


@pytest.mark.slow
def test_a_search_that_found_nothing_better_says_so(tmp_path):
    report = _leaderboard(searched(tmp_path, OVERTUNED), None, None, None, None)
    assert report.footnotes[-1] == (
        "the search found nothing better than its first trial, coarse/0"
    )
    assert json.loads(as_json(report))["winner"]["overtuned"] is True


@pytest.mark.slow
def test_an_older_database_has_the_report_it_had(tmp_path):
    url = searched(tmp_path, NOISE, labelled=False)
    report = _leaderboard(url, None, None, None, None)
    assert "winner" not in json.loads(as_json(report))
    assert report.footnotes == compose(read_run(url)).footnotes
