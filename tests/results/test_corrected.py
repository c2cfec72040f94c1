"""The first of a leaderboard loses what it won by being chosen, by what the database holds."""

from __future__ import annotations

import numpy as np
import pytest

from automl_cv.results.corrected import CorrectedWinner, corrected, overtuning_text
from automl_cv.results.leaderboard import read_run
from automl_cv.store import predictions
from automl_cv.store.database import open_storage
from automl_cv.store.trials import StageTrials
from tests.depth import each_time
from tests.results.searched import IMAGES, finish, searched

NOISE = (0.8,) * 30
ONE_BEST = (0.6,) * 15 + (0.95,) + (0.6,) * 14


def found(url: str, stage: str | None = None) -> CorrectedWinner | None:
    return corrected(url, read_run(url, stage=stage))


@pytest.mark.slow
@pytest.mark.parametrize("folds", [True, False], ids=["folds", "split"])
@pytest.mark.parametrize("metric", each_time("accuracy", of=["accuracy", "log_loss"]))
def test_noise_is_taken_off_and_a_trial_that_is_far_better_keeps_its_figure(
    tmp_path, folds, metric
):
    noise = found(searched(tmp_path, NOISE, folds=folds, metric=metric))
    better = 1 if metric == "accuracy" else -1
    assert better * (noise.figure.raw - noise.figure.value) > 0.01
    assert noise.figure.low < noise.figure.value < noise.figure.high
    if metric == "accuracy":
        assert noise.figure.raw > 0.83 and noise.figure.value < 0.83
        assert noise.figure.low < 0.8 < noise.figure.high
        assert noise.log_loss.value >= noise.log_loss.raw
    one = found(searched(tmp_path, ONE_BEST, folds=folds, metric=metric))
    assert one.name == "coarse/15"
    assert one.figure.value == pytest.approx(one.figure.raw, abs=1e-9)
    assert one.log_loss.value == pytest.approx(one.log_loss.raw, abs=1e-9)
    assert one.candidates == one.trials == 30 and one.is_taken


@pytest.mark.slow
def test_it_is_the_boards_first_with_the_boards_figures(tmp_path):
    url = searched(tmp_path, NOISE)
    first = read_run(url).ranked[0]
    one = found(url)
    assert (one.stage, one.trial) == (first.stage, first.trial)
    assert one.figure.raw == first.best.val_accuracy
    assert one.log_loss.raw == first.best.val_loss
    assert found(url, stage="coarse") == one == found(url)


@pytest.mark.slow
def test_a_search_that_ends_no_better_than_it_began_is_told(tmp_path):
    overtuned = found(searched(tmp_path, (0.95, *NOISE)))
    assert overtuned.name == overtuned.first == "coarse/0" and overtuned.is_overtuned
    told = "the search found nothing better than its first trial, coarse/0"
    assert overtuning_text(overtuned) == told
    none = found(searched(tmp_path, ONE_BEST))
    assert not none.is_overtuned and overtuning_text(none) is None
    assert none.beside_first.gain > 0.2
    slight = found(searched(tmp_path, (0.84, *NOISE)))
    if slight.is_overtuned and slight.name != "coarse/0":
        assert " % of 200 resamples" in overtuning_text(slight)


@pytest.mark.slow
def test_groups_widen_the_interval(tmp_path):
    apart, together = (found(searched(tmp_path, NOISE, grouped=each)) for each in (False, True))
    assert apart.figure.raw == together.figure.raw
    assert apart.figure != together.figure


@pytest.mark.exhaustive
@pytest.mark.slow
def test_without_labels_or_predictions_of_the_first_there_is_nothing(tmp_path):
    assert found(searched(tmp_path, NOISE, labelled=False)) is None
    winner = found(searched(tmp_path, ONE_BEST))
    assert winner.trial == 15
    assert found(searched(tmp_path, ONE_BEST, unkept=15)) is None
    other = found(searched(tmp_path, ONE_BEST, unkept=3))
    assert (other.candidates, other.trials) == (29, 30)
    assert found(searched(tmp_path, ONE_BEST, unkept=0)).beside_first is None
    assert found(searched(tmp_path, (0.9,))) is None, "nothing was chosen"


@pytest.mark.slow
def test_of_many_images_those_are_taken_that_all_kept(tmp_path, monkeypatch):
    url = searched(tmp_path, NOISE)
    storage = open_storage(url, create=False)
    trials = StageTrials.open(storage, "made-up", "coarse")
    labels = np.repeat([0, 1], IMAGES // 2)
    monkeypatch.setattr(predictions, "MOST_NUMBERS", IMAGES)
    said = np.where(labels[:, None] == [0, 1], 0.99, 0.01).astype(np.float32)
    finish(trials, 30, labels, said)
    assert trials.predictions()[30].every == 2
    one = found(url)
    assert (one.trial, one.candidates, one.figure.raw) == (30, 31, 1.0)
    assert one.figure.value == 1.0


@pytest.mark.slow
def test_an_image_that_float16_calls_impossible_counts_by_the_trials_own_loss(tmp_path):
    url = searched(tmp_path, (0.6,) * 4)
    trials = StageTrials.open(open_storage(url, create=False), "made-up", "coarse")
    labels = np.repeat([0, 1], IMAGES // 2)
    said = np.where(labels[:, None] == [0, 1], 1 - 1e-9, 1e-9).astype(np.float32)
    said[:2] = said[:2, ::-1]
    finish(trials, 4, labels, said)
    one = found(url)
    assert one.trial == 4
    assert one.log_loss.raw == pytest.approx(2 * -np.log(1e-9) / IMAGES, rel=1e-3)
    assert one.log_loss.value == pytest.approx(one.log_loss.raw, rel=1e-6)
    assert one.log_loss.high < 1, "87 nats an image would make it more"


@pytest.mark.exhaustive
@pytest.mark.slow
def test_it_is_the_same_again_and_reads_no_more_than_a_hundred_trials(tmp_path):
    url = searched(tmp_path, (0.7,) * 130)
    one = found(url)
    assert (one.candidates, one.trials) == (100, 130)
    assert found(url) == one


def test_the_reference_may_be_better_and_is_then_taken(tmp_path):
    url = searched(tmp_path, NOISE)
    trials = StageTrials.open(open_storage(url, create=False), "made-up", "coarse")
    figures = {"accuracy": 1.0, "loss": 0.1, "seconds": 1.0, "penalty": 1.0}
    for accuracy, loss, taken in ((0.99, 0.01, False), (0.5, 2.0, True)):
        trials.update_facts(reference={**figures, "val_accuracy": accuracy, "val_loss": loss})
        assert found(url).is_taken is taken
