"""`automl-cv dashboard` opens optuna-dashboard, on this machine alone."""

from __future__ import annotations

import importlib.util
import json
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from datetime import datetime

import pytest

from tests.conftest import begun
from tests.published import COARSE, build, history_of
from tests.results.searched import searched

needs_it = pytest.mark.skipif(
    importlib.util.find_spec("optuna_dashboard") is None,
    reason="optuna-dashboard is not installed: pip install '.[dashboard]'",
)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def asked(address: str, process: subprocess.Popen) -> object:
    """Return what the page's own API answers, once the server is up."""
    for _ in range(200):
        assert process.poll() is None, process.communicate()
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                return json.load(answer)
        except (ConnectionError, TimeoutError, urllib.error.URLError):
            time.sleep(0.1)
    raise AssertionError("no server after 20 s")


@needs_it
@pytest.mark.slow
def test_it_shows_names_notes_durations_and_plain_figures(tmp_path, cache_dir):
    build(tmp_path)
    port = free_port()
    process = begun(tmp_path, cache_dir, "dashboard", "trials.db", "--port", port)
    at = f"http://127.0.0.1:{port}/api/studies"
    try:
        studies = {
            one["study_name"]: one["study_id"] for one in asked(at, process)["study_summaries"]
        }
        assert list(studies) == ["slides/coarse", "slides/narrowed"]
        shown = asked(f"{at}/{studies['slides/coarse']}", process)
    finally:
        process.send_signal(signal.SIGINT)
        told = process.communicate(timeout=20)[1]
    assert f"trials.db is shown at http://127.0.0.1:{port}/; Ctrl-C ends it" in told
    assert shown["note"]["body"].startswith("Stage **coarse** of the run **slides** of automl-cv.")
    assert shown["objective_names"] == ["val_accuracy"]
    for trial, row in zip(shown["trials"], COARSE, strict=True):
        history = history_of(row)
        times = [datetime.fromisoformat(trial[f"datetime_{one}"]) for one in ("start", "complete")]
        assert (times[1] - times[0]).total_seconds() == pytest.approx(history.seconds, abs=0.01)
        attributes = {one["key"]: one["value"] for one in trial["user_attrs"]}
        assert float(attributes["val_loss"]) == row[-1]
        assert int(attributes["best_epoch"]) == history.best.epoch


@pytest.mark.exhaustive
@needs_it
@pytest.mark.slow
def test_it_shows_pictures_with_the_stage_they_are_of(tmp_path, cache_dir):
    searched(tmp_path, (0.8,) * 12)
    maps = tmp_path / "maps"
    maps.mkdir()
    (maps / "overview.png").write_bytes(b"a picture")
    port = free_port()
    given = ("--artifacts", "pictures", "--maps", "maps")
    for _ in range(2):  # the second time there are no more of them
        process = begun(tmp_path, cache_dir, "dashboard", "automl-cv.db", "--port", port, *given)
        at = f"http://127.0.0.1:{port}"
        try:
            (study,) = asked(f"{at}/api/studies", process)["study_summaries"]
            shown = asked(f"{at}/api/studies/{study['study_id']}", process)["artifacts"]
            files = {}
            for one in shown:
                address = f"{at}/artifacts/{study['study_id']}/{one['artifact_id']}"
                with urllib.request.urlopen(address, timeout=5) as answer:
                    files[one["filename"]] = answer.read()
        finally:
            process.send_signal(signal.SIGINT)
            told = process.communicate(timeout=20)[1]
        assert len(shown) == len(files) == 3
        assert "3 pictures in pictures" in told
    assert files.pop("maps-overview.png") == b"a picture"
    assert {name.partition("-of-")[0] for name in files} == {"confusion", "calibration"}
    assert all(content.startswith(b"\x89PNG") for content in files.values())


@needs_it
def test_maps_want_a_folder_of_artifacts(call, tmp_path):
    searched(tmp_path, (0.8,) * 12)
    done = call("dashboard", tmp_path / "automl-cv.db", "--maps", "maps", check=False)
    assert done.returncode == 2 and "name one by --artifacts DIR" in done.stderr


def test_without_the_package_it_names_the_extra(call, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    done = call("dashboard", check=False)
    assert done.returncode == 2
    assert "needs optuna-dashboard, which is not installed; run in" in done.stderr
    assert "'.[dashboard]'" in done.stderr


@needs_it
def test_a_port_that_another_program_has_is_told(call, tmp_path):
    build(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = call("dashboard", "trials.db", "--port", port, check=False)
    assert done.returncode == 2
    assert f"--port {port}: is taken by another program; name another port" in done.stderr


@needs_it
def test_a_database_that_is_not_there_is_not_made(call, tmp_path):
    done = call("dashboard", "absent.db", check=False)
    assert (done.returncode, list(tmp_path.iterdir())) == (2, [])
    assert "absent.db: no such database of trials" in done.stderr
