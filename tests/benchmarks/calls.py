"""How many functions are called for a unit of work: a measure that no load of the machine moves.

    PYTHONPATH=. python tests/benchmarks/calls.py            # against what is recorded, ratios
    PYTHONPATH=. python tests/benchmarks/calls.py --record   # writes calls.json beside this file

Calls of Python and of C count alike (`sys.setprofile`). Time inside one call does not show, such
as that of a larger product; work done twice, or for each image where it was for each batch, does.
`tests/test_calls.py` fails where one has grown by a fifth. Numbers belong to the versions of
Python and of the packages that they were recorded with.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import platform
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from automl_cv.data import dataset
from automl_cv.features import FeatureCache, Recipe
from automl_cv.results.leaderboard import ranked_frame, read_run
from automl_cv.store.database import open_storage
from automl_cv.store.facts import StudyFacts
from automl_cv.store.trials import StageTrials
from automl_cv.study.studyfile import Split
from automl_cv.study.trial import TrainingTask
from automl_cv.trained import TrainingData
from automl_cv.training.linear import LinearTrainer
from tests.benchmarks.report_speed import made_up

RECORD = Path(__file__).with_suffix(".json")
PACKAGES = ("numpy", "optuna", "pandas", "pillow", "sqlalchemy")
TRIALS, EPOCHS, IMAGES = 40, 20, 60

DISTRIBUTIONS = {
    "batch_size": IntDistribution(10, 100),
    "optimizer": CategoricalDistribution(("SGD", "RMSprop")),
    "learning_rate": FloatDistribution(0.0001, 0.3),
}
PARAMETERS = {"batch_size": 32, "optimizer": "SGD", "learning_rate": 0.1}


def counted(action: Callable[[], object]) -> int:
    """Return how many functions an action calls, once it has been done before.

    What the first time fills (imports, caches, compiled queries) does not count.
    """
    action()
    calls = 0

    def note(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        action()
    finally:
        sys.setprofile(before)
    return calls


def measured(folder: Path) -> dict[str, float]:
    """Return calls by unit of work.

    Args:
        folder: an empty one.
    """
    storage = open_storage(f"sqlite:///{folder}/trials.db", create=True)
    trials = StageTrials.create(storage, "calls", "one", StudyFacts(study={}))
    slots = iter(range(10**6))

    def store() -> None:
        slot = next(slots)
        trials.finish(slot, PARAMETERS, DISTRIBUTIONS, made_up(EPOCHS))

    storing = counted(store)
    for _ in range(TRIALS - 2):
        store()
    reading = counted(lambda: ranked_frame(read_run(storage, "calls", None)))

    draw = np.random.default_rng(0)
    rows, labels = np.arange(1078), draw.integers(0, 10, 1078).astype(np.int32)
    features = draw.normal(size=(1078, 360)).astype(np.float32)
    data = TrainingData(features, rows[:800], labels[:800], rows[800:], labels[800:], 10)
    task = TrainingTask(
        head_parameters={},
        optimizer_parameters={"momentum": 0.9},
        optimizer="SGD",
        batch_size=32,
        learning_rate=0.1,
        epochs=EPOCHS,
        seed=0,
        head="linear",
    )
    trainer = LinearTrainer(data)
    training = counted(lambda: trainer.train(task, lambda epoch: None))

    hashes = [f"{number:032x}" for number in range(1000)]
    recipe = Recipe("tiny", "tests:tiny()", ".*", "blake2b:0", "none", 8)
    cache = FeatureCache(folder / "cache")
    cache.add(recipe, hashes, [features[:1000]])
    opening = counted(lambda: cache.open(recipe, hashes, "last"))

    images = folder / "images"
    _write_images(images)
    given = {"split": Split(), "seed": 0, "cache_dir": folder / "inspected"}
    loading = counted(lambda: dataset.load(str(images), **given))
    return {
        "a trial stored": storing,
        "a trial read and ranked": reading / TRIALS,
        "an epoch of a linear head": training / EPOCHS,
        "features of 1,000 images opened": opening,
        "an image of a known folder": loading / IMAGES,
    }


def _write_images(folder: Path) -> None:
    from PIL import Image

    draw = np.random.default_rng(1)
    for number in range(IMAGES):
        path = folder / f"class{number % 3}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (8, 8, 3), np.uint8)).save(path)


def versions() -> dict[str, str]:
    """Return the versions that decide the numbers; of Python the first two."""
    python = ".".join(platform.python_version_tuple()[:2])
    return {"python": python, **{name: importlib.metadata.version(name) for name in PACKAGES}}


def recorded() -> tuple[dict[str, str], dict[str, float]]:
    """Return versions and calls of the record."""
    known = json.loads(RECORD.read_text())
    return known["versions"], known["calls"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", action="store_true", help="write what was counted")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measured(Path(folder))
    if options.record:
        whole = {"versions": versions(), "calls": found}
        RECORD.write_text(json.dumps(whole, indent=2) + "\n")
    known = recorded()[1]
    for name, calls in found.items():
        print(f"{name:34s} {calls:10.1f} calls  {calls / known[name]:5.2f} of the recorded")


if __name__ == "__main__":
    main()
