"""A stage that fine-tunes, from a study file to the report, through the installed command."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from automl_cv.results.leaderboard import ranked_frame, read_run
from tests.end_to_end.test_search import EXACT, Search

pytestmark = pytest.mark.slow


STUDY = """
extends = "optimizers"
name = "tuning"

[data]
split = { train = 0.2, validation = 0.1, test = 0.7 }
[[stage]]
name = "coarse"
trials = 3
epochs = 12
[[stage]]
name = "narrowed"
trials = 1
epochs = 1
[[stage]]
name = "finalists"
retrain = { stages = "coarse", repeats = 2 }
[[stage]]
name = "untouched"
retrain = { stages = "coarse", repeats = 2 }
fine_tune = { blocks = 2, rate_factor = 1e-12 }
epochs = 1
[[stage]]
name = "tuned"
retrain = { stages = "coarse", repeats = 2 }
fine_tune = { blocks = 1 }
epochs = 4
pruner = "none"
[[stage]]
name = "altered"
retrain = { stages = "finalists", repeats = 1 }
fine_tune = { blocks = 1, rate_factor = 0.05 }
augmentation = { width_shift = 0.1, zoom = 0.1 }
views = 2
epochs = 2
"""

KILLED_AT = 3


def results(path: Path, stage: str) -> pd.DataFrame:
    frame = ranked_frame(read_run(f"sqlite:///{path}", "tuning", stage))
    return frame.sort_values("trial").reset_index(drop=True)[EXACT]


@pytest.fixture
def study(tmp_path: Path) -> str:
    (tmp_path / "tuning.toml").write_text(STUDY)
    return "./tuning.toml"


@pytest.mark.exhaustive
@pytest.mark.slow(seconds=90)
def test_killed_while_it_fine_tunes_it_ends_with_the_same_numbers(call, study, tmp_path, cache_dir):
    call("search", study, "--storage", "sqlite:///whole.db", "--workers", "2")
    stages = ("finalists", "untouched", "tuned", "altered")
    whole = {stage: results(tmp_path / "whole.db", stage) for stage in stages}
    with Search(tmp_path, cache_dir, study) as search:
        seen = {}
        for line in search.process.stdout:
            event = json.loads(line)
            if event["event"] == "epoch_ended" and event["stage"] == "tuned":
                seen[event["epoch"]["epoch"]] = event["epoch"]
                if len(seen) == KILLED_AT:
                    break
    assert len(list((cache_dir / "checkpoints").iterdir())) == 1
    listed = json.loads(call("cache", "--format", "json").stdout)
    assert "checkpoints" in {entry["kind"] for entry in listed["entries"]}
    with Search(tmp_path, cache_dir, study) as search:
        again = {}
        extracted = []
        for line in search.process.stdout:
            event = json.loads(line)
            if event["event"] == "features_ready":
                extracted.append(event["extracted"])
            if event["event"] == "epoch_ended" and event["stage"] == "tuned":
                again.setdefault(event["epoch"]["epoch"], event["epoch"])
        assert search.end() == 0, search.errors
    # Seconds too: these epochs were not trained again.
    assert {number: again[number] for number in seen} == seen
    assert not any(extracted)
    assert not list((cache_dir / "checkpoints").iterdir())
    for stage in stages:
        resumed = results(tmp_path / "automl-cv.db", stage)
        pd.testing.assert_frame_equal(resumed, whole[stage], check_exact=True)

    # Before fine-tuning changes anything, there is the head of the same seed.
    finalists, untouched = whole["finalists"], whole["untouched"]
    assert list(untouched["val_accuracy"]) == list(finalists["val_accuracy"])
    assert list(untouched["val_loss"]) == pytest.approx(list(finalists["val_loss"]), rel=1e-3)
    assert seen[KILLED_AT]["loss"] < seen[1]["loss"]
    pairs = json.loads(call("report", "tuning", "--compare", "--format", "json").stdout)
    found = {(pair["stage"], pair["against_stage"]) for pair in pairs["comparisons"]}
    assert ("tuned", "finalists") in found


def test_more_blocks_than_the_backbone_has_is_told(study, tmp_path, call):
    path = tmp_path / "tuning.toml"
    path.write_text(path.read_text().replace("blocks = 2", "blocks = 5"))
    done = call("search", study, check=False)
    assert done.returncode == 2
    assert "fine_tune.blocks: compact has 4 blocks, can't train the last 5" in done.stderr
