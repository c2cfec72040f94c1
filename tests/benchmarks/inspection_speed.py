"""What it costs to see that no file has changed: many small images inspected again and again.

    python tests/benchmarks/inspection_speed.py [--files 100000] [--suffix .png]

Prints seconds, on the clock and of the processor, of the first inspection, which decodes; of one
that trusts what the file system says; of one that may trust nothing and reads every byte, as on
a network disk; and the size of the memory. A bare `os.stat` of every file stands beside them,
since the seconds depend on the machine.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from automl_cv.data import inspection

SETTLED = 3  # seconds after which a file no longer counts as just changed


def grow(folder: Path, files: int, suffix: str) -> list[str]:
    """Write grey 28x28 images of noise, a thousand a folder."""
    noise = np.random.default_rng(0)
    paths = []
    for number in range(files):
        path = folder / f"{number // 1000:03d}" / f"{number:06d}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise.integers(0, 256, (28, 28), np.uint8)).save(path)
        paths.append(str(path))
    return paths


def timed(what: str, action: Callable[[], object]) -> None:
    began, busy = time.perf_counter(), time.process_time()
    action()
    wall, busy = time.perf_counter() - began, time.process_time() - busy
    print(f"{what:40s} {wall:7.2f} s, {busy:7.2f} s of processor time")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--suffix", default=".png")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = grow(Path(folder) / "images", chosen.files, chosen.suffix)
        memory = Path(folder) / "memory.json"
        time.sleep(SETTLED)
        timed("os.stat", lambda: [os.stat(path) for path in paths])
        timed("first inspection", lambda: inspection.inspect(paths, memory=memory))
        timed("again, nothing changed", lambda: inspection.inspect(paths, memory=memory))
        print(f"memory {memory.stat().st_size / 2**20:.1f} MiB")
        if hasattr(inspection, "stamps"):
            inspection.stamps.TELLING = frozenset()
            timed("again, no file system trusted", lambda: inspection.inspect(paths, memory=memory))


if __name__ == "__main__":
    main()
