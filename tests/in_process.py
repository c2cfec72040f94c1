"""Commands and workers in the test's own process, which alone knows a test's temporary entries.

A worker is a process of its own, which would read the tables as they are shipped. Here it is a
thread at the other end of the same kind of pipe.
"""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from multiprocessing.connection import Connection, Pipe
from pathlib import Path

import pytest

from automl_cv.cli.app import main
from automl_cv.orders import crew
from automl_cv.orders.crew import Worker
from tests.conftest import checked, environment


def _serve(connection: Connection) -> None:
    from automl_cv.worker.process import _Worker

    with connection, contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        _Worker(connection).serve()


def _start(worker: Worker) -> None:
    worker.is_prepared = False
    worker.trained = 0
    worker.connection, theirs = Pipe()
    worker._process = threading.Thread(target=_serve, args=(theirs,), daemon=True)
    worker._process.start()


def _close(worker: Worker) -> None:
    worker.connection.close()
    worker._process.join()


@contextlib.contextmanager
def workers_as_threads() -> Iterator[None]:
    """Start every worker as a thread for the length of a with block."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Worker, "_start", _start)
        patch.setattr(Worker, "close", _close)
        patch.setattr(crew, "one_in_reserve", lambda loads: contextlib.nullcontext())
        yield


def run_here(folder: Path, cache_dir: Path, *words: object) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder, as `conftest.run_script` does in a process of its own.

    Raises:
        AssertionError: it ended with another exit code than 0.
    """
    said, told = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ.keys() - environment(cache_dir).keys():
            patch.delenv(name)
        for name, value in environment(cache_dir).items():
            patch.setenv(name, value)
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["automl-cv", *map(str, words)])
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(told):
            try:
                main()
                code: object = 0
            except SystemExit as ended:
                code = ended.code or 0
    return checked(subprocess.CompletedProcess(words, code, said.getvalue(), told.getvalue()))


def command(folder: Path, cache_dir: Path, *words: object) -> str:
    """Run a command in a folder; return its stdout."""
    return run_here(folder, cache_dir, *words).stdout
