"""What tests of several rooms share."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from automl_cv.cli.app import main
from tests import later

Run = Callable[..., subprocess.CompletedProcess[str]]

CONSOLE_SCRIPT = Path(sys.executable).parent / "automl-cv"

STUDY = """
extends = "quickstart"
name = "small"
[[stage]]
name = "coarse"
trials = 3
epochs = 6
[[stage]]
name = "narrowed"
trials = 1
epochs = 4
[[stage]]
name = "finalists"
retrain = { stages = ["coarse", "narrowed"], top = 2, repeats = 2 }
[[stage]]
name = "augmented"
retrain = { stages = "finalists", top = 1, repeats = 3 }
augmentation = { width_shift = 0.05, zoom = 0.1 }
views = 2
"""


def pytest_configure() -> None:
    later.postponing = True


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Import what a test's module has postponed, before its first fixture."""
    if later.needs_imports(getattr(item, "module", None)):
        later.import_all()


class Fitted(NamedTuple):
    """A classifier that all tests of a session share; one that changes it copies the folder."""

    folder: Path
    said: str
    """What `fit` wrote to stderr."""


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a cache that all tests of a session share: digits are extracted once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def searched(tmp_path_factory: pytest.TempPathFactory, cache_dir: Path) -> Path:
    """Search a small study once; return the folder of study and database, which stays as it is."""
    made = tmp_path_factory.mktemp("searched")
    (made / "small.toml").write_text(STUDY)
    run_script(made, cache_dir, "search", "./small.toml", "--quiet")
    return made


@pytest.fixture(scope="session")
def fitted(tmp_path_factory: pytest.TempPathFactory, searched: Path, cache_dir: Path) -> Fitted:
    """Fit the best trial of the small study, as its last stage trained it again, once."""
    folder = tmp_path_factory.mktemp("fitted") / "model"
    words = ("fit", "./small.toml", "--trial", "augmented/0", "--out", folder)
    done = run_script(searched, cache_dir, *words)
    assert done.stdout == ""
    return Fitted(folder, done.stderr)


@pytest.fixture(scope="session")
def calibrated(tmp_path_factory: pytest.TempPathFactory, searched: Path, cache_dir: Path) -> Path:
    """Fit a searched trial of the small study once, and calibrate it; return its folder."""
    folder = tmp_path_factory.mktemp("calibrated") / "model"
    words = ("fit", "small", "--trial", "coarse/1", "--calibrate", "--out", folder)
    run_script(searched, cache_dir, *words)
    return folder


@pytest.fixture
def run(tmp_path: Path, cache_dir: Path) -> Run:
    """Return a function that runs the installed console script in an empty folder."""
    return partial(run_script, tmp_path, cache_dir)


@pytest.fixture
def call(
    tmp_path: Path,
    cache_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """Return a function that does in this process, from `main` on, what `run` does in another.

    A process costs a second, and five where it loads TensorFlow: `run` is for what a process
    of its own decides, and for each command once.
    """

    def run_main(
        *arguments: object, check: bool = True, folder: Path = tmp_path, given: str = ""
    ) -> subprocess.CompletedProcess[str]:
        for name in os.environ.keys() - environment(cache_dir).keys():
            monkeypatch.delenv(name)
        for name, value in environment(cache_dir).items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "argv", ["automl-cv", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.StringIO(given))
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        code = ended.value.code or 0
        done = subprocess.CompletedProcess(arguments, code, *capsys.readouterr())
        return checked(done) if check else done

    return run_main


def run_script(
    folder: Path, cache_dir: Path, *arguments: object, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run the installed console script in a folder."""
    done = subprocess.run(
        [str(CONSOLE_SCRIPT), *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment(cache_dir),
        timeout=300,
        check=False,
    )
    return checked(done) if check else done


def checked(done: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    if done.returncode != 0:
        raise AssertionError(f"exit {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done


def environment(cache_dir: Path) -> dict[str, str]:
    """Return an environment in which commands use the shared cache and a wide screen."""
    return {
        **{key: value for key, value in os.environ.items() if not key.startswith("AUTOML_CV_")},
        "AUTOML_CV_CACHE_DIR": str(cache_dir),
        "COLUMNS": "200",
        "NO_COLOR": "1",
    }
