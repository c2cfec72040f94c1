import math
import subprocess
import sys
from dataclasses import replace

import pytest

import automl_cv
from automl_cv.errors import UserError
from automl_cv.history import History
from automl_cv.store.database import open_storage
from automl_cv.store.trials import StageTrials
from tests.published import (
    COARSE,
    FACTS,
    STAGE_FACTS,
    build,
    fail,
    finish,
    history_of,
    parameters_of,
)

FIGURES = ["accuracy", "val_accuracy", "loss", "val_loss"]


def test_the_published_coarse_search_in_its_order(tmp_path):
    url, _ = build(tmp_path)
    board = automl_cv.leaderboard(url, "slides", stage="coarse")
    expected = sorted(enumerate(COARSE), key=lambda numbered: -numbered[1][6])
    assert list(board["trial"]) == [trial for trial, _ in expected] == [5, 4, 1, 3, 2, 0]
    for (_, row), shown in zip(expected, board.to_dict("records"), strict=True):
        momentum = None if math.isnan(shown["momentum"]) else shown["momentum"]
        names = ("batch_size", "optimizer", "learning_rate")
        assert (*(shown[name] for name in names), momentum) == row[:4]
        assert (shown["epochs"], *(shown[name] for name in FIGURES)) == row[4:]
    assert list(board["best_epoch"]) == [8, 20, 10, 11, 14, 50]
    assert list(board["stop_reason"]) == ["plateau"] * 5 + ["epochs"]


def test_two_stages_share_one_order(tmp_path):
    url, _ = build(tmp_path)
    board = automl_cv.leaderboard(url)
    assert list(zip(board["stage"], board["trial"], strict=True))[:3] == [
        ("narrowed", 3),
        ("coarse", 5),
        ("coarse", 4),
    ]
    assert list(board["rank"]) == list(range(1, 12))


def test_column_types(tmp_path):
    url, storage = build(tmp_path)
    trials = StageTrials.create(storage, "empty", "coarse", FACTS)
    expected = {
        "rank": "Int64",
        "stage": "str",
        "trial": "Int64",
        "model": "str",
        "repeats": "Int64",
        "batch_size": "Int64",
        "optimizer": "str",
        "learning_rate": "float64",
        "momentum": "float64",
        "epochs": "Int64",
        "best_epoch": "Int64",
        "accuracy": "float64",
        "val_accuracy": "float64",
        "val_accuracy_low": "float64",
        "val_accuracy_high": "float64",
        "loss": "float64",
        "val_loss": "float64",
        "tied_with_first": "boolean",
        "stop_reason": "str",
        "seconds": "float64",
        "state": "str",
    }
    for study, n_rows in (("slides", 11), (trials.run, 0)):
        board = automl_cv.leaderboard(url, study)
        assert len(board) == n_rows
        assert {name: str(dtype) for name, dtype in board.dtypes.items()} == expected


def test_further_parameters_get_typed_columns(tmp_path):
    from optuna.distributions import CategoricalDistribution, IntDistribution

    storage = open_storage(f"sqlite:///{tmp_path}/a.db", create=True)
    trials = StageTrials.create(storage, "run", "stage", FACTS)
    further = {
        "units": IntDistribution(1, 9),
        "nesterov": CategoricalDistribution((True, False)),
        "mixed": CategoricalDistribution((1, "two", 0.5)),
    }
    for trial, drawn in enumerate(({"units": 3, "mixed": "two"}, {"nesterov": True, "mixed": 1})):
        distributions = {name: further[name] for name in drawn}
        trials.finish(trial, drawn, distributions, history_of(COARSE[trial]))
    board = automl_cv.leaderboard(storage).sort_values("trial")
    dtypes = {name: str(board[name].dtype) for name in further}
    assert dtypes == {"units": "Int64", "nesterov": "boolean", "mixed": "str"}
    assert list(board["mixed"]) == ["two", "1"]
    assert list(board["units"].isna()) == [False, True]


@pytest.mark.slow
def test_ties_go_by_loss_then_stage_then_slot(tmp_path):
    storage = open_storage(f"sqlite:///{tmp_path}/a.db", create=True)
    first = StageTrials.create(storage, "run", "z", FACTS)
    second = StageTrials.create(storage, "run", "a", FACTS)
    lower_loss = (*COARSE[5][:8], 0.1)
    finish(second, 0, COARSE[5])
    finish(first, 1, COARSE[5])
    finish(first, 0, COARSE[5])
    finish(second, 1, lower_loss)
    board = automl_cv.leaderboard(storage)
    ordered = list(zip(board["stage"], board["trial"], strict=True))
    assert ordered == [("a", 1), ("z", 0), ("z", 1), ("a", 0)]


def test_tied_with_first(tmp_path):
    storage = open_storage(f"sqlite:///{tmp_path}/a.db", create=True)
    trials = StageTrials.create(storage, "run", "stage", FACTS)
    for trial, val_accuracy in enumerate((0.93, 0.91, 0.90, 0.80)):
        finish(trials, trial, (*COARSE[5][:6], val_accuracy, *COARSE[5][7:]))
    board = automl_cv.leaderboard(storage)
    # With 807 images 0.93 - 0.91 is chance; 0.93 - 0.90 is not, though the intervals overlap.
    assert list(board["tied_with_first"]) == [True, True, False, False]
    assert board["val_accuracy_low"][0] < board["val_accuracy_high"][2]
    trials.update_facts(split_sizes={})
    board = automl_cv.leaderboard(storage)
    assert board["tied_with_first"].isna().all()
    assert board["val_accuracy_low"].isna().all()


def test_only_results_are_ranked(tmp_path):
    url, storage = build(tmp_path)
    trials = StageTrials.open(storage, "slides", "coarse")
    finish(trials, 6, COARSE[1], "pruned")
    fail(trials, 7, COARSE[2], "out of memory")
    trials.begin(8, {"batch_size": 10}, {"batch_size": _batch_size()})
    trials.interrupt(8, History(history_of(COARSE[2]).epochs[:3]))
    trials.begin(9, {"batch_size": 11}, {"batch_size": _batch_size()})
    board = automl_cv.leaderboard(url, stage="coarse")
    assert dict(zip(board["trial"], board["state"], strict=True))[6] == "pruned"
    assert set(board["trial"]) == set(range(7))
    rest = automl_cv.unfinished(url)
    assert list(zip(rest["trial"], rest["state"], rest["reason"], strict=True)) == [
        (7, "failed", "out of memory"),
        (8, "interrupted", "its process ended; the next search runs it again"),
        (9, "running", "runs now"),
    ]
    assert list(rest["epochs"]) == [2, 3, 0]
    trials.interrupt(9, History())


def _batch_size():
    from tests.published import DISTRIBUTIONS

    return DISTRIBUTIONS["batch_size"]


def test_epochs(tmp_path):
    url, _ = build(tmp_path)
    every = automl_cv.epochs(url)
    assert len(every) == 163 + 159
    one = automl_cv.epochs(url, "slides", trial=3, stage="coarse")
    assert list(one["epoch"]) == list(range(1, 22))
    assert list(one["val_accuracy"]) == [e.val_accuracy for e in history_of(COARSE[3]).epochs]
    assert {str(one[name].dtype) for name in FIGURES} == {"float64"}
    assert automl_cv.epochs(url, trial=99).empty


def test_facts_of_stages_are_merged(tmp_path):
    from automl_cv.results.leaderboard import read_run

    url, storage = build(tmp_path)
    StageTrials.open(storage, "slides", "narrowed").update_facts(
        warnings=("late",), reference=None, notes=STAGE_FACTS.notes
    )
    facts = read_run(url).facts
    assert facts.warnings == (*FACTS.warnings, "late")
    assert facts.notes == STAGE_FACTS.notes
    assert facts.reference == FACTS.reference
    assert facts == replace(facts, started=STAGE_FACTS.started.replace(hour=6))


def test_unknown_names(tmp_path):
    url, _ = build(tmp_path)
    with pytest.raises(UserError, match="no study 'slide': did you mean 'slides'"):
        automl_cv.leaderboard(url, "slide")
    with pytest.raises(UserError, match="no trials of a stage 'corse': did you mean 'coarse'"):
        automl_cv.leaderboard(url, "slides", "corse")


@pytest.mark.slow
def test_importing_the_package_is_cheap():
    code = (
        "import sys, automl_cv; "
        "print([m for m in ('pandas', 'optuna', 'tensorflow', 'numpy') if m in sys.modules]); "
        "automl_cv.leaderboard; print('tensorflow' in sys.modules, 'pandas' in sys.modules)"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert shown == "[]\nFalse True\n"


def test_the_public_names_exist():
    assert all(getattr(automl_cv, name) for name in automl_cv.__all__)
    assert set(automl_cv.__all__) <= set(dir(automl_cv))
    with pytest.raises(AttributeError, match="leaderbord"):
        automl_cv.leaderbord  # noqa: B018
    assert parameters_of(COARSE[0])["optimizer"] == "Adadelta"
