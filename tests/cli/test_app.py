"""Ctrl-C ends a command wherever it meets it."""

import signal
import sys
import time

import pytest

from automl_cv.cli import app


@pytest.mark.parametrize("number", app.ENDING)
def test_a_signal_is_not_lost_where_python_drops_what_is_raised(number):
    class Ending:
        def __del__(self):
            signal.raise_signal(number)

    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), app._signals_end_as_ctrl_c() as came:
        Ending()
        for _ in range(1000):
            time.sleep(0.01)
    assert came == [number]
    assert signal.getsignal(number) == before


@pytest.mark.slow
def test_what_never_ends_is_broken_off(monkeypatch):
    class Endless:
        def __del__(self):
            signal.raise_signal(signal.SIGINT)
            time.sleep(60)

    dropped = []
    monkeypatch.setattr(sys, "unraisablehook", lambda what: dropped.append(what.exc_type))
    with app._signals_end_as_ctrl_c() as came:
        Endless()
    assert (came, dropped) == ([signal.SIGINT], [KeyboardInterrupt])
