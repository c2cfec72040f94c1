"""A forked worker is to tests what a process of its own is: its numbers, its end, its log."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from automl_cv.data import dataset
from automl_cv.history import Epoch
from automl_cv.loading import NEEDLESS
from automl_cv.orders import crew
from automl_cv.orders.crew import Worker
from automl_cv.orders.images import images_of
from automl_cv.orders.messages import Failed, Prepare, Prepared, Survey, Train, Trained, Verdict
from automl_cv.study import library
from automl_cv.study.trial import plan
from tests.forked import Forked

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux"),
]

PARAMETERS = {"optimizer": "SGD", "batch_size": 64, "learning_rate": 0.1, "momentum": 0.5}


@pytest.fixture
def worker():
    made = Worker(0)
    if not isinstance(made._process, Forked):
        pytest.skip("a process that holds a GPU is not forked")
    yield made
    made.close()


def test_its_end_is_told_as_of_any_process(worker):
    first = worker._process.pid
    os.kill(first, signal.SIGKILL)
    killed = worker.receive()
    assert isinstance(killed, Failed)
    assert killed.reason == "the worker process was killed, most likely for want of memory"
    assert worker._process.pid != first

    os.kill(worker._process.pid, signal.SIGTERM)
    assert worker.receive().reason == "the worker process ended with signal 15"

    worker.connection.send_bytes(b"no order")
    said = worker.receive().reason
    assert said.startswith("the worker process ended with exit code 1: _pickle.UnpicklingError")

    worker.connection.close()
    assert worker._process.wait() == 0, "the search hung up"


def test_it_is_where_the_test_is(monkeypatch, tmp_path, worker):
    monkeypatch.chdir(tmp_path)
    worker.replace()
    worker.send(Survey())
    assert "_materials" in worker.receive().reason, "nothing was prepared, but it answers"
    assert Path(f"/proc/{worker._process.pid}/cwd").resolve() == tmp_path.resolve()


def test_what_libraries_read_when_they_load_is_read_by_a_process_of_its_own(
    monkeypatch, tmp_path, worker
):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    worker.replace()
    assert isinstance(worker._process, subprocess.Popen)


@pytest.mark.exhaustive
def test_it_trains_to_the_numbers_of_a_process_of_its_own(worker, cache_dir, monkeypatch):
    study = library.load("quickstart")
    stage = study.stages[0]
    images = dataset.load("digits", split=study.data.split, seed=study.seed, cache_dir=cache_dir)
    order = Prepare(images_of(images), study.backbone, cache_dir, study.seed, study.metric)
    trial = plan(study, stage, 0, PARAMETERS, seed=3)
    forked = trained(worker, order, Train(trial))
    monkeypatch.setattr(crew, "subprocess", subprocess)
    fresh = Worker(1)
    try:
        assert isinstance(fresh._process, subprocess.Popen)
        assert trained(fresh, order, Train(trial)) == forked
        mapped = Path(f"/proc/{fresh._process.pid}/maps").read_text()
        assert "/tensorflow/" in mapped
        assert not [name for name in NEEDLESS if f"/{name}/" in mapped]
    finally:
        fresh.close()


def trained(worker: Worker, *orders: Prepare | Train) -> list[Epoch]:
    """Carry out orders; return the last one's epochs, without the seconds that they took."""
    for order in orders:
        worker.send(order)
        while not isinstance(answer := worker.receive(), Prepared | Trained):
            assert not isinstance(answer, Failed), answer.traceback
            if isinstance(answer, Epoch):
                worker.send(Verdict(None))
    return [replace(epoch, seconds=0.0) for epoch in answer.history.epochs]
