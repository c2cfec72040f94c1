"""A small network on small pictures: all that a checkpoint has to keep is in it.

    python -m tests.engine.small_network FOLDER [EPOCH]

trains it with FOLDER for its checkpoint, and with EPOCH kills itself with signal 9 there.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import sys
from pathlib import Path

import numpy as np

from automl_cv.engine import runtime
from automl_cv.engine.network import NetworkData, NetworkTrainer
from automl_cv.study.trial import TrainingTask
from automl_cv.trained import TrainingResult

keras = runtime.keras

IMAGES, VALIDATION, CLASSES, SIZE = 41, 20, 3, 8

TASK = TrainingTask(
    optimizer="Adam",
    batch_size=8,
    learning_rate=0.01,
    epochs=6,
    seed=3,
    head="linear",
    head_parameters={"label_smoothing": 0.1, "weight_decay": 0.01},
    schedule="reduce_on_plateau",
    schedule_parameters={"plateau_patience": 2, "plateau_factor": 0.5, "plateau_delta": 0.5},
)


def pictures(n_images: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return images whose colour gives their class, and much noise."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, CLASSES, n_images).astype(np.int32)
    pixels = draw.integers(0, 200, (n_images, SIZE, SIZE, 3)).astype(np.uint8)
    pixels[np.arange(n_images), :, :, labels] += 40
    return pixels, labels


def data(*, soft: bool = False, fingerprint: str = "pictures") -> NetworkData:
    (train, labels), (validation, known) = pictures(IMAGES, 0), pictures(VALIDATION, 1)
    shares = np.eye(CLASSES, dtype=np.float32)[labels] if soft else labels
    return NetworkData(
        training_batch=lambda rows, epoch, seed: ((train[rows],), shares[rows]),
        training_labels=labels,
        validation_batch=lambda rows: ((validation[rows],), known[rows]),
        validation_images=VALIDATION,
        classes=CLASSES,
        fingerprint=fingerprint,
    )


def build(task: TrainingTask, *, normalizing: bool = True) -> keras.Model:
    pixels = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.Rescaling(1 / 127.5, offset=-1.0)(pixels)
    x = keras.layers.Conv2D(6, 3)(x)
    if normalizing:
        x = keras.layers.BatchNormalization()(x)
        x = keras.layers.Dropout(0.3)(x)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(x))
    return keras.Model(pixels, keras.layers.Dense(CLASSES)(x))


def train(folder: Path | None = None, on_epoch=lambda epoch: None, **changes) -> TrainingResult:
    trainer = NetworkTrainer(data(), build)
    return trainer.train(dataclasses.replace(TASK, **changes), on_epoch, folder)


def figures(result: TrainingResult) -> dict:
    """Return all that must be the same to the bit, as plain data."""
    epochs = [dataclasses.asdict(epoch) for epoch in result.history.epochs]
    for epoch in epochs:
        del epoch["seconds"]
    weights = [weight.tolist() for weight in result.weights]
    return {"epochs": epochs, "stop": result.history.stop_reason, "weights": weights}


def main() -> None:
    folder, killed_at = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else None

    def on_epoch(epoch):
        if epoch.epoch == killed_at:
            os.kill(os.getpid(), signal.SIGKILL)

    print(json.dumps(figures(train(folder, on_epoch))))


if __name__ == "__main__":
    main()
