"""Heads of one layer on cached features are searched where TensorFlow can't be loaded at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from automl_cv.worker.versions import versions
from tests.conftest import CONSOLE_SCRIPT, checked, environment
from tests.later import later

with later():
    from automl_cv.engine import runtime

STUDY = """
name = "solved"
validation = "folds"
folds = 2
[data]
source = "digits"
split = { train = 0.1, validation = 0.05, test = 0.85 }
[backbone]
name = "compact"
features = "all"
[[stage]]
name = "exact"
exact = "logistic"
trials = 2
[stage.space]
exact = ["logistic", "lda"]
[[stage]]
name = "coarse"
trials = 2
epochs = 2
head = { name = "linear", normalization = true }
schedule = "cosine"
[stage.space]
optimizer = ["SGD", "Adam"]
batch_size = 32
learning_rate = { low = 1e-3, high = 1e-1, log = true }
weight_decay = 1e-4
[[stage]]
name = "narrowed"
trials = 1
epochs = 2
head = { name = "linear", normalization = true }
narrow_from = { stage = "coarse", top = 2 }
[[stage]]
name = "combined"
combine = { stages = ["exact", "narrowed"], top = 2 }
"""


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_second_search_needs_no_tensorflow(call, tmp_path, cache_dir):
    (tmp_path / "solved.toml").write_text(STUDY)
    call("search", "./solved.toml", "--storage", "sqlite:///first.db")
    absent = tmp_path / "absent"
    for package in ("tensorflow", "keras"):
        (absent / package).mkdir(parents=True)
        (absent / package / "__init__.py").write_text("raise ImportError('not to be loaded')")
    path = os.pathsep.join([str(absent), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    checked(
        subprocess.run(
            [CONSOLE_SCRIPT, "search", "./solved.toml", "--storage", "sqlite:///second.db"],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**environment(cache_dir), "PYTHONPATH": path},
            check=False,
        )
    )
    first, second = (board(call, tmp_path, name) for name in ("first", "second"))
    assert len(first["trials"]) == 6
    assert second == first


TIMES = ("seconds", "created", "started", "written")


def board(call, folder: Path, name: str) -> dict:
    """Return what a report says, but for the times."""
    told = call("report", "--storage", f"sqlite:///{name}.db", "--format", "json", folder=folder)
    text = told.stdout.replace(f"{name}.db", "one.db")
    return json.loads(text, object_hook=timeless)


def timeless(one: dict) -> dict:
    return {name: value for name, value in one.items() if name not in TIMES}


@pytest.mark.slow
def test_versions_are_those_of_what_is_loaded(monkeypatch):
    loaded = runtime.versions()
    monkeypatch.delitem(sys.modules, "tensorflow")
    assert versions() == loaded
