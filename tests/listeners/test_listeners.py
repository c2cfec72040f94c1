"""Each listener against the program it is for, and one of a user's own."""

from __future__ import annotations

import re
import sys
import types
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from automl_cv.catalog.listeners import LISTENERS
from automl_cv.errors import AutomlWarning, UserError
from automl_cv.listeners.relay import listening
from automl_cv.search import events
from tests.listeners.told import FINISHED, told
from tests.published import COARSE, history_of

HERE = "tests.listeners.told"


def tell(*asked: str) -> None:
    with listening(asked) as listen:
        for event in told():
            listen(event)


def needs(name: str) -> None:
    entry = LISTENERS[name]
    if not entry.is_installed:
        pytest.skip(f"{entry.module} is not installed: pip install '.[{entry.extra}]'")


def test_tensorboard_reads_curves_and_parameters(tmp_path, monkeypatch):
    needs("tensorboard")
    # TensorBoard asks for TensorFlow, unless this module of its own says that it shall not.
    monkeypatch.setitem(sys.modules, "tensorboard.compat.notf", types.ModuleType("notf"))
    event_accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator"
    )

    for _ in range(2):  # a trial that was cut is trained again, and counts once
        tell(f"tensorboard={tmp_path}")
    folder = tmp_path / "slides@2" / "coarse"
    assert sorted(one.name for one in folder.iterdir()) == ["0", "4", "5"]
    for number in FINISHED:
        read = event_accumulator.EventAccumulator(str(folder / str(number)))
        read.Reload()
        history = history_of(COARSE[number])
        curve = [(one.step, one.value) for one in read.Scalars("val_accuracy")]
        assert curve == [(e.epoch, pytest.approx(e.val_accuracy)) for e in history.epochs]
        assert [one.step for one in read.Scalars("best/val_accuracy")] == [history.best.epoch]
        assert "_hparams_/session_start_info" in read.PluginTagToContent("hparams")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")  # MLflow's own
def test_mlflow_reads_a_run_for_the_search_and_one_for_each_trial(tmp_path):
    needs("mlflow")
    from mlflow import MlflowClient

    where = f"sqlite:///{tmp_path}/mlflow.db"
    tell(f"mlflow={where}")
    client = MlflowClient(where)
    experiment = client.get_experiment_by_name("slides")
    runs = {one.info.run_name: one for one in client.search_runs([experiment.experiment_id])}
    states = {name: one.info.status for name, one in runs.items()}
    finished = dict.fromkeys(("slides@2", "coarse/4", "coarse/5"), "FINISHED")
    assert states == {**finished, "coarse/0": "KILLED"}
    search, run = runs["slides@2"], runs["coarse/5"]
    assert run.data.tags["mlflow.parentRunId"] == search.info.run_id
    assert run.data.tags["stop_reason"] == "plateau"
    assert run.data.params["optimizer"] == "SGD"
    history = history_of(COARSE[5])
    assert run.data.metrics["best_val_accuracy"] == history.best.val_accuracy
    curve = client.get_metric_history(run.info.run_id, "val_loss")
    assert [(one.step, one.value) for one in curve] == [
        (e.epoch, e.val_loss) for e in history.epochs
    ]


@pytest.mark.slow
def test_weights_and_biases_writes_a_run_for_each_trial_offline(tmp_path):
    needs("wandb")
    tell(f"wandb={tmp_path}")
    files = list(tmp_path.glob("wandb/offline-run-*/run-*.wandb"))
    assert len(files) == 3
    content = b"".join(one.read_bytes() for one in files)
    for text in (b"coarse/0", b"coarse/4", b"coarse/5", b"slides@2", b"best_val_accuracy", b"SGD"):
        assert text in content, text


def test_a_listener_of_ones_own_is_told_all_in_order(tmp_path):
    tell(f"{HERE}:to_a_file={tmp_path}/a=b.txt")
    names = (tmp_path / "a=b.txt").read_text().split()
    assert names == [type(event).__name__ for event in told()]


def test_the_search_goes_on_without_one_that_fails(tmp_path):
    line = f"--listener {HERE}:to_nowhere: failed, and the search goes on without it: OSError: no r"
    with pytest.warns(AutomlWarning, match=line) as caught:
        tell(f"{HERE}:to_nowhere", f"{HERE}:to_a_file={tmp_path}/told.txt")
    assert len(caught) == 1
    assert len((tmp_path / "told.txt").read_text().split()) == len(list(told()))


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        (("tensorbord=x",), "unknown listener 'tensorbord': did you mean 'tensorboard'?"),
        (("a.b:c",), r"--listener a.b:c: can't be imported \(No module named 'a'\)"),
        ((f"{HERE}:FINISHED",), f"--listener {HERE}:FINISHED: is no function"),
        (("tensorboard", "tensorboard=x"), "--listener tensorboard: is asked for twice"),
        (
            ("lacking",),
            r"needs the package not_there, which is not installed; run in .*'\.\[none\]'",
        ),
    ],
)
def test_what_cannot_be_told_is_refused_before_anything_runs(asked, line):
    absent = replace(LISTENERS["mlflow"], name="lacking", module="not_there", extra="none")
    with LISTENERS.temporary(absent), pytest.raises(UserError, match=line):
        tell(*asked)


def test_the_listener_of_the_docs_writes_a_line_a_trial(tmp_path, monkeypatch):
    page = (Path(__file__).parents[2] / "docs" / "listeners.md").read_text()
    (code,) = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "mine.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    tell(f"mine:to_a_file={tmp_path}/trials.txt")
    lines = (tmp_path / "trials.txt").read_text().splitlines()
    assert lines == ["coarse/4: 0.9328", "coarse/5: 0.9342"]
    missing = [one.__name__ for one in get_args(events.Event) if f"`{one.__name__}`" not in page]
    assert missing == []
