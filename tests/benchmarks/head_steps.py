"""An epoch of a head of one layer: in the Keras loop, in NumPy, and its bare arithmetic.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python tests/benchmarks/head_steps.py

Batches of 32, float32, one thread; a fifth as many images validate. The bare arithmetic is what
anybody would write: rows taken, standardised where the head does, two products, a softmax between
them, the optimizer's update, a validation after. The three take turns in one process; of each the
epoch that took the processor least counts, as others may use it too.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from automl_cv.engine.training import HeadTrainer
from automl_cv.study.trial import TrainingTask
from automl_cv.trained import TrainingData
from automl_cv.training.epochs import epoch_order
from automl_cv.training.linear import LinearTrainer

BATCH, RATE = 32, 0.01
# Training images, features, classes; epochs that are timed of each way.
SIZES = [
    (1_078, 360, 10, 60),
    (1_881, 2_048, 8, 30),
    (10_000, 1_280, 100, 8),
    (60_000, 2_048, 10, 4),
]


def task(optimizer: str, normalization: bool) -> TrainingTask:
    """Return a head that is trained."""
    return TrainingTask(
        optimizer=optimizer,
        batch_size=BATCH,
        learning_rate=RATE,
        epochs=1,
        seed=0,
        head="linear",
        head_parameters={"normalization": normalization},
    )


def drawn(images: int, features: int, classes: int) -> TrainingData:
    """Return features and labels at random: the time does not depend on them."""
    generator = np.random.default_rng(0)
    count = images + images // 5
    values = generator.random((count, features), np.float32)
    labels = generator.integers(0, classes, count).astype(np.int32)
    train, validation = np.arange(images), np.arange(images, count)
    return TrainingData(values, train, labels[train], validation, labels[validation], classes)


def bare(data: TrainingData, todo: TrainingTask) -> Callable[[int], None]:
    """Return an epoch in plain NumPy; it is given its number."""
    rate, steps = np.float32(RATE), 0
    shapes = [(data.features.shape[1], data.classes), (data.classes,)]
    weights, first, second = ([np.zeros(one, np.float32) for one in shapes] for _ in range(3))
    mean = data.features[data.train].mean(axis=0)
    deviation = data.features[data.train].std(axis=0)

    def taken(rows: np.ndarray) -> np.ndarray:
        found = data.features[rows]
        return (found - mean) / deviation if todo.head_parameters["normalization"] else found

    def probabilities(features: np.ndarray) -> np.ndarray:
        logits = features @ weights[0] + weights[1]
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        return shares / shares.sum(axis=1, keepdims=True)

    def epoch(number: int) -> None:
        nonlocal steps
        order = epoch_order(len(data.train), 0, number)
        for start in range(0, len(order), todo.batch_size):
            chosen = order[start : start + todo.batch_size]
            features, labels = taken(data.train[chosen]), data.train_labels[chosen]
            slopes = probabilities(features)
            slopes[np.arange(len(chosen)), labels] -= 1
            slopes /= len(chosen)
            steps += 1
            for part, gradient in enumerate((features.T @ slopes, slopes.sum(axis=0))):
                if todo.optimizer == "SGD":
                    weights[part] -= rate * gradient
                    continue
                m, v = first[part], second[part]
                m += np.float32(0.1) * (gradient - m)
                v += np.float32(0.001) * (gradient * gradient - v)
                length = rate * np.float32((1 - 0.999**steps) ** 0.5 / (1 - 0.9**steps))
                weights[part] -= length * m / (np.sqrt(v) + np.float32(1e-7))
        shares = probabilities(taken(data.validation))
        known = data.validation_labels
        np.log(shares[np.arange(len(known)), known]).mean()
        (shares.argmax(axis=1) == known).mean()

    return epoch


def trained(trainer: HeadTrainer | LinearTrainer, todo: TrainingTask) -> Callable[[int], None]:
    """Return an epoch of a trainer; it is given its number."""
    loop = trainer.begin(todo, None)
    steps = -(-len(trainer.data.train) // BATCH)
    rates = np.full(steps, RATE, np.float32)
    return lambda number: trainer.epoch(loop, todo, None, number, rates)


def fastest(ways: list[Callable[[int], None]], epochs: int) -> list[float]:
    """Return milliseconds of the processor in the best epoch of each way; they take turns."""
    found = [[] for _ in ways]
    for number in range(1, epochs + 2):
        for way, taken in zip(ways, found, strict=True):
            started = time.process_time()
            way(number)
            taken.append(1000 * (time.process_time() - started))
    return [min(taken[1:]) for taken in found]


def main() -> None:
    """Print a line for each size, and for what else a head may have."""
    print("images x features -> classes      Keras     NumPy      bare   Keras/NumPy  NumPy/bare")
    for images, features, classes, epochs in SIZES:
        data = drawn(images, features, classes)
        for optimizer, normalization in (("SGD", False), ("SGD", True), ("Adam", True)):
            todo = task(optimizer, normalization)
            ways = [trained(one, todo) for one in (HeadTrainer(data), LinearTrainer(data))]
            keras, ours, plain = fastest([*ways, bare(data, todo)], epochs)
            name = f"{images:,} x {features:,} -> {classes} {optimizer}{' std' * normalization}"
            print(
                f"{name:30} {keras:8.2f} {ours:9.2f} {plain:9.2f} {keras / ours:10.2f} "
                f"{ours / plain:11.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
