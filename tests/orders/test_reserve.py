"""A process that is held in reserve is the first worker's, and ends where nobody takes it."""

from __future__ import annotations

import pytest

from automl_cv.errors import AutomlError
from automl_cv.orders import crew
from automl_cv.orders.messages import Load


class Started:
    """Stands for a process and its connection."""

    def __init__(self, loads):
        self.loads, self.connection, self.popen = list(loads), self, None
        self.sent, self.has_ended = [], False

    def send(self, message):
        self.sent.append(message)

    def end(self):
        self.has_ended = True


@pytest.fixture
def started(monkeypatch):
    processes = []

    def start(loads):
        processes.append(Started(loads))
        return processes[-1]

    monkeypatch.setattr(crew._Started, "process", start)
    return processes


def test_the_first_worker_takes_it_and_tells_it_what_to_load(started):
    with crew.one_in_reserve([crew.SOLVING]):
        assert [one.loads for one in started] == [[crew.SOLVING]]
        with crew.Crew(2, loads=lambda number: [f"module{number}"]):
            assert [one.loads for one in started] == [[crew.SOLVING], ["module1"]]
            assert [one.sent for one in started] == [[Load(("module0",))], []]
        assert all(one.has_ended for one in started)
    with crew.Crew(1):
        assert started[2].loads == [crew.ENGINE], "there is none in reserve any more"


def test_it_ends_where_nobody_took_it(started):
    with pytest.raises(AutomlError), crew.one_in_reserve([crew.SOLVING]):
        raise AutomlError("the study is wrong")
    assert [one.has_ended for one in started] == [True]


@pytest.mark.slow
def test_what_it_is_told_is_loaded_before_it_serves():
    with crew.one_in_reserve([crew.SOLVING]):
        worker = crew.Worker(0, loads=["there_is_no_such_module"])
    assert "No module named 'there_is_no_such_module'" in worker.receive().reason
    worker.close()
