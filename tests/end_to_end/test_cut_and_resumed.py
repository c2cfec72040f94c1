"""A search that the time cut has a winner, and ends as an undisturbed one once it is resumed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from automl_cv.results.leaderboard import RunTrials, ranked_frame, read_run
from automl_cv.search import budget, events, session
from automl_cv.search.session import SearchOptions, SearchOutcome
from automl_cv.study import library, studyfile

STUDY = """
extends = "optimizers"
name = "cut"
[[stage]]
name = "coarse"
trials = 8
epochs = 4
[[stage]]
name = "narrowed"
narrow_from = "coarse"
trials = 4
epochs = 4
[[stage]]
name = "finalists"
retrain = { stages = ["coarse", "narrowed"], top = 2, repeats = 2 }
[[stage]]
name = "again"
retrain = { stages = "finalists", top = 1, repeats = 2 }
schedule = "cosine"
"""

# What two searches must have in common, to the bit; numbers of slots may differ.
SEARCHED = [
    "optimizer", "batch_size", "learning_rate", "momentum", "epochs", "best_epoch", "accuracy",
    "val_accuracy", "loss", "val_loss", "stop_reason",
]  # fmt: skip

Search = Callable[..., tuple[SearchOutcome, list[events.Event]]]


@pytest.fixture
def search(tmp_path: Path, cache_dir: Path) -> Search:
    """Return a function that runs the study, or a part of it."""
    (tmp_path / "cut.toml").write_text(STUDY)
    study = library.load(str(tmp_path / "cut.toml"))

    def run(
        storage: str,
        trials: int | None = None,
        stage: str | None = None,
        timeout: float | None = None,
    ) -> tuple[SearchOutcome, list[events.Event]]:
        told: list[events.Event] = []
        options = SearchOptions(address(tmp_path, storage), cache_dir, stage, timeout)
        chosen = studyfile.overridden(study, trials=trials)
        return session.search(chosen, options, told.append), told

    return run


def address(folder: Path, storage: str) -> str:
    return f"sqlite:///{folder / storage}.db"


def read(folder: Path, storage: str, stage: str | None = None) -> RunTrials:
    return read_run(address(folder, storage), "cut", stage)


def results(folder: Path, storage: str, stage: str) -> pd.DataFrame:
    frame = ranked_frame(read(folder, storage, stage))
    keys = ["source", "repeat"] if "source" in frame else ["trial"]
    columns = [*keys, *(name for name in SEARCHED if name in frame)]
    return frame[columns].sort_values(keys).reset_index(drop=True)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_cut_search_has_a_winner_and_a_resume_ends_as_an_undisturbed_one(
    search, tmp_path, monkeypatch
):
    search("cut", trials=3, stage="coarse")
    with monkeypatch.context() as stopped:
        # A clock that stands still: what finalists need is more than what is left, and never
        # used up, however fast this machine is.
        stopped.setattr(budget, "time", SimpleNamespace(monotonic=lambda: 0.0))
        outcome, told = search("cut", timeout=0.001)
    assert outcome.shortfalls == {
        "coarse": "3 of 8 trials (the time ended)",
        "narrowed": "not begun (the time ended)",
    }
    assert [event.stage for event in told if isinstance(event, events.StageWaits)] == ["narrowed"]
    cut = read(tmp_path, "cut")
    assert "stage coarse: 3 of 8 trials (the time ended)" in cut.facts.notes
    assert "stage narrowed: not begun (the time ended)" in cut.facts.notes
    first = cut.facts.contenders
    assert all(name.startswith("coarse/") for name in first["finalists"])
    assert len(results(tmp_path, "cut", "finalists")) == 4
    assert len(results(tmp_path, "cut", "again")) == 2, "there is a winner, trained again"

    outcome, told = search("cut")
    assert outcome.shortfalls == {}
    search("undisturbed")
    resumed, undisturbed = (read(tmp_path, name) for name in ("cut", "undisturbed"))
    assert resumed.facts.contenders == undisturbed.facts.contenders
    assert resumed.facts.narrowed == undisturbed.facts.narrowed
    for stage in ("coarse", "narrowed", "finalists", "again"):
        pd.testing.assert_frame_equal(
            results(tmp_path, "cut", stage),
            results(tmp_path, "undisturbed", stage),
            check_exact=True,
        )
    # Slots never move: those of the cut search stand first, and what is outdone is told.
    held = resumed.facts.finalists["finalists"]
    assert held[:2] == first["finalists"]
    outdone = set(held) - set(resumed.facts.contenders["finalists"])
    assert outdone, "the test needs a study whose first trials are not its best"
    (line,) = [line for line in resumed.facts.notes if line.startswith("stage finalists: ")]
    assert all(name in line for name in outdone)
    assert not any("the time ended" in line for line in resumed.facts.notes)

    again, told = search("cut")
    assert again.shortfalls == {}
    assert not any(isinstance(event, events.FeaturesReady) for event in told), "nothing to do"


@pytest.mark.exhaustive
@pytest.mark.slow
def test_time_that_ends_at_once_still_gives_an_epoch_to_look_at(search, tmp_path):
    outcome, _ = search("cut", timeout=1e-9)
    assert outcome.shortfalls["coarse"] == "0 of 8 trials (the time ended)"
    assert outcome.shortfalls["finalists"] == "not begun (the time ended)"
    (trial,) = read(tmp_path, "cut").unranked
    assert trial.state == "interrupted"
    assert trial.value is not None
    assert search("cut", trials=1, stage="coarse")[0].shortfalls == {}
    resumed = read(tmp_path, "cut", "coarse")
    assert [(one.trial, len(one.history.epochs)) for one in resumed.ranked] == [(0, 4)]
    assert resumed.unranked == ()
