"""Every operation of the table, from a study file through the installed command, on digits."""

from __future__ import annotations

import io
import json
import signal
from pathlib import Path

import pandas as pd
import pytest

from automl_cv.catalog.augmentations import AUGMENTATIONS
from tests.end_to_end.test_search import EXACT, Search, at, leaderboard
from tests.in_process import run_here

STUDY = """
extends = "optimizers"
name = "aug"
[data]
split = { train = 0.2, validation = 0.1, test = 0.7 }
[[stage]]
name = "coarse"
trials = 5
epochs = 2
views = 2
[stage.augmentation]
rotation = 10
brightness = 0.1
contrast = 0.1
rand_augment = { magnitude = 1, operations = 1 }
[stage.space]
learning_rate = 0.1
zoom = [0.0, 0.1]
horizontal_flip = [true, false]
mixup = { low = 0.1, high = 1.0 }
[[stage]]
name = "narrowed"
trials = 2
epochs = 2
views = 2
narrow_from = { stage = "coarse", top = 2 }
[[stage]]
name = "online"
trials = 2
epochs = 2
views = "online"
augmentation = { cutmix = { alpha = 1.0, probability = 0.5 } }
head = { name = "linear", normalization = true }
[stage.space]
optimizer = "SGD"
batch_size = 32
learning_rate = 0.1
width_shift = { low = 0.0, high = 0.1 }
height_shift = { low = 0.0, high = 0.1 }
[[stage]]
name = "finalists"
retrain = { stages = "online", top = 1, repeats = 2 }
[[stage]]
name = "folds"
retrain = { stages = "coarse", top = 1, folds = 2 }
"""
STAGES = {"finalists": 2, "folds": 2}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, cache_dir) -> Path:
    """Search the study once, in one go; return the folder of its database, which stays as it is."""
    made = tmp_path_factory.mktemp("undisturbed")
    (made / "aug.toml").write_text(STUDY)
    run_here(made, cache_dir, "search", "./aug.toml", "--quiet")
    return made


def test_the_study_names_every_operation():
    assert all(f"{name} =" in STUDY for name in AUGMENTATIONS.names)


@pytest.mark.exhaustive
@pytest.mark.slow(seconds=40)
def test_resumed_with_two_workers_it_is_the_same_to_the_bit(call, tmp_path, cache_dir, undisturbed):

    (tmp_path / "aug.toml").write_text(STUDY)
    search = Search(tmp_path, cache_dir, "./aug.toml")
    wanted = search.wait_for("views_wanted")
    assert (wanted["augmentations"], wanted["views"], wanted["images"]) == (4, 2, 360)
    while search.wait_for("trial_ended")["stage"] != "online":
        pass
    search.process.send_signal(signal.SIGKILL)
    search.end()
    resumed = call("search", "./aug.toml", "--workers", "2")
    assert 'views = "online": each epoch of each trial runs 360 images' in resumed.stderr

    whole = at(undisturbed / "automl-cv.db")
    left = leaderboard(call)
    right = leaderboard(call, *whole)
    drawn = ["zoom", "horizontal_flip", "mixup", "width_shift", "height_shift"]
    pd.testing.assert_frame_equal(left[EXACT + drawn], right[EXACT + drawn], check_exact=True)
    coarse = left[left["stage"] == "coarse"]
    assert set(coarse["zoom"]) == {0.0, 0.1}
    assert coarse["mixup"].between(0.1, 1.0).all()
    assert coarse["width_shift"].isna().all()
    assert left[left["stage"] == "online"]["width_shift"].nunique() == 2
    assert left[left["stage"] == "online"]["val_accuracy"].min() > 0.8

    for stage, count in STAGES.items():
        repeats = leaderboard(call, "--stage", stage)
        others = leaderboard(call, "--stage", stage, *whole)
        columns = [*(name for name in EXACT if name in repeats), "source", "repeat"]
        assert len(repeats) == count
        pd.testing.assert_frame_equal(repeats[columns], others[columns], check_exact=True)
    again = leaderboard(call, "--stage", "finalists")
    source = left[left["stage"] == "online"].sort_values("rank")
    first = again[again["repeat"] == 0].iloc[0]
    assert first["val_accuracy"] == source.iloc[0]["val_accuracy"], "altered as it was"
    assert first["width_shift"] == source.iloc[0]["width_shift"]


@pytest.mark.exhaustive
@pytest.mark.slow
def test_two_workers_extract_each_view_once_and_never_again(call, tmp_path):
    text = STUDY[: STUDY.index('[[stage]]\nname = "narrowed"')]
    (tmp_path / "aug.toml").write_text(text.replace("trials = 5", "trials = 2"))
    command = ("search", "./aug.toml", "--stage", "coarse", "--workers", "2", "--new")
    for extracted in (1797 + 4 * 2 * 360, 0):
        done = call(*command, "--cache-dir", tmp_path / "cache", "--json-lines")
        happened = [json.loads(line) for line in io.StringIO(done.stdout)]
        ready = [event for event in happened if event["event"] == "features_ready"]
        assert len(ready) == 5, "the images as they are, and four augmentations"
        assert sum(event["extracted"] for event in ready) == extracted


@pytest.mark.exhaustive
@pytest.mark.slow(seconds=30)
def test_a_trial_is_fitted_with_the_augmentation_it_drew(cache_dir, tmp_path, undisturbed):
    for trial in ("coarse/1", "online/0"):
        words = ("fit", "aug", "--trial", trial, "--out", tmp_path / "model")
        done = run_here(undisturbed, cache_dir, *words)
        assert f"fitted {trial} of aug" in done.stderr
