"""A search whose cluster loses a machine and gets another one ends as one of this machine does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import automl_cv
from automl_cv.search import events

STUDY = """
extends = "optimizers"
name = "anywhere"
[[stage]]
name = "coarse"
trials = 8
epochs = 3
[[stage]]
name = "narrowed"
narrow_from = "coarse"
trials = 2
epochs = 3
[[stage]]
name = "finalists"
retrain = { stages = ["coarse", "narrowed"], top = 1, repeats = 2 }
"""


class Machines:
    """A Dask scheduler and workers, each a process as `dask worker` starts it.

    Args:
        folder: for what they write.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = folder / "scheduler.json"
        self.processes = [self._start("scheduler", "--port", "0", "--host", "127.0.0.1")]
        until = time.monotonic() + 120
        while not self._file.exists() or not self._file.read_text():
            assert time.monotonic() < until
            time.sleep(0.1)
        self.address = json.loads(self._file.read_text())["address"]

    def _start(self, *words: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "dask", *words, "--scheduler-file", str(self._file)),
                *("--no-dashboard", "--local-directory", str(self._folder))[
                    : 1 if words[0] == "scheduler" else None
                ],
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self._folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )

    def add(self) -> subprocess.Popen[bytes]:
        self.processes.append(self._start("worker", "--nthreads", "1", "--no-nanny"))
        return self.processes[-1]


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    pytest.importorskip("distributed", reason="the extra cluster is not installed")
    (tmp_path / "dask").mkdir()
    started = Machines(tmp_path / "dask")
    yield started
    for process in started.processes:
        process.kill()
        process.wait()


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_a_search_is_the_same_on_a_cluster_that_loses_a_machine(machines, tmp_path, cache_dir):
    (tmp_path / "anywhere.toml").write_text(STUDY, encoding="utf-8")
    given = {"study": tmp_path / "anywhere.toml", "cache_dir": cache_dir, "quiet": True}
    first = machines.add()
    machines.add()
    ended: list[int] = []

    def listen(event: events.Event) -> None:
        if isinstance(event, events.EpochEnded) and event.trial == 2 and not ended:
            ended.append(event.trial)
            first.kill()
        if isinstance(event, events.TrialStarted) and event.trial == 5 and len(ended) == 1:
            ended.append(event.trial)
            machines.add()

    there = automl_cv.run(
        **given, storage=f"sqlite:///{tmp_path}/there.db", cluster=machines.address, listen=listen
    )
    assert len(ended) == 2
    here = automl_cv.run(**given, storage=f"sqlite:///{tmp_path}/here.db")
    assert there.attrs["shortfalls"] == {}
    kept = [name for name in here.columns if "seconds" not in name]
    assert len(here) == 11
    assert there[kept].equals(here[kept])
