"""The notebook of the docs, cell by cell, in this process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import automl_cv
from automl_cv.errors import UserError
from automl_cv.search import events

NOTEBOOK = Path(__file__).parents[2] / "docs" / "notebook.ipynb"

# Keras's `save` copies variables in a way that NumPy 2 deprecates (keras/backend/tensorflow).
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture
def here(tmp_path, cache_dir, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AUTOML_CV_CACHE_DIR", str(cache_dir))


@pytest.mark.exhaustive
@pytest.mark.slow
def test_every_cell_runs(here):
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    names: dict[str, Any] = {}
    for cell in code:
        exec(compile(cell, str(NOTEBOOK), "exec"), names)
    board, model = names["board"], names["model"]
    assert board.attrs["run"] == "quickstart" and board.attrs["shortfalls"] == {}
    assert board["rank"][0] == 1
    assert model.best_params_["stage"] in set(model.leaderboard_["stage"])

    told: list[object] = []
    again = automl_cv.run("quickstart", trials=2, quiet=True, listen=told.append)
    assert again.equals(board), "all is done already"
    assert not [one for one in told if isinstance(one, events.TrialStarted)]


def test_mistakes_are_lines(here):
    with pytest.raises(UserError, match="did you mean"):
        automl_cv.run("quickstat")
    with pytest.raises(UserError, match="exclude each other"):
        automl_cv.run("quickstart", trials=1, preset="quick")
