"""A worker waits where it has to ask, and nowhere else; that the time ended it hears anywhere."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, Pipe
from types import SimpleNamespace

import pytest

from automl_cv.history import Epoch, History
from automl_cv.orders.messages import Failed, Look, Train, Trained, Verdict
from tests.later import later
from tests.orders.scripted import epochs_of

with later():
    from automl_cv.worker.process import _Worker

TRIAL = SimpleNamespace(stage=None)


@pytest.fixture
def connection() -> Iterator[Connection]:
    """Return a connection to a worker whose trials take a hundred thousand epochs."""

    def train(trial: object, ask: Callable[[Epoch], object], checkpoint: None) -> SimpleNamespace:
        (epoch,) = epochs_of(0, 1)
        for number in range(1, 100_000):
            stop = ask(Epoch(number, *list(vars(epoch).values())[1:]))
            if stop is not None:
                return SimpleNamespace(
                    history=History((), stop), optimizer_config={}, probabilities=None
                )
        raise AssertionError("nobody ended it")

    ours, theirs = Pipe()
    worker = _Worker(theirs)
    worker._materials = SimpleNamespace(kind=lambda stage: SimpleNamespace(train=train))

    def serve() -> None:
        with theirs, pytest.raises(EOFError):
            worker.serve()

    thread = threading.Thread(target=serve)
    thread.start()
    yield ours
    ours.close()
    thread.join()


def test_epochs_before_the_next_ask_do_not_wait(connection):
    connection.send(Train(TRIAL, next_ask=3))
    assert [connection.recv().epoch for _ in range(3)] == [1, 2, 3]
    assert not connection.poll(0.05)
    connection.send(Verdict(None, next_ask=5))
    assert [connection.recv().epoch for _ in range(2)] == [4, 5]
    assert not connection.poll(0.05)
    connection.send(Verdict(None))
    assert connection.recv().epoch == 6
    connection.send(Verdict("plateau", next_ask=9))
    assert connection.recv() == Trained(History((), "plateau"), {})


def test_one_that_asks_nothing_hears_that_the_time_ended(connection):
    connection.send(Train(TRIAL, next_ask=sys.maxsize))
    assert connection.recv().epoch == 1
    connection.send(Verdict(None, is_cut=True))
    connection.send(Verdict(None, is_cut=True))  # a second finds the trial ended
    while isinstance(answer := connection.recv(), Epoch):
        pass
    assert isinstance(answer, Failed) and answer.reason == "the time ended"
    connection.send(Look(None))
    assert isinstance(connection.recv(), Failed), "it carries out what comes next"
