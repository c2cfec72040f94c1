"""What tests of several rooms share."""

from __future__ import annotations

import gc
import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from automl_cv.cli.app import main
from tests import later, side_by_side
from tests.forked import workers_as_forks

Run = Callable[..., subprocess.CompletedProcess[str]]

CONSOLE_SCRIPT = Path(sys.executable).parent / "automl-cv"


def pytest_configure() -> None:
    later.postponing = True


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    return side_by_side.processes(config.args)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    return side_by_side.Scheduling(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    side_by_side.longest_first(items)


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Iterator[None]:
    if not session.config.option.collectonly:
        later.load_tensorflow(session.items)
        gc.freeze()  # what was loaded stays: a full collection walks it in a tenth of a second
    return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    later.import_for(item)


@pytest.fixture(scope="session", autouse=True)
def forked_workers() -> Iterator[None]:
    """Let no worker load TensorFlow anew, that a search in this process starts."""
    with workers_as_forks():
        yield


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a cache that all tests of a session share: digits are extracted once."""
    return tmp_path_factory.mktemp("cache")


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


def begun(folder: Path, cache_dir: Path, *arguments: object, **more: str) -> subprocess.Popen[str]:
    """Begin the installed console script in a folder, to watch, signal and end it.

    Ctrl-C reaches it: a test run in the background has it switched off, and hands that down.
    """
    return subprocess.Popen(
        [str(CONSOLE_SCRIPT), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env={**environment(cache_dir), **more},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


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
    """Return an environment in which commands use the shared cache and a wide screen.

    They may keep what they compile: else each process compiles the whole package again.
    """
    foreign = ("AUTOML_CV_", "PYTHONDONTWRITEBYTECODE")
    return {
        **{key: value for key, value in os.environ.items() if not key.startswith(foreign)},
        "AUTOML_CV_CACHE_DIR": str(cache_dir),
        "COLUMNS": "200",
        "NO_COLOR": "1",
    }
