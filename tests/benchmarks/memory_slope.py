"""What a trial leaves behind in memory: of the search's process, and of its worker.

    python tests/benchmarks/memory_slope.py [--trials 2000]

A search of heads of one layer on a few vectors, one epoch each, so that nothing else grows. Of the
search's process what it has of its own (RssAnon) counts from a fifth of the trials on; of a worker,
which is replaced after 400, from its hundredth trial on, the mean of all that came that far.
"""

from __future__ import annotations

import argparse
import csv
import os
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np
from PIL import Image

import automl_cv
from automl_cv.search import events

IMAGES, FEATURES, CLASSES = 100, 8, 2
WARM_UP = 100
STUDY = """
name = "slope"
validation = "split"
[data]
source = "{folder}/images.csv"
[backbone]
features = "{folder}/features.npy"
ids = "{folder}/images.csv"
[[stage]]
name = "heads"
trials = {trials}
epochs = 1
head = {{ name = "linear" }}
[stage.space]
optimizer = ["SGD"]
batch_size = {{ low = 16, high = 64 }}
learning_rate = {{ low = 1e-4, high = 0.3, log = true }}
"""


def own_kilobytes(process: int | str) -> int:
    """Return what a process holds of its own."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))


def worker() -> str:
    """Return the number of this process's only child."""
    (found,) = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return found


def write(folder: Path, trials: int) -> Path:
    """Write vectors, an image for each, and the study; return its file."""
    draw = np.random.default_rng(0)
    np.save(folder / "features.npy", draw.normal(size=(IMAGES, FEATURES)).astype(np.float32))
    with (folder / "images.csv").open("w") as table:
        rows = csv.writer(table)
        rows.writerow(["path", "label"])
        for number, pixels in enumerate(draw.integers(0, 256, (IMAGES, 4, 4), np.uint8)):
            Image.fromarray(pixels).save(folder / f"{number}.png")
            rows.writerow([folder / f"{number}.png", f"class{number % CLASSES}"])
    (folder / "study.toml").write_text(STUDY.format(trials=trials, folder=folder))
    return folder / "study.toml"


def main() -> None:
    """Search, and print what a trial costs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=2000)
    asked = parser.parse_args()
    ours: list[int] = []
    theirs: defaultdict[str, list[int]] = defaultdict(list)

    def listen(event: events.Event) -> None:
        if isinstance(event, events.TrialEnded):
            ours.append(own_kilobytes("self"))
            number = worker()
            theirs[number].append(own_kilobytes(number))
            if len(ours) % 200 == 0:
                print(f"{len(ours):6,} trials: {ours[-1] / 1024:.1f} MiB", flush=True)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        automl_cv.run(
            write(folder, asked.trials),
            storage=f"sqlite:///{folder}/trials.db",
            cache_dir=folder / "cache",
            despite_findings=True,
            quiet=True,
            listen=listen,
        )
    settled = ours[asked.trials // 5 :]
    print(f"search: {np.polyfit(range(len(settled)), settled, 1)[0]:.2f} KiB a trial")
    long = [one[WARM_UP:] for one in theirs.values() if len(one) > 2 * WARM_UP]
    grown = [np.polyfit(range(len(one)), one, 1)[0] for one in long]
    print(f"worker: {np.mean(grown):.2f} KiB a trial (of {len(grown)} workers)")


if __name__ == "__main__":
    main()
