"""What tests of several rooms share."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]

CONSOLE_SCRIPT = Path(sys.executable).parent / "automl-cv"


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a cache that all tests of a session share: digits are extracted once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def run(tmp_path: Path, cache_dir: Path) -> Run:
    """Return a function that runs the installed console script in an empty folder."""

    def run_script(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [str(CONSOLE_SCRIPT), *arguments],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=environment(cache_dir),
            timeout=300,
            check=False,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"exit {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    return run_script


def environment(cache_dir: Path) -> dict[str, str]:
    """Return an environment in which commands use the shared cache and a wide screen."""
    return {
        **{key: value for key, value in os.environ.items() if not key.startswith("AUTOML_CV_")},
        "AUTOML_CV_CACHE_DIR": str(cache_dir),
        "COLUMNS": "200",
        "NO_COLOR": "1",
    }
