"""Every operation of the table, from a study file through the installed command, on digits."""

from __future__ import annotations

import io
import json
import signal

import pandas as pd

from automl_cv.catalog.augmentations import AUGMENTATIONS
from tests.test_end_to_end import EXACT, Search, leaderboard

STUDY = """
extends = "quickstart"
name = "aug"
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


def test_the_study_names_every_operation():
    assert all(f"{name} =" in STUDY for name in AUGMENTATIONS.names)


def test_resumed_with_two_workers_it_is_the_same_to_the_bit(run, tmp_path, cache_dir):
    (tmp_path / "aug.toml").write_text(STUDY)
    search = Search(tmp_path, cache_dir, "./aug.toml")
    wanted = search.wait_for("views_wanted")
    assert (wanted["augmentations"], wanted["views"], wanted["images"]) == (4, 2, 1078)
    assert search.wait_for("features_ready")["extracted"] == 2 * 1078
    while search.wait_for("trial_ended")["stage"] != "online":
        pass
    search.process.send_signal(signal.SIGKILL)
    search.end()
    resumed = run("search", "./aug.toml", "--workers", "2")
    assert 'views = "online": each epoch of each trial runs 1,078 images' in resumed.stderr
    undisturbed = run("search", "./aug.toml", "--storage", "sqlite:///undisturbed.db", "--quiet")
    assert undisturbed.returncode == 0

    left = leaderboard(run)
    right = leaderboard(run, "--storage", "sqlite:///undisturbed.db")
    drawn = ["zoom", "horizontal_flip", "mixup", "width_shift", "height_shift"]
    pd.testing.assert_frame_equal(left[EXACT + drawn], right[EXACT + drawn], check_exact=True)
    coarse = left[left["stage"] == "coarse"]
    assert set(coarse["zoom"]) == {0.0, 0.1}
    assert coarse["mixup"].between(0.1, 1.0).all()
    assert coarse["width_shift"].isna().all()
    assert left[left["stage"] == "online"]["width_shift"].nunique() == 2
    assert left[left["stage"] == "online"]["val_accuracy"].min() > 0.9

    for stage, count in STAGES.items():
        repeats = leaderboard(run, "--stage", stage)
        others = leaderboard(run, "--stage", stage, "--storage", "sqlite:///undisturbed.db")
        columns = [*(name for name in EXACT if name in repeats), "source", "repeat"]
        assert len(repeats) == count
        pd.testing.assert_frame_equal(repeats[columns], others[columns], check_exact=True)
    again = leaderboard(run, "--stage", "finalists")
    source = left[left["stage"] == "online"].sort_values("val_accuracy", ascending=False)
    first = again[again["repeat"] == 0].iloc[0]
    assert first["val_accuracy"] == source.iloc[0]["val_accuracy"], "altered as it was"
    assert first["width_shift"] == source.iloc[0]["width_shift"]


def test_two_workers_extract_each_view_once_and_never_again(run, tmp_path):
    text = STUDY[: STUDY.index('[[stage]]\nname = "narrowed"')]
    (tmp_path / "aug.toml").write_text(text.replace("trials = 5", "trials = 2"))
    command = ("search", "./aug.toml", "--stage", "coarse", "--workers", "2", "--new")
    for extracted in (1797 + 4 * 2 * 1078, 0):
        done = run(*command, "--cache-dir", str(tmp_path / "cache"), "--json-lines")
        happened = [json.loads(line) for line in io.StringIO(done.stdout)]
        ready = [event for event in happened if event["event"] == "features_ready"]
        assert len(ready) == 5, "the images as they are, and four augmentations"
        assert sum(event["extracted"] for event in ready) == extracted


def test_a_trial_is_fitted_with_the_augmentation_it_drew(run, tmp_path):
    text = STUDY[: STUDY.index('[[stage]]\nname = "finalists"')].replace("trials = 5", "trials = 2")
    (tmp_path / "aug.toml").write_text(text)
    run("search", "./aug.toml", "--quiet")
    for trial in ("coarse/1", "online/0"):
        done = run("fit", "aug", "--trial", trial, "--out", "model")
        assert f"fitted {trial} of aug" in done.stdout + done.stderr
