"""Narrowing through the installed command: search, report, resume."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from automl_cv.study.space import Space, can_be

STUDY = """
extends = "optimizers"
name = "small"
[[stage]]
name = "coarse"
trials = 6
epochs = 6
[[stage]]
name = "narrowed"
narrow_from = { stage = "coarse", top = 2 }
trials = 2
epochs = 4
[stage.space]
batch_size = 32
"""


@pytest.fixture
def study(tmp_path: Path) -> str:
    (tmp_path / "small.toml").write_text(STUDY)
    return "./small.toml"


def report(call) -> dict[str, Any]:
    return json.loads(call("report", "--format", "json").stdout)


def check_inside(found: dict[str, Any], count: int) -> dict[str, Any]:
    """Check that all trials of the narrowed stage lie in the stored space, and return it."""
    stored = found["facts"]["narrowed"]["narrowed"]
    space = Space.model_validate(stored["space"])
    trials = [trial for trial in found["trials"] if trial["stage"] == "narrowed"]
    assert len(trials) == count
    for trial in trials:
        for name, parameter in space.parameters.items():
            assert trial[name] is None or can_be(parameter, trial[name])
    return stored


@pytest.mark.exhaustive
@pytest.mark.slow
def test_search_report_and_a_resume_after_more_trials(study, call):
    done = call("search", study)
    found = report(call)
    stored = check_inside(found, 2)
    board = [trial for trial in found["trials"] if trial["stage"] == "coarse"]
    assert stored["trials"] == [trial["trial"] for trial in board[:2]]
    assert stored["space"]["parameters"]["batch_size"]["value"] == 32
    first, second = stored["trials"]
    assert f"stage narrowed: narrowed from trials {first} and {second} of coarse to" in done.stderr

    shown = call("report").stdout
    assert "narrowed stages" in shown
    for name, reason in stored["reasons"].items():
        assert name.replace("_", " ") in shown
        assert reason in shown
    assert f"stage narrowed: narrowed from trials {first} and {second} of coarse" in shown
    assert "narrowed" not in call("report", "--stage", "coarse").stdout

    resumed = call("search", study, "--trials", "14")
    found = report(call)
    again = check_inside(found, 14)
    assert {**again, "best_now": None} == {**stored, "best_now": None}
    board = [trial for trial in found["trials"] if trial["stage"] == "coarse"]
    assert again["best_now"] == [trial["trial"] for trial in board[:2]]
    has_others = again["best_now"] != again["trials"]
    assert ("`search --new` narrows anew" in resumed.stderr) == has_others
    assert ("`search --new` narrows anew" in call("report").stdout) == has_others


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_stage_that_the_time_cut_is_not_narrowed_from(study, call):
    call("search", study, "--stage", "coarse", "--trials", "1")
    done = call("search", study, "--trials", "5000", "--timeout", "6s")
    assert "stage narrowed: not begun (the time ended)" in done.stderr
    assert "stage narrowed: not begun (the time ended)" in call("report").stdout
    assert "narrowed" not in report(call)["facts"]["narrowed"]


def test_a_stage_alone_needs_the_one_it_narrows(study, call):
    done = call("search", study, "--stage", "narrowed", check=False)
    assert done.returncode == 2
    assert "search it first with --stage coarse" in done.stderr


def test_studies_show_says_the_rule(study, call):
    shown = call("studies", "show", study).stdout
    assert "narrowed from the best 2 trials of coarse" in shown
    table = shown.split("narrowed: 2 trials")[1]
    rows = [re.split(r"\s{2,}", line.strip()) for line in table.split("─\n")[1].splitlines()]
    assert [row for row in rows if len(row) > 1] == [
        ["optimizer", "within SGD | RMSprop | Adagrad | Adadelta | Adam | Adamax | Nadam"],
        ["batch_size", "32"],
        ["learning_rate", "within 0.0001 – 0.3"],
        ["momentum", "within 0 – 0.9", "optimizer is SGD or RMSprop"],
    ]
