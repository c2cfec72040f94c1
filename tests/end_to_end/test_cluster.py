"""A search whose cluster loses a machine and gets another one ends as one of this machine does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import automl_cv
from automl_cv.search import events
from tests.machines import Machines

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


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    pytest.importorskip("distributed", reason="the extra cluster is not installed")
    (tmp_path / "dask").mkdir()
    started = Machines(tmp_path / "dask")
    yield started
    started.close()


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
