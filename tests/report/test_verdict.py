"""The verdict is the report's first word, and what it says is in the board."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

import automl_cv
from automl_cv.cli.commands.report import _leaderboard
from automl_cv.fit.winner import choose
from automl_cv.report.data import as_csv, as_json
from automl_cv.report.markdown import as_markdown
from automl_cv.report.terminal import as_text
from automl_cv.report.verdict import verdict_lines
from automl_cv.results.leaderboard import read_run
from tests.published import build
from tests.results.retrained import retrained
from tests.results.searched import searched


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    return retrained(tmp_path_factory.mktemp("verdict"))


def test_row_1_is_what_fit_takes(url):
    _, winner = choose(url, "slides")
    board = automl_cv.leaderboard(url)
    first = board.iloc[0]
    assert (first["stage"], first["source"]) == (winner.facts.stage, winner.facts.trial)
    assert first["val_accuracy"] == pytest.approx(winner.facts.validation.accuracy)
    assert first["repeats"] == len(winner.records) == 3
    assert first["seconds"] == pytest.approx(sum(one.history.seconds for one in winner.records))


def test_each_retrained_trial_is_one_row_of_means(url):
    board = automl_cv.leaderboard(url)
    again = board[board["repeats"] > 1]
    assert len(board) == 11 + len(again)
    assert sorted(zip(again["stage"], again["source"], strict=True)) == [
        ("augmented", "narrowed/3"),
        ("finalists", "coarse/5"),
        ("finalists", "narrowed/3"),
        ("folded", "narrowed/3"),
        ("wide", "coarse/5"),
    ]
    means = again.set_index(["stage", "source"])["val_accuracy"]
    assert means["finalists", "narrowed/3"] == pytest.approx(0.9343 - 0.001)
    assert list(board["rank"]) == list(range(1, len(board) + 1))
    others = board["val_accuracy"][1:]
    assert list(others) == sorted(others, reverse=True), "after the winner by their figures"
    plain = automl_cv.leaderboard(url, retrained=False)
    assert len(plain) == 11 and "source" not in plain


def test_means_over_other_images_are_no_ties(url):
    board = automl_cv.leaderboard(url).set_index(["stage", "trial"])
    # The first is over folds: of all images but those of the test.
    assert board["tied_with_first"]["wide", 0] == False  # noqa: E712
    assert board["tied_with_first"].isna()["coarse", 5]


def test_a_stage_by_name_has_a_row_a_repeat(url):
    board = automl_cv.leaderboard(url, stage="finalists")
    assert len(board) == 6
    assert set(board["repeats"]) == {1}


def test_it_names_the_winner_the_gains_and_what_to_do(url):
    report = _leaderboard(url, None, None, None, None)
    winner, stages, then = report.verdict
    assert winner == (
        "winner: narrowed/3 as stage folded trained it, accuracy 0.9543 (95 % interval 0.9457 to "
        "0.9616, 2,688 images), the mean over 3 folds, over which it is 0.9150 to 0.9936"
    )
    assert stages == (
        "stages: coarse 0.9342, narrowed +0.0001 ≈, finalists −0.0008 ≈, augmented +0.0197 ≈, "
        "wide −0.0398, folded +0.0003 (≈ may be chance)"
    )
    assert then == (
        "next: `automl-cv fit slides --out DIR` fits the winner, `automl-cv evaluate DIR` looks at "
        "the test images"
    )
    assert as_text(report).splitlines()[2:5] == list(report.verdict)
    assert json.loads(as_json(report))["verdict"] == list(report.verdict)
    shown = as_markdown(report)
    assert shown.index("winner: narrowed/3 as") < shown.index("| \\# |")
    assert "winner" not in as_csv(report)


def test_a_figure_that_was_chosen_is_told_corrected(tmp_path):
    report = _leaderboard(searched(tmp_path, (0.8,) * 30), None, None, None, None)
    data = report.winner
    name = f"{data['stage']}/{data['trial']}"
    assert report.verdict[0].startswith(
        f"winner: {name}, accuracy {data['raw']:.4f}; corrected for having been chosen from 30 "
        f"trials {data['corrected']:.4f} (95 % interval {data['low']:.4f} to {data['high']:.4f}); "
    )
    assert report.verdict[-1].endswith("more images would tell trials apart that more trials won't")


def test_one_stage_has_a_first_and_no_winner(url):
    read = read_run(url, "slides", "coarse")
    first, _, then = verdict_lines(read, None)
    assert first.startswith("first: coarse/5, accuracy 0.9342 (95 % interval ")
    assert "`automl-cv fit slides --trial coarse/5 --out DIR` fits this trial" in then


def test_harm_to_the_images_comes_first_and_no_trial_means_no_verdict(tmp_path):
    read = read_run(build(tmp_path)[0])
    finding = {"about": "labels", "harm": "warning", "line": "2 images …", "files": ()}
    ledger = {**read.facts.ledger, "findings": [finding]}
    harmed = replace(read, facts=replace(read.facts, ledger=ledger))
    assert verdict_lines(harmed, None)[-1].startswith("next: `automl-cv data photos` shows what")
    assert verdict_lines(replace(read, ranked=()), None) == []
