"""A run keeps its engine: what it began with, whatever is installed or cached by now."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest

from automl_cv.catalog.engines import ENGINES, TENSORFLOW, EngineEntry
from automl_cv.search import engine_choice
from tests.engine.near_and_far import FAR, NEAR
from tests.in_process import run_here, workers_as_threads

# Keras's `save` copies variables in a way that NumPy 2 deprecates (keras/backend/tensorflow).
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

STUDY = """
name = "engines"
[data]
source = "digits"
[[stage]]
name = "heads"
exact = "lda"
trials = 2
[stage.space]
shrinkage = [0.1, 0.2, 0.3, 0.4]
"""


@contextlib.contextmanager
def chosen(target: str, engine: str):
    """Have "auto" stand for an engine, with `target` behind the entry "other"."""
    other = EngineEntry(name="other", about="", target=target)
    with (
        ENGINES.temporary(other),
        pytest.MonkeyPatch.context() as patch,
        workers_as_threads(),
    ):
        patch.setattr(engine_choice, "suited", lambda *unused: engine)
        yield


def search(place: Path, *options: str) -> tuple[dict, str]:
    """Search; return the event that names the run, and what was told beside the events."""
    (place / "s.toml").write_text(STUDY)
    done = run_here(place, place / "cache", "search", "./s.toml", "--json-lines", *options)
    events = map(json.loads, done.stdout.splitlines())
    return next(one for one in events if one["event"] == "run_chosen"), done.stderr


def recipes(place: Path) -> set[str]:
    listed = run_here(place, place / "cache", "cache", "--format", "json").stdout
    found = (row["recipe"] for row in json.loads(listed)["entries"])
    return {one.get("engine", TENSORFLOW) for one in found if one is not None}


@pytest.mark.exhaustive
def test_a_run_goes_on_with_its_engine(tmp_path):
    """Though the cache was removed and another engine would be taken by now."""
    with chosen(NEAR, "other"):
        search(tmp_path)
        run_here(tmp_path, tmp_path / "cache", "cache", "--clear")
    with chosen(NEAR, TENSORFLOW):
        run, _ = search(tmp_path, "--trials", "4")
        assert (run["run"], run["study"]["backbone"]["engine"]) == ("engines", "other")
        assert recipes(tmp_path) == {"other"}
        run_here(tmp_path, tmp_path / "cache", "fit", "engines", "--out", "model")
    card = (tmp_path / "model" / "card.md").read_text()
    assert "The features that it was trained on were made by other." in card


@pytest.mark.exhaustive
@pytest.mark.filterwarnings("always:the features of compact")
def test_an_engine_that_is_far_off_is_told_of_once(tmp_path):
    with chosen(FAR, "other"):
        _, told = search(tmp_path, "--trials", "1")
        _, again = search(tmp_path)
    line = (
        "the features of compact are made by TensorFlow, in float32: other gives other features "
        "than TensorFlow, by up to 1 of the largest (at most 0.0001 is rounding)"
    )
    assert told.count(line) == 1
    assert line not in again
    assert recipes(tmp_path) == {TENSORFLOW}
