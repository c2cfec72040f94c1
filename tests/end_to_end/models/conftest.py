"""One study, searched and fitted once for all tests of this folder; they run in one process."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from tests.in_process import run_here

STUDY = """
extends = "optimizers"
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


class Fitted(NamedTuple):
    """A classifier that all tests of a session share; one that changes it copies the folder."""

    folder: Path
    said: str
    """What `fit` wrote to stderr."""


@pytest.fixture(scope="session")
def searched(tmp_path_factory: pytest.TempPathFactory, cache_dir: Path) -> Path:
    """Search a small study once; return the folder of study and database, which stays as it is."""
    made = tmp_path_factory.mktemp("searched")
    (made / "small.toml").write_text(STUDY)
    run_here(made, cache_dir, "search", "./small.toml", "--quiet")
    return made


@pytest.fixture(scope="session")
def fitted(tmp_path_factory: pytest.TempPathFactory, searched: Path, cache_dir: Path) -> Fitted:
    """Fit the best trial of the small study, as its last stage trained it again, once."""
    folder = tmp_path_factory.mktemp("fitted") / "model"
    words = ("fit", "./small.toml", "--trial", "augmented/0", "--out", folder)
    done = run_here(searched, cache_dir, *words)
    assert done.stdout == ""
    return Fitted(folder, done.stderr)


@pytest.fixture(scope="session")
def calibrated(tmp_path_factory: pytest.TempPathFactory, searched: Path, cache_dir: Path) -> Path:
    """Fit a searched trial of the small study once, and calibrate it; return its folder."""
    folder = tmp_path_factory.mktemp("calibrated") / "model"
    words = ("fit", "small", "--trial", "coarse/1", "--calibrate", "--out", folder)
    run_here(searched, cache_dir, *words)
    return folder
