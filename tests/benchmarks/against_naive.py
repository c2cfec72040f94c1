"""The published search, ours against the naive way: the frozen backbone inside each model.

    python tests/benchmarks/against_naive.py

Time: ResNet50 at 224 pixels with weights drawn at random, since the time does not depend
on them. Unit costs are measured in one run and put together to the published search: 11
trials, 300 epochs, 2,688 images, extraction included. Both ways use oneDNN, all cores and
no XLA.

Accuracy: the embedded backbone on digits. Both ways train the 11 published sets of
hyperparameters in full, from the same first weights, over the same images in the same
order. `naive.py` holds the other side.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
from PIL import Image

from automl_cv.catalog.backbones import BACKBONES
from automl_cv.data import dataset
from automl_cv.data.images import content_hash, decode
from automl_cv.engine import images as engine_images
from automl_cv.engine import runtime
from automl_cv.engine.extract import extract
from automl_cv.engine.head import linear
from automl_cv.engine.training import HeadTrainer
from automl_cv.features import FeatureCache, recipe
from automl_cv.study import library
from automl_cv.study.studyfile import Backbone
from automl_cv.study.trial import TrainingTask
from automl_cv.trained import TrainingData
from automl_cv.training.epochs import epoch_order
from automl_cv.training.head_input import describe

keras = runtime.keras

TRIALS, EPOCHS = 11, 300
TRAIN_IMAGES, VALIDATION_IMAGES = 2150, 538  # of the published 2,688
EXTRACTED_IMAGES = 192
REPEATS = 6  # of each measurement; the smallest counts, on both sides

# (optimizer, batch size, learning rate, momentum, epochs) of the 11 published models.
PUBLISHED = [
    ("Adadelta", 76, 0.120, None, 50),
    ("RMSprop", 49, 0.035, 0.10, 20),
    ("RMSprop", 61, 0.035, 0.10, 24),
    ("RMSprop", 97, 0.182, 0.50, 21),
    ("SGD", 29, 0.044, 0.13, 30),
    ("SGD", 67, 0.088, 0.26, 18),
    ("SGD", 43, 0.066, 0.18, 36),
    ("SGD", 42, 0.097, 0.29, 23),
    ("SGD", 48, 0.085, 0.24, 31),
    ("SGD", 63, 0.080, 0.23, 32),
    ("SGD", 62, 0.045, 0.11, 37),
]


def published_tasks() -> list[TrainingTask]:
    """Return the published models as tasks; the seed is the model's number."""
    return [
        TrainingTask(
            optimizer=optimizer,
            batch_size=batch_size,
            learning_rate=learning_rate,
            epochs=epochs,
            seed=seed,
            head="linear",
            head_parameters={"normalization": False},
            optimizer_parameters={} if momentum is None else {"momentum": momentum},
        )
        for seed, (optimizer, batch_size, learning_rate, momentum, epochs) in enumerate(PUBLISHED)
    ]


def naive(*arguments: str) -> dict:
    """Run the naive side in a process of its own and return what it measured."""
    script = str(Path(__file__).with_name("naive.py"))
    done = subprocess.run(
        [sys.executable, script, *arguments], stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def train_all(data: TrainingData, tasks: list[TrainingTask]) -> tuple[list[float], float]:
    """Train every task on cached features; return best accuracies and the seconds of all."""
    started = time.perf_counter()
    trainer = HeadTrainer(data)
    histories = [trainer.train(task, lambda epoch: None).history for task in tasks]
    seconds = time.perf_counter() - started
    return [history.best.val_accuracy for history in histories], seconds


def measure_extraction(folder: Path) -> float:
    """Return seconds an image from PNG file to cached ResNet50 features."""
    generator = np.random.default_rng(0)
    paths, hashes = [], []
    for number in range(EXTRACTED_IMAGES):
        small = generator.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        picture = Image.fromarray(small).resize((320, 240), Image.Resampling.BICUBIC)
        path = folder / f"{number}.png"
        picture.save(path)
        paths.append(path)
        hashes.append(content_hash(decode(path)))
    weights = folder / "random.weights.h5"
    keras.applications.ResNet50(weights=None, include_top=False).save_weights(weights)
    backbone = Backbone(name="ResNet50", weights=str(weights))
    wanted = recipe(backbone)
    rates = []

    def note(done: int, total: int, images_per_second: float) -> None:
        rates.append((time.perf_counter(), done))

    for repeat in range(REPEATS):
        extract(
            backbone, paths, hashes, FeatureCache(folder / str(repeat)), wanted, on_progress=note
        )
    # Building and tracing the network happens once a search, so the first batch is left out.
    ends = [index for index, (_, done) in enumerate(rates) if done == EXTRACTED_IMAGES]
    starts = [0, *(index + 1 for index in ends[:-1])]
    return min(
        (rates[end][0] - rates[start][0]) / (rates[end][1] - rates[start][1])
        for start, end in zip(starts, ends, strict=True)
    )


def measure_heads() -> float:
    """Return seconds of 11 trials, 300 epochs in all, on 2,688 vectors of 2,048 features."""
    generator = np.random.default_rng(0)
    count = TRAIN_IMAGES + VALIDATION_IMAGES
    labels = generator.integers(0, 10, count).astype(np.int32)
    rows = np.arange(count)
    data = TrainingData(
        features=generator.random((count, 2048), dtype=np.float32),
        train=rows[:TRAIN_IMAGES],
        train_labels=labels[:TRAIN_IMAGES],
        validation=rows[TRAIN_IMAGES:],
        validation_labels=labels[TRAIN_IMAGES:],
        classes=10,
    )
    tasks = published_tasks()
    seconds = min(train_all(data, tasks)[1] for _ in range(REPEATS // 2))
    return seconds * EPOCHS / sum(task.epochs for task in tasks)


def compare_accuracies(folder: Path) -> tuple[list[float], list[float], float, float]:
    """Return ours and the naive accuracies on digits, and the seconds of each."""
    study = library.load("optimizers")
    digits = dataset.load("digits", split=study.data.split, seed=0, cache_dir=folder)
    table = digits.images
    wanted = recipe(study.backbone)
    started = time.perf_counter()
    cache = FeatureCache(folder)
    hashes = list(table["content_hash"])
    extract(study.backbone, [Path(path) for path in table["path"]], hashes, cache, wanted)
    features = cache.open(wanted, hashes, "all").array
    rows = {split: np.flatnonzero(table["split"] == split) for split in ("train", "validation")}
    data = TrainingData(
        features=features,
        train=rows["train"],
        train_labels=digits.labels("train"),
        validation=rows["validation"],
        validation_labels=digits.labels("validation"),
        classes=10,
    )
    tasks = published_tasks()
    ours, _ = train_all(data, tasks)
    seconds = time.perf_counter() - started

    pixels = {
        split: np.stack(
            [
                engine_images.resize(decode(Path(path)), wanted.image_size) / 127.5 - 1
                for path in table["path"].iloc[rows[split]]
            ]
        ).astype(np.float32)
        for split in rows
    }
    given: dict[str, np.ndarray] = {
        "train": pixels["train"],
        "train_labels": data.train_labels,
        "validation": pixels["validation"],
        "validation_labels": data.validation_labels,
    }
    head_input = describe(features, data.train, 10)
    for number, task in enumerate(tasks):
        keras.utils.set_random_seed(task.seed)
        kernel, bias = linear(head_input, **task.head_parameters).get_weights()
        given |= {f"kernel{number}": kernel, f"bias{number}": bias}
        given[f"orders{number}"] = np.stack(
            [epoch_order(len(data.train), task.seed, epoch) for epoch in range(1, task.epochs + 1)]
        )
    weights = str(BACKBONES["compact"].weights.path)
    given["tasks"] = np.array(json.dumps([{**asdict(task), "weights": weights} for task in tasks]))
    np.savez(folder / "given.npz", **given)
    theirs = naive("train", str(folder / "given.npz"))
    return ours, theirs["accuracies"], seconds, sum(theirs["seconds"])


def main() -> None:
    """Measure, and print unit costs, totals, the ratio, and both sides' accuracies."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        costs = naive("costs")
        an_image = measure_extraction(folder)
        heads = measure_heads()
        ours, theirs, our_seconds, their_seconds = compare_accuracies(folder)
    naive_total = TRIALS * costs["build"] + EPOCHS * (
        TRAIN_IMAGES * costs["train"] + VALIDATION_IMAGES * costs["validate"]
    )
    build = costs["build"]  # ours builds the network once
    our_total = build + (TRAIN_IMAGES + VALIDATION_IMAGES) * an_image + heads
    print("ResNet50, 224 pixels, 2 cores; the published search of 11 trials and 300 epochs")
    print(f"naive: seconds an image        train {costs['train']:.4f}, val {costs['validate']:.4f}")
    print(f"ours: seconds an image, once   {an_image:.4f}")
    print(f"ours: all heads                {heads:.2f} s")
    print(f"naive, put together            {naive_total:,.0f} s")
    print(f"ours, extraction included      {our_total:,.1f} s")
    print(f"ratio                          {naive_total / our_total:,.0f} (at least 250)")
    print("embedded backbone on digits, both in full")
    for (optimizer, *_), mine, other in zip(PUBLISHED, ours, theirs, strict=True):
        print(f"  {optimizer:<9} val accuracy  ours {mine:.4f}  naive {other:.4f}")
    largest = max(abs(mine - other) for mine, other in zip(ours, theirs, strict=True))
    mean = statistics.mean(mine - other for mine, other in zip(ours, theirs, strict=True))
    print(f"largest difference             {100 * largest:.2f} points (at most 0.5)")
    print(f"mean difference                {100 * mean:+.2f} points")
    print(f"seconds, ours / naive          {our_seconds:.1f} / {their_seconds:.1f}")


if __name__ == "__main__":
    main()
