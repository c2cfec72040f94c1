"""The metric of a study decides what is pruned, narrowed from, retrained, ranked and fitted."""

from __future__ import annotations

import pytest
from optuna.distributions import CategoricalDistribution

import automl_cv
from automl_cv.drawing.narrowing import best_trials
from automl_cv.drawing.stage_memory import StageMemory
from automl_cv.errors import UserError
from automl_cv.fit.winner import choose
from automl_cv.history import Epoch, History
from automl_cv.report.comparison import compose_comparison
from automl_cv.report.leaderboard import compose
from automl_cv.results.leaderboard import read_run
from automl_cv.store.database import open_storage
from automl_cv.store.facts import StudyFacts
from automl_cv.store.trials import StageTrials
from automl_cv.study import studyfile

SPACE = {"optimizer": "Adam", "batch_size": 8, "learning_rate": {"low": 0.1, "high": 0.9}}
COARSE = {
    "name": "coarse",
    "trials": 3,
    "epochs": 2,
    "pruner": {"name": "early_stopping", "patience": 1},
    "space": SPACE,
}
FINALISTS = {"name": "finalists", "retrain": {"stages": "coarse", "top": 2, "repeats": 3}}

# Accuracy and log loss of trials: the most accurate is not the best.
FIGURES = [(0.9, 0.5), (0.8, 0.2), (0.7, 0.4)]


REPEATED = {
    "source": CategoricalDistribution(("coarse/0", "coarse/1")),
    "repeat": CategoricalDistribution((0, 1, 2)),
}


def study(metric: str) -> studyfile.StudyFile:
    raw = {"name": "made-up", "metric": metric, "stage": [COARSE, FINALISTS]}
    return studyfile.parse(raw, "made-up")


def history(accuracy: float, loss: float, metric: str) -> History:
    score = None if metric == "accuracy" else -loss if metric == "log_loss" else 1 - loss
    epochs = (
        Epoch(1, 0.5, accuracy - 0.1, 1.0, loss + 0.1, 0.1, 0.0, score and score - 0.1),
        Epoch(2, 0.5, accuracy, 1.0, loss, 0.1, 0.0, score),
    )
    return History(epochs, "epochs")


@pytest.fixture(params=["accuracy", "log_loss", "macro_f1"])
def stored(request, tmp_path) -> tuple[str, str]:
    """Return a metric, and a database of trials that go by it."""
    metric, url = request.param, f"sqlite:///{tmp_path}/a.db"
    storage = open_storage(url, create=True)
    facts = StudyFacts(study=study(metric).as_toml_data(), split_sizes={"validation": 100})
    coarse = StageTrials.create(storage, "made-up", "coarse", facts)
    memory = StageMemory("made-up/coarse", study(metric).stage("coarse"), 0)
    for trial, figures in enumerate(FIGURES):
        drawn = memory.draw(trial)
        own = history(*figures, metric)
        memory.finish(trial, own)
        coarse.finish(trial, drawn.parameters, drawn.distributions, own)
    finalists = StageTrials.create(storage, "made-up", "finalists", facts)
    for slot, source in enumerate((0, 1)):
        for repeat in range(3):
            accuracy, loss = FIGURES[source]
            own = history(accuracy + repeat / 100, loss + repeat / 100, metric)
            named = {"source": f"coarse/{source}", "repeat": repeat}
            finalists.finish(3 * slot + repeat, named, REPEATED, own)
    return metric, url


@pytest.mark.slow
def test_ranks_and_winner_go_by_the_metric(stored):
    metric, url = stored
    board = automl_cv.leaderboard(url, retrained=False)
    assert list(board["trial"]) == ([0, 1, 2] if metric == "accuracy" else [1, 2, 0])
    read, winner = choose(url, "made-up")
    assert winner.facts.trial == ("coarse/0" if metric == "accuracy" else "coarse/1")
    assert read.facts.metric.about in winner.facts.why
    assert winner.facts.validation.accuracy == pytest.approx(0.91 if metric == "accuracy" else 0.81)
    chosen = winner.facts.validation.chosen_by
    mean = {"accuracy": 0.91, "log_loss": 0.21, "macro_f1": 0.79}[metric]
    assert (chosen.name, chosen.value) == (metric, pytest.approx(mean))
    assert (
        chosen.low < mean < chosen.high and chosen.over == "3 seeds, the same 100 validation images"
    )
    single = choose(url, "made-up", "coarse/1")[1].facts.validation.chosen_by
    assert single.value == pytest.approx(0.2 if metric == "log_loss" else 0.8)
    assert single.over == "100 images" and (single.low is None) == (metric != "accuracy")
    best = best_trials(read_run(url, "made-up", "coarse").ranked, 1)
    assert best[0].trial == board["trial"][0]
    if metric == "accuracy":
        assert not {"score", "macro_f1", "log_loss"} & {*board, *automl_cv.epochs(url)}
        assert board["tied_with_first"].notna().all()
    else:
        value = {"log_loss": 0.2, "macro_f1": 0.8}[metric]
        assert board[metric][0] == pytest.approx(value)
        assert board["tied_with_first"].isna().all()
        assert automl_cv.epochs(url, trial=1, stage="coarse")[metric].iloc[-1] == board[metric][0]


@pytest.mark.slow
def test_reports_show_the_metric_in_its_own_units(stored):
    metric, url = stored
    read = read_run(url, "made-up")
    shown = compose(read)
    headings = [column.heading for column in shown.table.columns]
    notes = " ".join((*shown.notes, *shown.footnotes))
    pairs = automl_cv.comparison(url)
    compared = compose_comparison(read)
    assert list(pairs["verdict"]) == ["better"]
    if metric == "accuracy":
        assert "no ties" not in notes
        assert pairs["difference"][0] == pytest.approx(0.1)
        return
    heading = {"log_loss": "val log loss", "macro_f1": "val F1"}[metric]
    assert heading in headings and "no ties" in notes
    value, difference = {"log_loss": ("0.2100", -0.3), "macro_f1": ("0.7900", 0.3)}[metric]
    assert f"1. coarse/1: {heading} {value} over 3 seeds" in notes
    assert pairs["difference"][0] == pytest.approx(difference)
    assert pairs["difference_low"][0] < difference < pairs["difference_high"][0]
    assert pairs["val_accuracy"][0] == pytest.approx(0.81)
    assert heading in [column.heading for column in compared.table.columns]
    board = compose(read, sort=metric).frames["trials"]
    assert list(board[board["stage"] == "coarse"]["trial"]) == [1, 2, 0]


def test_early_stopping_waits_for_the_metric():
    memory = StageMemory("made-up/coarse", study("log_loss").stage("coarse"), 0)
    memory.draw(0)
    first, second = (
        Epoch(number, 0.5, 0.5 + number / 10, 1.0, 1.0, 0.1, 0.0, -float(number))
        for number in (1, 2)
    )
    assert memory.after(0, first) is None
    assert memory.after(0, second) == "plateau", "accuracy rose, but the metric fell"


def test_a_metric_is_one_of_the_table():
    with pytest.raises(UserError, match="metric.*'macro_f2'.*'macro_f1'"):
        study("macro_f2")


def test_another_metric_is_another_search():
    assert studyfile.difference(study("accuracy"), study("auroc")) == ["metric: accuracy -> auroc"]
