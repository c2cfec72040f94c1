"""A study over folds, from its file to the model: the same for any workers and after a resume."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from automl_cv.store.database import open_storage
from automl_cv.store.labels import read_labels
from automl_cv.store.trials import StageTrials

STUDY = """
extends = "quickstart"
name = "folds"
folds = 3
[data]
split = { train = 0.1, validation = 0.05, test = 0.85 }
[[stage]]
name = "coarse"
trials = 3
epochs = 3
[[stage]]
name = "narrowed"
trials = 1
epochs = 2
"""
N_KNOWN = 269  # train and validation images of 1,797
STAGES = ("exact", "coarse", "narrowed", "combined")

pytestmark = [
    pytest.mark.slow(seconds=20),
    # Keras's `save` copies variables in a way that NumPy 2 deprecates (keras/backend/tensorflow).
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]


def search(call, folder: Path, *options: object) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "folds.toml").write_text(STUDY)
    call("search", "./folds.toml", *options, folder=folder)


def trials(call, folder: Path) -> list[dict[str, Any]]:
    """Return the leaderboard but for the seconds, and every number as it is stored."""
    board = json.loads(call("report", "folds", "--format", "json", folder=folder).stdout)["trials"]
    return [{key: value for key, value in row.items() if key != "seconds"} for row in board]


def said(folder: Path) -> dict[tuple[str, int], np.ndarray]:
    storage = open_storage(f"sqlite:///{folder}/automl-cv.db", create=False)
    return {
        (stage, slot): one.probabilities
        for stage in STAGES
        for slot, one in StageTrials.open(storage, "folds", stage).predictions().items()
    }


@pytest.fixture
def searched(call, tmp_path) -> Path:
    folder = tmp_path / "searched"
    search(call, folder)
    return folder


@pytest.mark.exhaustive
def test_it_is_the_same_for_any_workers_and_after_a_cut(call, searched, tmp_path):
    expected, kept = trials(call, searched), said(searched)
    assert {row["stage"] for row in expected} == set(STAGES)
    assert all(len(one) == N_KNOWN for one in kept.values())
    first = expected[0]
    least = first["val_accuracy"] - 0.02
    assert first["val_loss"] == min(r["val_loss"] for r in expected if r["val_accuracy"] >= least)
    two, parts = tmp_path / "two", tmp_path / "parts"
    search(call, two, "--workers", "2")
    search(call, parts, "--stage", "exact")
    search(call, parts, "--stage", "coarse", "--timeout", "1s")
    search(call, parts)
    for other in (two, parts):
        assert trials(call, other) == expected
        again = said(other)
        assert again.keys() == kept.keys()
        for name, probabilities in kept.items():
            np.testing.assert_array_equal(again[name], probabilities, err_msg=str(name))


@pytest.mark.exhaustive
def test_labels_are_those_of_the_images_that_trials_speak_of(call, searched):
    storage = open_storage(f"sqlite:///{searched}/automl-cv.db", create=False)
    labels, kept = read_labels(storage, "folds").classes, said(searched)
    for row in trials(call, searched):
        own = kept[row["stage"], row["trial"]].argmax(axis=1)
        assert (own == labels).mean() == pytest.approx(row["val_accuracy"], abs=1.5 / N_KNOWN)
    found = call("report", "folds", folder=searched).stdout
    assert f"corrected for having been chosen from {len(trials(call, searched))} trials" in found


def test_more_trials_are_combined_anew(call, searched):
    (before,) = (row for row in trials(call, searched) if row["stage"] == "combined")
    storage = open_storage(f"sqlite:///{searched}/automl-cv.db", create=False)
    (searched / "folds.toml").write_text(STUDY.replace("trials = 3", "trials = 5"))
    call("search", "./folds.toml", folder=searched)
    (after,) = (row for row in trials(call, searched) if row["stage"] == "combined")
    held = StageTrials.open(storage, "folds", "combined")
    assert held.stage_facts.contenders == (after["members"],)
    assert before["members"] in held.stage_facts.finalists


@pytest.mark.exhaustive
def test_winner_reference_and_combination_become_models(call, searched, tmp_path):
    figures = {}
    for name, options in {
        "winner": (),
        "reference": ("--trial", "reference"),
        "combined": ("--trial", "combined/0"),
        "head": ("--trial", "coarse/1", "--calibrate"),
    }.items():
        shutil.rmtree(tmp_path / name, ignore_errors=True)
        call("fit", "folds", "--out", tmp_path / name, *options, folder=searched)
        bundle = json.loads((tmp_path / name / "bundle.json").read_text())
        found = json.loads(call("evaluate", tmp_path / name, "--format", "json").stdout)
        figures[name] = found["metrics"]["accuracy"]["value"], bundle
    accuracy = {name: value for name, (value, _) in figures.items()}
    assert accuracy["winner"] > 0.93
    assert accuracy["combined"] > 0.93
    assert accuracy["reference"] > 0.9
    kinds = [bundle["kind"] for _, bundle in figures.values()]
    assert kinds[1:] == ["exact", "combined", "head"]
    assert figures["reference"][1]["winner"]["parameters"]["exact"] == "logistic"
    assert figures["head"][1]["calibration"]["images"] == N_KNOWN
    for _, bundle in figures.values():
        fitting = bundle["fitting"]
        assert fitting["images"] == N_KNOWN
        assert fitting["accuracy"] >= bundle["winner"]["validation"]["low"] - 0.03
    card = (tmp_path / "combined" / "card.md").read_text()
    assert "whose logits are added with weights" in card
    assert "each by a training that it had no part in" in card
