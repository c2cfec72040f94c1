"""Which parameters mattered, on trials whose answer is known."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import automl_cv
from automl_cv.history import Epoch, History
from automl_cv.results import evaluators
from automl_cv.results.evaluators import EVALUATORS, Axis
from automl_cv.results.importance import FEWEST, LEAST_TRIALS, importances
from automl_cv.results.leaderboard import read_run
from automl_cv.store.records import TrialRecord
from automl_cv.study.space import Choice, FloatRange, IntRange
from tests.results.drawn import drawn
from tests.results.retrained import retrained

FIGURES = [f"{name}{end}" for name in ("fanova", "ped_anova") for end in ("", "_low", "_high")]


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    return drawn(tmp_path_factory.mktemp("drawn"), 180)


@pytest.fixture(scope="module")
def table(url):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluators, "RESAMPLES", 40)
        return automl_cv.importance(url, "made-up")


def of(table: pd.DataFrame, parameter: str) -> pd.Series:
    (row,) = (row for _, row in table.iterrows() if row["parameter"] == parameter)
    return row


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.parametrize("evaluator", ["fanova", "ped_anova"])
def test_optimizer_and_learning_rate_matter(table, evaluator):
    assert of(table, "learning_rate")[f"{evaluator}_low"] > of(table, "batch_size")[evaluator]
    assert of(table, "optimizer")[evaluator] > of(table, "batch_size")[evaluator]
    over_all = table[table["within"].isna()]
    assert over_all[evaluator].sum() == pytest.approx(1)


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.parametrize("evaluator", ["fanova", "ped_anova"])
def test_a_momentum_without_effect_has_next_to_none(table, evaluator):
    momentum = of(table, "momentum")
    assert momentum["within"] == "optimizer is SGD or RMSprop"
    assert LEAST_TRIALS <= momentum["trials"] < 180
    assert momentum[evaluator] < 0.1
    assert momentum[f"{evaluator}_low"] < 0.02


@pytest.mark.exhaustive
@pytest.mark.slow
def test_shares_lie_within_their_intervals(table):
    for evaluator in ("fanova", "ped_anova"):
        low, high = table[f"{evaluator}_low"], table[f"{evaluator}_high"]
        assert (low < high).all()
        assert (low >= 0).all() and (high <= 1).all()


@pytest.mark.exhaustive
@pytest.mark.slow
def test_constants_are_no_parameters(table):
    assert set(table["parameter"]) == {"optimizer", "batch_size", "learning_rate", "momentum"}


@pytest.mark.exhaustive
@pytest.mark.slow
def test_the_same_numbers_in_another_process(url, monkeypatch):
    monkeypatch.setattr(evaluators, "RESAMPLES", 4)
    here = automl_cv.importance(url).to_csv(index=False, float_format="%.12g")
    code = (
        "import sys, automl_cv\n"
        "from automl_cv.results import evaluators\n"
        "evaluators.RESAMPLES = 4\n"
        "print(automl_cv.importance(sys.argv[1]).to_csv(index=False, float_format='%.12g'), end='')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, url], capture_output=True, text=True, check=True
    )
    assert done.stdout == here


@pytest.mark.exhaustive
@pytest.mark.slow
def test_the_order_says_what_can_be_told_apart(url, monkeypatch):
    monkeypatch.setattr(evaluators, "RESAMPLES", 20)
    of_all, within = (one.evaluation.orders for one in importances(read_run(url)))
    assert of_all["fanova"] == "learning rate > optimizer > batch size"
    assert within["ped_anova"].split(" ≈ ")[-1].split(" > ")[-1] in ("momentum", "batch size")


@pytest.mark.slow
def test_below_ten_trials_nothing_is_claimed(tmp_path):
    table = automl_cv.importance(drawn(tmp_path, FEWEST - 1))
    assert table[FIGURES].isna().all(axis=None)
    assert set(table["reason"]) == {
        "9 trials with a result, fewer than 10; some 100 are needed for shares that say something"
    }


@pytest.mark.exhaustive
@pytest.mark.slow
def test_of_thirty_trials_bars_hold_what_chance_gives(tmp_path, monkeypatch):
    monkeypatch.setattr(evaluators, "RESAMPLES", 20)
    table = automl_cv.importance(drawn(tmp_path, 30))
    for parameter in ("momentum", "batch_size"):
        for evaluator in EVALUATORS:
            assert of(table, parameter)[f"{evaluator}_low"] == 0, (parameter, evaluator)
    assert of(table, "learning_rate")["fanova_low"] > 0
    needed = table["trials_needed"].dropna()
    assert (needed >= LEAST_TRIALS).all()
    for name in EVALUATORS:
        assert (table[f"{name}_low"] <= table[name]).all()
        assert (table[name] <= table[f"{name}_high"]).all()


@pytest.mark.parametrize(
    ("n_trials", "difference", "low", "needed"),
    [(200, 0.4, 0.1, 200), (25, 0.4, 0.1, 100), (150, 0.1, -0.1, 600), (150, 0.07, -0.1, 890)],
)
def test_an_interval_narrows_with_the_root_of_the_trials(n_trials, difference, low, needed):
    resampled = np.full(1000, low)
    assert evaluators._needed(n_trials, difference, resampled) == needed


def test_more_trials_than_anyone_runs_are_no_advice():
    assert evaluators._needed(30, 0.001, np.full(9, -0.2)) is None
    assert evaluators._needed(30, 0.0, np.full(9, -0.2)) is None


@pytest.mark.exhaustive
@pytest.mark.slow
def test_too_few_trials_with_the_conditional_parameter(tmp_path, monkeypatch):
    monkeypatch.setattr(evaluators, "RESAMPLES", 2)
    table = automl_cv.importance(drawn(tmp_path, LEAST_TRIALS))
    momentum = of(table, "momentum")
    assert momentum["trials"] < LEAST_TRIALS
    assert momentum["fanova_low"] == momentum["ped_anova_low"] == 0
    assert table[FIGURES].notna().all(axis=None)


@pytest.mark.slow
def test_stages_that_retrain_search_nothing(tmp_path):
    url = retrained(tmp_path)
    read = read_run(url, stage="finalists")
    assert importances(read, "finalists") == []


def test_a_range_of_decades_is_seen_as_it_was_drawn():
    axis = Axis.of(FloatRange(low=1e-4, high=0.1, log=True), None)
    assert axis.distribution.high - axis.distribution.low == pytest.approx(6.9078, abs=1e-3)
    assert axis.distribution.low <= axis.place(1e-4) <= axis.place(0.1) <= axis.distribution.high
    assert Axis.of(IntRange(low=1, high=8), None).place(3) == 3
    allowed = Axis.of(Choice(choices=("SGD", "RMSprop", "Adam")), ("SGD", "RMSprop"))
    assert allowed.distribution.choices == ("SGD", "RMSprop")


@pytest.mark.slow
def test_equal_results_tell_nothing(tmp_path):
    table = automl_cv.importance(drawn(tmp_path, LEAST_TRIALS, accuracy=1.0))
    assert of(table, "optimizer")["reason"] == "all trials have the same result"
    assert table[FIGURES].isna().all(axis=None)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_resamples_of_equal_results_share_evenly():
    """Ninety-nine trials of one result and one of another: a resample may draw only the former."""
    records = [
        TrialRecord(
            "r",
            "s",
            trial,
            "complete",
            {"a": trial / 100, "b": "xy"[trial % 2]},
            History((Epoch(1, 1.0, 0.8 if trial == 0 else 0.9, 0.1, 0.1, 0.1, 0.1),), "epochs"),
        )
        for trial in range(LEAST_TRIALS)
    ]
    axes = {
        "a": Axis.of(FloatRange(low=0.0, high=1.0), None),
        "b": Axis.of(Choice(choices=("x", "y")), None),
    }
    found = evaluators.evaluate(axes, records)
    for shares in found.shares.values():
        assert sum(share.share for share in shares.values()) == pytest.approx(1)
