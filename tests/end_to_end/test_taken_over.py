"""A search that sleeps through its time is taken over from elsewhere, and ends as it wakes."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from automl_cv.results.leaderboard import ranked_frame, read_run
from automl_cv.store.claims import STALE_SECONDS, run_holder
from automl_cv.store.database import open_storage
from automl_cv.store.runs import runs
from automl_cv.store.trials import StageTrials
from tests.conftest import environment

STUDY = """
extends = "optimizers"
name = "moved"
[[stage]]
name = "coarse"
trials = 8
epochs = 30
head = { name = "mlp", normalization = true }
"""
"""Heads in Keras: those of one layer would all be trained before anybody has looked."""

# Nobody sees its process: it has the place that is named first. Its database's clock is ahead.
AWAY = """
import sys
from automl_cv.store import claims, database
place, ahead = sys.argv.pop(1), sys.argv.pop(1)
claims.place = lambda: place
database.CLOCKS["sqlite"] += f" + {ahead}"
from automl_cv.cli.app import main
main()
"""


def begun(
    folder: Path, cache_dir: Path, place: str, storage: str, ahead: float = 0.0
) -> subprocess.Popen[str]:
    command = ["search", "./moved.toml", "--workers", "1", "--storage", f"sqlite:///{storage}.db"]
    return subprocess.Popen(
        [sys.executable, "-c", AWAY, place, str(ahead), *command, "--stage", "coarse"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=environment(cache_dir),
    )


def finished(folder: Path) -> int:
    """Return how many trials are finished."""
    if not (folder / "moved.db").exists():
        return 0
    storage = open_storage(f"sqlite:///{folder}/moved.db", create=True)
    stages = [stage for run in runs(storage) for stage in run.stages]
    records = [
        one for stage in stages for one in StageTrials.open(storage, "moved", stage).records()
    ]
    return sum(record.is_done for record in records)


def fence(folder: Path) -> int:
    """Return how often the run was taken."""
    storage = open_storage(f"sqlite:///{folder}/moved.db", create=True)
    holder = run_holder(storage, "moved")
    return 0 if holder is None else holder.fence


def board(folder: Path, storage: str) -> pd.DataFrame:
    frame = ranked_frame(read_run(f"sqlite:///{folder}/{storage}.db", "moved"))
    kept = frame.drop(columns=[name for name in frame if "second" in name or "time" in name])
    return kept.sort_values("trial").reset_index(drop=True)


@pytest.mark.slow(seconds=40)
@pytest.mark.exhaustive
def test_a_search_that_slept_is_taken_over_a_minute_later_and_ends_in_one_line(tmp_path, cache_dir):
    (tmp_path / "moved.toml").write_text(STUDY, encoding="utf-8")
    sleeper = begun(tmp_path, cache_dir, "one", "moved")
    until = time.monotonic() + 200
    while finished(tmp_path) < 2 and time.monotonic() < until:
        time.sleep(0.2)
    sleeper.send_signal(signal.SIGSTOP)
    before = finished(tmp_path)
    assert 2 <= before < 8
    refused = begun(tmp_path, cache_dir, "two", "moved")
    line = refused.communicate(timeout=60)[1].strip()
    assert (refused.returncode, len(line.splitlines())) == (1, 1)
    assert f"moved is being searched by process {sleeper.pid} on " in line
    assert "were it killed" in line

    # One that begins a minute later.
    other = begun(tmp_path, cache_dir, "two", "moved", ahead=STALE_SECONDS)
    while other.poll() is None and fence(tmp_path) == 1:
        time.sleep(0.2)
    assert fence(tmp_path) == 2
    while finished(tmp_path) == before and other.poll() is None:
        time.sleep(0.2)
    sleeper.send_signal(signal.SIGCONT)
    said = sleeper.communicate(timeout=60)[1]
    assert sleeper.returncode == 1
    assert [one for one in said.splitlines() if "error" in one] == [
        "error: another search has taken moved over, as this one was not heard of for 60 s; what "
        "it stored until then is kept, and the other goes on with it"
    ]
    assert "Traceback" not in said
    assert other.wait(300) == 0
    other.stderr.close()
    undisturbed = begun(tmp_path, cache_dir, "two", "undisturbed")
    assert undisturbed.communicate(timeout=300) and undisturbed.returncode == 0
    pd.testing.assert_frame_equal(board(tmp_path, "moved"), board(tmp_path, "undisturbed"))
