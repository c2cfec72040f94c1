"""What the report's page weighs, and how long it takes to write and to draw.

    python tests/benchmarks/page_size.py [--trials 30 1000 10000] [--epochs 50] [--keep DIR]

Prints for each number of trials: bytes of the page, processor seconds that composing the report and
`as_page` take, and milliseconds that headless Chromium needs from the start to the `load` event
and to the end of the first layout, of LOADS loads the least; and the same of an empty page, which
says what the machine's load makes of it. Chromium is Debian's; without one there is no such column.
Trials are made up: three stages, predictions of 1,000 images in ten classes, two claims and three
tables of a source, and pictures as large as the page takes of `automl-cv maps`.
"""

from __future__ import annotations

import argparse
import math
import random
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from PIL import Image

from automl_cv.history import Epoch, History
from automl_cv.report.leaderboard import compose
from automl_cv.report.page.render import as_page
from automl_cv.results.corrected import corrected
from automl_cv.results.leaderboard import RunTrials, read_run
from automl_cv.results.ranking import in_order
from automl_cv.store.database import open_storage
from automl_cv.store.facts import StudyFacts
from automl_cv.store.labels import write_labels
from automl_cv.store.records import TrialRecord
from automl_cv.store.trials import StageTrials
from tests.report.browser import browser, loading

DISTRIBUTIONS = {
    "batch_size": IntDistribution(10, 100),
    "optimizer": CategoricalDistribution(("SGD", "RMSprop", "Adam", "Nadam", "Adagrad")),
    "learning_rate": FloatDistribution(0.0001, 0.3, log=True),
    "momentum": FloatDistribution(0.0, 0.9),
    "dropout": FloatDistribution(0.0, 0.6),
}
IMAGES, CLASSES = 1_000, 10
LOADS = 3
STORED = 30
STAGES = ("coarse", "narrowed", "last")
CLAIMS = [
    {"text": "narrowing gains", "stage": "narrowed", "against": "coarse", "more_than": 0},
    {"text": "the rate matters most", "stage": "coarse", "matter": ["learning_rate"]},
]
TABLES = [{"heading": f"{name} trials", "stages": [name]} for name in STAGES]


def space() -> dict:
    return {
        "batch_size": {"low": 10, "high": 100},
        "optimizer": ["SGD", "RMSprop", "Adam", "Nadam", "Adagrad"],
        "learning_rate": {"low": 0.0001, "high": 0.3, "log": True},
        "momentum": {"low": 0.0, "high": 0.9},
        "dropout": {"low": 0.0, "high": 0.6},
    }


def drawn(generator: random.Random) -> dict:
    return {
        "batch_size": generator.randint(10, 100),
        "optimizer": generator.choice(("SGD", "RMSprop", "Adam", "Nadam", "Adagrad")),
        "learning_rate": math.exp(generator.uniform(math.log(0.0001), math.log(0.3))),
        "momentum": generator.uniform(0.0, 0.9),
        "dropout": generator.uniform(0.0, 0.6),
    }


def history(generator: random.Random, parameters: dict, n_epochs: int) -> History:
    """Return curves that rise to a height which the learning rate decides, most of all."""
    distance = abs(math.log10(parameters["learning_rate"]) + 1.5)
    height = 0.97 - 0.09 * distance**1.5 - 0.03 * generator.random()
    run = n_epochs if generator.random() < 0.4 else generator.randint(5, n_epochs)
    epochs = []
    for number in range(1, run + 1):
        value = height * (1 - math.exp(-number / 4)) - 0.004 * generator.random()
        share = round(max(value, 0.0) * IMAGES) / IMAGES
        loss = 2.3 * (1 - share) + 0.02 + 0.01 * generator.random()
        epochs.append(Epoch(number, share, share, loss * 0.8, loss, 0.1, 0.05))
    reason = "epochs" if run == n_epochs else generator.choice(("plateau", "pruned"))
    return History(tuple(epochs), reason, seconds=0.05 * run * (1 + generator.random()))


def fill(url: str, n_epochs: int) -> None:
    """Store STORED trials, with what they said of the images."""
    generator = random.Random(0)
    stages = [{"name": name, "space": space()} for name in STAGES]
    facts = StudyFacts(
        study={"name": "made-up", "stage": stages, "claim": CLAIMS, "table": TABLES},
        class_names=tuple(f"class {number}" for number in range(CLASSES)),
        split_sizes={"train": 4 * IMAGES, "validation": IMAGES, "test": IMAGES},
        ledger={"n_read": 6 * IMAGES, "skipped": [], "findings": []},
    )
    storage = open_storage(url, create=True)
    labels = np.repeat(np.arange(CLASSES), IMAGES // CLASSES)
    noise = np.random.default_rng(0)
    for stage in STAGES:
        trials = StageTrials.create(storage, "made-up", stage, facts)
        for slot in range(STORED // len(STAGES)):
            parameters = drawn(generator)
            logits = noise.normal(size=(IMAGES, CLASSES))
            logits[np.arange(IMAGES), labels] += 3.5
            said = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
            made = history(generator, parameters, n_epochs)
            trials.finish(slot, parameters, DISTRIBUTIONS, made, probabilities=said)
    write_labels(storage, "made-up", labels)


def maps(folder: Path) -> Path:
    """Write pictures of noise, which no format makes small; return their folder."""
    folder.mkdir(exist_ok=True)
    generator = np.random.default_rng(0)
    for name in ("overview", "grad-cam", "score-cam", "01-first", "02-second"):
        pixels = generator.integers(0, 256, (60, 700, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.png")
    return folder


def grown(read: RunTrials, n_trials: int, n_epochs: int) -> RunTrials:
    """Return a run with as many trials as are asked for: those above STORED in memory alone."""
    generator = random.Random(1)
    records = list(read.ranked)
    for number in range(len(records), n_trials):
        parameters = drawn(generator)
        made = history(generator, parameters, n_epochs)
        stage, slot = STAGES[number % len(STAGES)], number // len(STAGES)
        records.append(TrialRecord(read.run.name, stage, slot, "complete", parameters, made))
    return replace(read, ranked=tuple(in_order(records, read.facts)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, nargs="+", default=[30, 1_000, 10_000])
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--keep", type=Path, default=None)
    options = parser.parse_args()
    print("trials      bytes   compose s   page s   load ms  layout ms     empty", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        kept = options.keep or Path(folder)
        kept.mkdir(parents=True, exist_ok=True)
        url = f"sqlite:///{kept}/page.db"
        if not (kept / "page.db").exists():
            fill(url, options.epochs)
        for n_trials in options.trials:
            read = grown(read_run(url), n_trials, options.epochs)
            began = time.process_time()
            report = replace(compose(read, winner=corrected(url, read)), maps=maps(kept / "maps"))
            composed = time.process_time() - began
            page = as_page(report)
            taken = time.process_time() - began - composed
            file = kept / f"{n_trials}.html"
            file.write_text(page, encoding="utf-8")
            shown = ""
            if browser() is not None:
                blank = kept / "empty.html"
                blank.write_text("<html><head></head><body></body></html>")
                times = [(*loading(file), loading(blank)[1]) for _ in range(LOADS)]
                shown = "  ".join(f"{min(one):8.0f}" for one in zip(*times, strict=True))
            size = len(page.encode())
            print(f"{n_trials:6d}  {size:9,}  {composed:9.1f}  {taken:7.1f}  {shown}", flush=True)


if __name__ == "__main__":
    main()
