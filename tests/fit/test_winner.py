"""Which trial is fitted: the first by the mean where trials were trained again, and why."""

from __future__ import annotations

from dataclasses import replace

import pytest
from optuna.distributions import CategoricalDistribution, IntDistribution

from automl_cv.errors import AutomlError, UserError
from automl_cv.fit.fitting import _promised
from automl_cv.fit.winner import choose
from automl_cv.scoring import wilson
from automl_cv.store.database import open_storage
from automl_cv.store.trials import StageTrials
from tests.published import (
    COARSE,
    FACTS,
    NARROWED,
    build,
    distributions_of,
    fail,
    history_of,
    parameters_of,
)
from tests.results.searched import searched

# How far each repeat of narrowed/3 lies from the published accuracy.
SHIFTS = {"finalists": (0.0, -0.002, -0.001), "folded": (0.02, 0.01, 0.03)}


def retrained(folder, shifts_of=SHIFTS) -> str:
    """Make a database whose best trial was trained again, over seeds, then over folds."""
    url, storage = build(folder)
    stages = [
        {"name": "finalists", "retrain": {"repeats": 3}},
        {"name": "folded", "retrain": {"folds": 3}},
    ]
    facts = replace(FACTS, study={**FACTS.study, "stage": stages})
    parameters = {**parameters_of(NARROWED[3]), "source": "narrowed/3"}
    distributions = {
        **distributions_of(parameters_of(NARROWED[3])),
        "source": CategoricalDistribution(["narrowed/3"]),
        "repeat": IntDistribution(0, 2),
    }
    for stage, shifts in shifts_of.items():
        trials = StageTrials.create(storage, "slides", stage, facts)
        for repeat, shift in enumerate(shifts):
            row = (*NARROWED[3][:6], NARROWED[3][6] + shift, *NARROWED[3][7:])
            own = {**parameters, "repeat": repeat}
            trials.finish(repeat, own, distributions, history_of(row))
    return url


@pytest.mark.slow
def test_the_first_of_the_leaderboard(tmp_path):
    url, _ = build(tmp_path)
    read, winner = choose(url, "slides")
    assert read.run.name == "slides"
    assert winner.facts.trial == winner.slot == "narrowed/3"
    assert winner.facts.stage == "narrowed"
    assert winner.searched == ("narrowed", 3)
    assert winner.facts.why.startswith("the first of 11 trials")
    assert winner.facts.parameters == {
        "batch_size": 63, "optimizer": "SGD", "learning_rate": 0.080, "momentum": 0.23,
    }  # fmt: skip
    validation = winner.facts.validation
    assert validation.accuracy == 0.9343
    assert (validation.low, validation.high) == wilson(0.9343, 807)
    assert validation.over == "807 images"
    assert [epoch.epoch for epoch in winner.replay] == list(range(1, 23)), "up to the best epoch"


def test_the_best_mean_of_the_stages_that_retrain_decides(tmp_path):
    url = retrained(tmp_path)
    _, winner = choose(url, "slides")
    assert winner.facts.stage == "folded"
    assert winner.facts.trial == "narrowed/3"
    assert winner.slot == "folded/0"
    assert winner.searched == ("narrowed", 3), "its seeds are those of the searched trial"
    assert "source" not in winner.facts.parameters
    assert len(winner.records) == 3
    validation = winner.facts.validation
    assert validation.accuracy == pytest.approx(0.9343 + 0.02)
    assert validation.over == "3 folds"
    assert validation.low < validation.accuracy < validation.high
    assert winner.facts.why == (
        "the one trained again in stage folded; stage against stage by mean validation accuracy: "
        "folded 0.9543 over 3 folds, beside finalists 0.9333 over 3 seeds"
    )


def test_an_interval_over_few_repeats_ends_where_a_share_does(tmp_path):
    url = retrained(tmp_path, {"finalists": SHIFTS["finalists"], "folded": (0.06, -0.02, 0.05)})
    _, winner = choose(url, "slides")
    assert winner.slot == "folded/0"
    assert winner.facts.validation.high == 1.0


def test_a_later_stage_that_is_worse_does_not_decide(tmp_path):
    url = retrained(tmp_path, {"finalists": SHIFTS["finalists"], "folded": (-0.2, 0.1, 0.0)})
    _, winner = choose(url, "slides")
    assert winner.slot == "finalists/0"
    assert "folded 0.9010 over 3 folds" in winner.facts.why
    validation = winner.facts.validation
    assert validation.over == "3 seeds, the same 807 validation images"
    assert validation.over_images == wilson(validation.accuracy, 807)
    assert validation.classes == 3


def test_of_equal_means_the_later_stage_decides(tmp_path):
    url = retrained(tmp_path, {"finalists": (0.0, 0.0, 0.0), "folded": (0.0, 0.0, 0.0)})
    _, winner = choose(url, "slides")
    assert winner.slot == "folded/0"


def test_another_trial_by_its_name(tmp_path):
    url = retrained(tmp_path)
    _, searched = choose(url, "slides", "coarse/4")
    assert (searched.facts.trial, len(searched.records)) == ("coarse/4", 1)
    assert searched.facts.why == "chosen by hand"
    _, again = choose(url, "slides", "finalists/0")
    assert (again.facts.stage, len(again.records)) == ("finalists", 3)
    assert again.facts.validation.over == "3 seeds, the same 807 validation images"


def test_the_epochs_are_those_of_the_median_repeat(tmp_path):
    """Best epochs 40, 10, 8 and 50: of the two in the middle the later one."""
    url, storage = build(tmp_path)
    rows = [COARSE[5], COARSE[0], COARSE[4], COARSE[1]]
    records = [
        record
        for row in rows
        for record in StageTrials.open(storage, "slides", "coarse").records()
        if record.parameters["batch_size"] == row[0]
    ]
    assert sorted(record.best.epoch for record in records) == [8, 10, 20, 50]
    _, winner = choose(url, "slides")
    several = replace(winner, records=tuple(records))
    assert len(several.replay) == 20


@pytest.mark.slow
@pytest.mark.parametrize(
    ("trial", "message"),
    [
        ("coarse", "expected STAGE/NUMBER"),
        ("corse/1", "did you mean 'coarse'"),
        ("coarse/99", "none of that number"),
        ("coarse/7", "it has no result: out of memory"),
    ],
)
def test_trials_that_cannot_be_fitted(trial, message, tmp_path):
    url, storage = build(tmp_path)
    fail(StageTrials.open(storage, "slides", "coarse"), 7, COARSE[2], "out of memory")
    with pytest.raises(UserError, match=message):
        choose(url, "slides", trial)


@pytest.mark.slow
def test_a_run_without_a_result(tmp_path):
    url = f"sqlite:///{tmp_path}/empty.db"
    trials = StageTrials.create(open_storage(url, create=True), "slides", "coarse", FACTS)
    fail(trials, 0, COARSE[2], "out of memory")
    with pytest.raises(AutomlError, match="no trial with a result"):
        choose(url, "slides")


@pytest.mark.slow
def test_the_first_is_corrected_for_the_choice_and_promises_the_low_end(tmp_path):
    url = searched(tmp_path, (0.8,) * 30)
    read, winner = choose(url, "made-up")
    validation = winner.facts.validation
    found = validation.corrected
    assert found.value < validation.accuracy and found.loss >= validation.loss
    assert found.trials == 30 and found.low < found.value < found.high
    assert _promised(read, winner) == found.low < wilson(validation.accuracy, 200)[0]
    again = choose(url, "made-up", winner.slot)[1].facts.validation
    assert again == validation, "named by hand it is the same trial"
    other = next(one for one in read.ranked if f"coarse/{one.trial}" != winner.slot)
    by_hand = choose(url, "made-up", f"coarse/{other.trial}")[1]
    assert by_hand.facts.validation.corrected is None
    assert _promised(read, by_hand) == wilson(by_hand.facts.validation.accuracy, 200)[0]


@pytest.mark.slow
def test_the_promise_is_of_accuracy_whatever_chose(tmp_path):
    read, winner = choose(searched(tmp_path, (0.8,) * 30, metric="log_loss"), "made-up")
    validation = winner.facts.validation
    assert validation.corrected.value > validation.metric.value
    assert _promised(read, winner) == wilson(validation.accuracy, 200)[0]
