"""Networks from scratch through the installed command: trained, killed, gone on with."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pandas as pd
import pytest

from tests.end_to_end.test_search import EXACT, Search, leaderboard

pytestmark = pytest.mark.slow(seconds=80)


STUDY = """
extends = "optimizers"
name = "net"
[data]
split = { train = 0.12, validation = 0.1, test = 0.78 }
[[stage]]
name = "coarse"
head = { name = "mlp", width = 16 }
trials = 2
epochs = 2
[stage.space]
width = [16, 32]
dropout = [0.1, 0.2]
[[stage]]
name = "narrowed"
trials = 1
epochs = 1
[[stage]]
name = "scratch"
network = { name = "ResNet10", stem = "small", width = 0.25, stochastic_depth = 0.2 }
retrain = { stages = "coarse", top = 1, repeats = 1 }
epochs = 3
pruner = "none"
schedule = "cosine"
augmentation = { zoom = 0.1, cutmix = true, mixup = true }
[[stage]]
name = "architectures"
trials = 2
epochs = 1
network = { name = "ResNet10", stem = "small" }
[stage.space]
optimizer = "SGD"
batch_size = 64
learning_rate = { low = 0.01, high = 0.1 }
momentum = 0.9
network = ["ResNet10"]
block = ["original", "full_preactivation"]
width = [0.25]
"""


@pytest.fixture
def study(tmp_path: Path) -> str:
    (tmp_path / "net.toml").write_text(STUDY)
    return "./net.toml"


def scratch_epoch(search: Search) -> dict:
    """Return the next epoch of the stage that trains from scratch."""
    while True:
        event = search.wait_for("epoch_ended")
        if event["stage"] == "scratch":
            return event["epoch"]


def everything(call, *arguments: str) -> pd.DataFrame:
    stages = ("coarse", "scratch", "architectures")
    return pd.concat([leaderboard(call, "--stage", name, *arguments)[EXACT] for name in stages])


@pytest.mark.exhaustive
def test_a_killed_network_goes_on_from_its_last_epoch(study, call, tmp_path, cache_dir):
    search = Search(tmp_path, cache_dir, study)
    before = [scratch_epoch(search), scratch_epoch(search)]
    search.process.send_signal(signal.SIGKILL)
    search.end()
    assert list((cache_dir / "checkpoints").iterdir())

    resumed = Search(tmp_path, cache_dir, study)
    # What the checkpoint holds is told again, with the seconds that it took then.
    assert scratch_epoch(resumed) == before[0]
    assert resumed.end() == 0, resumed.errors
    assert not list((cache_dir / "checkpoints").iterdir())

    call("search", study, "--workers", "2", "--storage", "sqlite:///undisturbed.db")
    left, right = everything(call), everything(call, "--storage", "sqlite:///undisturbed.db")
    assert len(left) == 5
    pd.testing.assert_frame_equal(left, right, check_exact=True)

    check_parameters(call)


def check_parameters(call) -> None:
    found = json.loads(call("report", "--stage", "scratch", "--format", "json").stdout)
    for trial in found["trials"]:
        assert trial["model"] == "ResNet10"
        # The head's width and dropout are not the network's.
        assert trial.get("width") is None
        assert trial.get("dropout") is None
        assert trial["epochs"] == 3
    searched = json.loads(call("report", "--stage", "architectures", "--format", "json").stdout)
    assert {trial["width"] for trial in searched["trials"]} == {0.25}
    assert "network" not in searched["trials"][0]
