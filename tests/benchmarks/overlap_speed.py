"""What comparing splits by features costs: all pairs, or near places alone; and what is missed.

    python tests/benchmarks/overlap_speed.py [--images 30000 100000] [--only-places]

Drawn features in a memory-mapped file, three fifths train: of 200 kinds, rectified, one validation
image in ten an altered copy of a training image, by so much that its cosine is 0.8 to 1. Prints
seconds of the processor and twins found (cosine of 0.9 or more).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from automl_cv.data import overlap

KINDS, HIDDEN = 200, 100
COPIED = 10  # one of so many validation images is a copy
CHANGED = 0.3  # deviation of what is added to a copy's features, at most


def drawn(folder: Path, images: int, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Return features in a file, (images, channels), and the split of each image."""
    draw = np.random.default_rng(0)
    splits = np.resize(["train", "train", "train", "validation", "test"], images)
    kinds = draw.normal(size=(KINDS, HIDDEN))
    mixed = draw.normal(size=(HIDDEN, channels)) / np.sqrt(HIDDEN)
    features = np.lib.format.open_memmap(
        folder / "features.npy", "w+", np.float32, (images, channels)
    )
    for start in range(0, images, 10_000):
        count = min(10_000, images - start)
        hidden = kinds[draw.integers(0, KINDS, count)] + draw.normal(size=(count, HIDDEN))
        noise = 0.3 * draw.normal(size=(count, channels))
        features[start : start + count] = np.maximum(hidden @ mixed + noise, 0)
    train = np.flatnonzero(splits == "train")
    for row in np.flatnonzero(splits == "validation")[::COPIED]:
        change = draw.uniform(0, CHANGED) * draw.normal(size=channels)
        features[row] = np.maximum(features[draw.choice(train)] + change, 0)
    return features, splits


def main() -> None:
    """Compare each way on each number of images."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, nargs="+", default=[30_000, 100_000])
    parser.add_argument("--channels", type=int, default=384)
    parser.add_argument("--only-places", action="store_true")
    given = parser.parse_args()
    for count in given.images:
        with tempfile.TemporaryDirectory() as folder:
            features, splits = drawn(Path(folder), count, given.channels)
            for what, limit in {"all pairs": count**2, "places": 0}.items():
                if given.only_places and limit:
                    continue
                overlap.ALL_PAIRS = limit
                began, busy = time.perf_counter(), time.process_time()
                found = overlap.near_duplicates(features, splits)
                wall, busy = time.perf_counter() - began, time.process_time() - busy
                twins = sum(found.counts.values())
                print(
                    f"{count:,} images, {what:9}: {busy:6.1f} s of the processor, wall "
                    f"{wall:6.1f} s, {twins:,} twins",
                    flush=True,
                )


if __name__ == "__main__":
    main()
