"""Search and fit conduct; TensorFlow is loaded by their workers, never by themselves."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import checked, environment

pytestmark = pytest.mark.slow


STUDY = """
extends = "optimizers"
name = "few"
[data]
source = "photos"
[[stage]]
name = "coarse"
trials = 1
epochs = 1
[[stage]]
name = "narrowed"
trials = 1
epochs = 1
"""

# A command as `main` runs it; its own last line tells what this process has loaded.
PROGRAM = """
import json, sys
from automl_cv.cli.app import main
sys.argv[0] = "automl-cv"
code = 0
try:
    main()
except SystemExit as end:
    code = end.code or 0
print("\\n" + json.dumps([code, sorted({name.split(".")[0] for name in sys.modules})]))
"""


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Write 16 images of two colours, and a study of them; return the folder of both."""
    draw = np.random.default_rng(0)
    for label, colour in (("blue", (60, 90, 210)), ("red", (200, 80, 60))):
        folder = tmp_path / "photos" / label
        folder.mkdir(parents=True)
        for number in range(8):
            pixels = np.array(colour) + draw.normal(0, 20, (8, 8, 3))
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{number}.png")
    (tmp_path / "few.toml").write_text(STUDY)
    return tmp_path


def loaded_by(folder: Path, cache_dir: Path, *words: str) -> set[str]:
    """Run a command in a process of its own; return the packages that are loaded at its end."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words],
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment(cache_dir),
        timeout=300,
        check=False,
    )
    code, loaded = json.loads(checked(done).stdout.splitlines()[-1])
    assert code == 0, done.stderr
    return set(loaded)


@pytest.mark.exhaustive
def test_neither_a_search_nor_a_fit_loads_tensorflow(photos, tmp_path_factory):
    cache_dir = tmp_path_factory.mktemp("cache")  # an empty one: features are extracted too
    searched = loaded_by(photos, cache_dir, "search", "./few.toml", "--tensorboard", "logs")
    fitted = loaded_by(photos, cache_dir, "fit", "few", "--out", "model")
    for loaded in (searched, fitted):
        assert "optuna" in loaded
        assert not loaded & {"tensorflow", "keras"}
    assert len(list((photos / "logs").glob("few/*/0/events.out.tfevents.*"))) == 2
    assert list((photos / "model").glob("*.keras"))
