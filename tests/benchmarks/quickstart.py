"""What the quickstart takes and reaches, from an empty cache, through the console script.

    python tests/benchmarks/quickstart.py [--rounds 2] [--beside CHECKOUT]

Each round is a search with an empty cache and one with cached features, in a database of their
own; beside it, by turns, those of another version (`CHECKOUT`, which stands first on PYTHONPATH).
Seconds are the least of the rounds: of the wall, and of the processor, of all processes. The
validation images are also classified by logistic regression on raw pixels: what a user has without
any backbone.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
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


def run(
    *arguments: str, folder: Path, checkout: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command line in `folder` with a cache of its own."""
    command = [SCRIPT, *arguments]
    if arguments[0] == "search":
        command += ["--cache-dir", str(folder / "cache"), "--quiet"]
    environment = {**os.environ, **({"PYTHONPATH": checkout} if checkout else {})}
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=True, env=environment
    )


def timed(folder: Path, checkout: str | None) -> tuple[float, float]:
    """Search; return seconds of the wall, and of the processor of all processes."""
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    run("search", "quickstart", "--new", folder=folder, checkout=checkout)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def both(checkout: str | None) -> dict[str, tuple[float, float]]:
    """Search with an empty cache and with cached features; return what `timed` does of each."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        empty = timed(folder, checkout)
        (folder / "automl-cv.db").unlink()
        return {"empty cache": empty, "features cached": timed(folder, checkout)}


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
    """Time searches, and print what they reach."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--beside", help="checkout of another version")
    asked = parser.parse_args()
    versions = {"": None, **({" of the other": asked.beside} if asked.beside else {})}
    found: dict[str, list[tuple[float, float]]] = {}
    for _ in range(asked.rounds):
        for name, checkout in versions.items():
            for which, seconds in both(checkout).items():
                found.setdefault(which + name, []).append(seconds)
    for which, seconds in sorted(found.items()):
        wall, processor = (min(each) for each in zip(*seconds, strict=True))
        print(f"{which:32} {wall:.1f} s, of the processor {processor:.1f} s", flush=True)
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import tensorflow"], capture_output=True, check=True)
    print(f"{'import tensorflow':32} {time.perf_counter() - started:.1f} s, where it is needed")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run("search", "quickstart", folder=folder)
        report = json.loads(run("report", "quickstart", "--format", "json", folder=folder).stdout)
        pixels = pixel_reference(folder / "cache")
    best, reference = report["trials"][0], report["facts"]["reference"]
    print(f"best validation accuracy         {best['val_accuracy']:.4f} (at least 0.975)")
    print(f"logistic regression, features    {reference['val_accuracy']:.4f}")
    print(f"logistic regression, pixels      {pixels['val_accuracy']:.4f}")


if __name__ == "__main__":
    main()
