"""Off a terminal a command says a line a minute, and one at the end of a thing."""

from __future__ import annotations

import pytest

from automl_cv.history import Epoch
from automl_cv.orders.messages import Extracting
from automl_cv.screen import progress as module
from automl_cv.screen.search_views import PlainLines
from automl_cv.search import events


@pytest.fixture
def clock(monkeypatch):
    """Return a list whose last item is the time that tickers see."""
    times = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: times[-1])
    return times


def test_a_line_a_minute_and_one_at_the_end(clock, capsys):
    with module.progress(quiet=False) as tell:
        for second in range(0, 151, 10):
            clock.append(float(second))
            tell("extracting features", second, 150)
        tell("loading TensorFlow", 0, 0)
    assert capsys.readouterr().err.splitlines() == [
        "extracting features: 60 of 150",
        "extracting features: 120 of 150",
        "extracting features: 150",
    ]


def test_a_search_says_how_far_it_is_with_what_takes_minutes(clock, capsys):
    lines = PlainLines()
    for event, line in (
        (events.Inspecting(500, 70000, "writing built-in images"), "writing built-in images: 500"),
        (Extracting(1200, 1800, 10.0), "extracting features: 1,200 of 1,800, 10 images/s, 1:00"),
        (
            events.EpochEnded("scratch", 3, Epoch(7, 0.5, 0.75, 1.0, 0.5, 0.1, 9.0), 50),
            "scratch: trial 3: epoch 7 of 50, val accuracy 0.7500",
        ),
    ):
        lines(event)
        assert capsys.readouterr().err == ""
        clock.append(clock[-1] + 61)
        lines(event)
        assert capsys.readouterr().err.startswith(line)
    lines(events.Surveying())
    assert capsys.readouterr().err == "fitting the reference …\n"
