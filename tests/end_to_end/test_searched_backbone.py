"""Backbone, image size and feature set as parameters, through the installed command."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.slow


STUDY = """
extends = "optimizers"
name = "sizes"
[[stage]]
name = "coarse"
trials = 8
epochs = 3
[stage.space]
optimizer = ["SGD", "RMSprop"]
learning_rate = 0.1
backbone = ["compact"]
image_size = [24, 32]
features = ["last", "all"]
[[stage]]
name = "narrowed"
narrow_from = { stage = "coarse", top = 1 }
trials = 1
epochs = 3
[[stage]]
name = "finalists"
retrain = { stages = "coarse", top = 2, repeats = 1 }
"""


@pytest.mark.exhaustive
def test_each_trial_learns_from_the_features_it_drew(call, tmp_path):
    (tmp_path / "sizes.toml").write_text(STUDY)
    done = call("search", "./sizes.toml")
    for line in (
        "features of compact, 24 pixels, last block: 1,797 images in",
        "features of compact, 24 pixels, all blocks: all cached, 360 numbers an image",
        "features of compact, 32 pixels, last block: all cached, 192 numbers an image",
    ):
        assert done.stderr.count(line) == 1, done.stderr
    trials = json.loads(call("report", "--format", "json").stdout)["trials"]
    assert {trial["model"] for trial in trials} == {"compact"}
    assert "backbone" not in trials[0]
    coarse = {trial["trial"]: trial for trial in trials if trial["stage"] == "coarse"}
    assert len({(trial["image_size"], trial["features"]) for trial in coarse.values()}) >= 3
    (narrowed,) = [trial for trial in trials if trial["stage"] == "narrowed"]
    best = next(iter(coarse.values()))
    assert (narrowed["image_size"], narrowed["features"]) == (
        best["image_size"],
        best["features"],
    )
    again = json.loads(call("report", "--stage", "finalists", "--format", "json").stdout)
    for trial in again["trials"]:
        source = coarse[int(trial["source"].removeprefix("coarse/"))]
        # The same seed and the same features give the same figures.
        assert trial["val_loss"] == source["val_loss"]
        assert trial["image_size"] == source["image_size"]

    other = call(
        "search", "./sizes.toml", "--workers", "2", "--storage", "sqlite:///two.db", "--quiet"
    )
    assert other.returncode == 0
    with_two = json.loads(
        call("report", "--format", "json", "--storage", "sqlite:///two.db").stdout
    )["trials"]
    assert [one["val_loss"] for one in with_two] == [one["val_loss"] for one in trials]
