"""What the quickstart takes and reaches, from an empty cache, through the console script.

    python tests/benchmarks/quickstart.py

Beside it the same validation images are classified by logistic regression on raw
pixels: what a user has without any backbone.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from automl_cv.data import dataset
from automl_cv.data.images import decode
from automl_cv.study import library
from automl_cv.worker.reference import logistic_reference

SCRIPT = str(Path(sys.executable).parent / "automl-cv")


def run(*arguments: str, folder: Path) -> str:
    """Run the command line in `folder` with a cache of its own; return what it printed."""
    command = [SCRIPT, *arguments]
    if arguments[0] == "search":
        command += ["--cache-dir", str(folder / "cache"), "--quiet"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


def pixel_reference(cache_dir: Path) -> dict:
    """Return logistic regression's figures on the pixels of the same splits."""
    study = library.load("quickstart")
    images = dataset.load("digits", split=study.data.split, seed=study.seed, cache_dir=cache_dir)
    pixels, labels = {}, {}
    for split in ("train", "validation"):
        rows = images.rows(split)
        pixels[split] = np.stack([decode(path)[..., 0].ravel() for path in map(Path, rows["path"])])
        labels[split] = images.labels(split)
    return logistic_reference(
        pixels["train"].astype(float),
        labels["train"],
        pixels["validation"].astype(float),
        labels["validation"],
    )


def main() -> None:
    """Time a first and a second search, and print what they reach."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        started = time.perf_counter()
        run("search", "quickstart", folder=folder)
        first = time.perf_counter() - started
        started = time.perf_counter()
        run("search", "quickstart", "--new", folder=folder)
        second = time.perf_counter() - started
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import tensorflow"], capture_output=True, check=True)
        tensorflow = time.perf_counter() - started
        report = json.loads(run("report", "quickstart@1", "--format", "json", folder=folder))
        pixels = pixel_reference(folder / "cache")
    best, reference = report["trials"][0], report["facts"]["reference"]
    print(f"first search, empty cache      {first:.1f} s (at most 30)")
    print(f"second search, features cached {second:.1f} s")
    print(f"import tensorflow              {tensorflow:.1f} s of each")
    print(f"best validation accuracy       {best['val_accuracy']:.4f} (at least 0.975)")
    print(f"logistic regression, features  {reference['val_accuracy']:.4f}")
    print(f"logistic regression, pixels    {pixels['val_accuracy']:.4f}")


if __name__ == "__main__":
    main()
