"""A cell of a notebook shows one line with a bar, drawn over, and nothing else."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from automl_cv.history import Epoch, History
from automl_cv.screen import notebook
from automl_cv.screen.notebook import CellSearch
from automl_cv.search import events


def test_a_line_is_drawn_over(monkeypatch):
    pytest.importorskip("IPython", reason="a notebook needs IPython")
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output

    shell = InteractiveShell.instance()
    try:
        with capture_output() as captured:
            show = CellSearch()
            show(events.Inspecting(3, 40, "inspecting images"))
            show(events.StageStarted("coarse", 4, 0, {}, "accuracy"))
            epoch = Epoch(1, 0.9, 0.875, 0.2, 0.3, 0.1, 0.01)
            show(events.TrialEnded("coarse", 0, {}, History((epoch,), "epochs"), 1))
        first, *others = [one.data["text/html"] for one in captured.outputs]
        assert "inspecting images" in first and 'value="3"' in first and "3 of 40" in first
        assert [one.update for one in captured.outputs] == [False, True, True]
        assert others[-1].startswith("stage coarse <progress") and "0.8750" in others[-1]
        assert captured.stdout == captured.stderr == ""
    finally:
        shell.clear_instance()


def test_a_kernel_is_told_from_a_shell(monkeypatch):
    assert not notebook.is_notebook()
    for shell, expected in ((None, False), (SimpleNamespace(), False)):
        monkeypatch.setitem(
            sys.modules, "IPython", SimpleNamespace(get_ipython=lambda shell=shell: shell)
        )
        assert notebook.is_notebook() is expected
    kernel = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: kernel))
    assert notebook.is_notebook()
