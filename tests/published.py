"""The published experiment's trials as a database, for tests of storage and report.

Source: slides "Introduction to Machine Learning for Computer Vision" (López Camuñas, Conde,
Martin Martinez). The figures at each best epoch are published, the other epochs are made up.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import RDBStorage

from automl_cv.history import Epoch, History
from automl_cv.store.database import open_storage
from automl_cv.store.facts import StageFacts, StudyFacts
from automl_cv.store.trials import StageTrials
from tests.stored import put

# batch size, optimizer, learning rate, momentum, epochs, accuracy, val accuracy, loss, val loss
COARSE = [
    (76, "Adadelta", 0.120, None, 50, 0.9753, 0.9026, 0.2084, 0.3486),
    (49, "RMSprop", 0.035, 0.10, 20, 1.0, 0.9219, 5.98e-5, 1.0268),
    (61, "RMSprop", 0.035, 0.10, 24, 1.0, 0.9092, 3.74e-6, 1.1813),
    (97, "RMSprop", 0.182, 0.50, 21, 0.9406, 0.9148, 3.848, 8.7942),
    (29, "SGD", 0.044, 0.13, 30, 1.0, 0.9328, 0.0082, 0.2042),
    (67, "SGD", 0.088, 0.26, 18, 0.988, 0.9342, 0.0361, 0.208),
]
NARROWED = [
    (43, "SGD", 0.066, 0.18, 36, 1.0, 0.9311, 0.0065, 0.2349),
    (42, "SGD", 0.097, 0.29, 23, 1.0, 0.9272, 0.0050, 0.2648),
    (48, "SGD", 0.085, 0.24, 31, 1.0, 0.9246, 0.0054, 0.2636),
    (63, "SGD", 0.080, 0.23, 32, 1.0, 0.9343, 0.0102, 0.1983),
    (62, "SGD", 0.045, 0.11, 37, 1.0, 0.9310, 0.0210, 0.2028),
]
PATIENCE = 10

DISTRIBUTIONS = {
    "batch_size": IntDistribution(10, 100),
    "optimizer": CategoricalDistribution(
        ("SGD", "RMSprop", "Adagrad", "Adadelta", "Adam", "Adamax", "Nadam")
    ),
    "learning_rate": FloatDistribution(0.0001, 0.3),
    "momentum": FloatDistribution(0.0, 0.9),
}

FACTS = StudyFacts(
    study={"name": "slides", "backbone": {"name": "resnet50"}, "data": {"source": "photos"}},
    digest="0123456789abcdef",
    versions={"automl_cv": "0.1.0", "optuna": "5.0.0"},
    data_source="photos",
    data_fingerprint="fedcba9876543210",
    class_names=("boat", "mug [blue]", "<tree>"),
    split_sizes={"train": 1881, "validation": 807, "test": 500},
    ledger={
        "n_read": 3188,
        "skipped": [
            {"path": "boat/7.jpg", "reason": "truncated"},
            {"path": "mug [blue]/1.jpg", "reason": "empty file"},
            {"path": "mug [blue]/2.jpg", "reason": "empty file"},
        ],
        "notes": [],
        "passed_over": 0,
        "sizes": None,
    },
    warnings=("2 images stand in train and in validation: mug [blue]/3.jpg, boat/5.jpg",),
    reference={
        "label": "logistic regression on the same features",
        "accuracy": 1.0,
        "val_accuracy": 0.9244,
        "loss": 0.0151,
        "val_loss": 0.2311,
        "seconds": 1.25,
    },
)
STAGE_FACTS = StageFacts(
    notes=("Adadelta's default learning rate in Keras is 0.001, the paper's 1.0",),
    started=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
)


def parameters_of(row: tuple) -> dict:
    names = ("batch_size", "optimizer", "learning_rate", "momentum")
    return {name: value for name, value in zip(names, row, strict=False) if value is not None}


def distributions_of(parameters: dict) -> dict:
    return {name: DISTRIBUTIONS[name] for name in parameters}


def history_of(row: tuple, stop_reason: str | None = None) -> History:
    """Rise to the published best epoch, then stay just below it until the trial's end."""
    *_, n_epochs, accuracy, val_accuracy, loss, val_loss = row
    best = n_epochs if n_epochs == 50 else n_epochs - PATIENCE
    stop_reason = stop_reason or ("epochs" if n_epochs == 50 else "plateau")
    epochs = tuple(
        Epoch(
            epoch=number,
            accuracy=accuracy,
            val_accuracy=val_accuracy - 0.001 * abs(best - number),
            loss=loss,
            val_loss=val_loss,
            learning_rate=row[2],
            seconds=0.01,
        )
        for number in range(1, n_epochs + 1)
    )
    return History(epochs, stop_reason, seconds=n_epochs / 100)


def finish(trials: StageTrials, trial: int, row: tuple, stop_reason: str | None = None) -> None:
    parameters = parameters_of(row)
    trials.finish(trial, parameters, distributions_of(parameters), history_of(row, stop_reason))


def fail(trials: StageTrials, trial: int, row: tuple, error: str) -> None:
    parameters = parameters_of(row)
    history = History(history_of(row).epochs[:2], "failed", error, 0.5)
    trials.finish(trial, parameters, distributions_of(parameters), history)


def build(folder: Path, file: str = "trials.db") -> tuple[str, RDBStorage]:
    """Make a database of both published stages; return its address and the open storage."""
    url = put(folder / file, store)
    return url, open_storage(url, create=False)


def store(storage: RDBStorage) -> None:
    for stage, rows in (("coarse", COARSE), ("narrowed", NARROWED)):
        own = replace(STAGE_FACTS, started=STAGE_FACTS.started.replace(hour=len(stage)))
        trials = StageTrials.create(storage, "slides", stage, FACTS, own)
        for trial, row in enumerate(rows):
            finish(trials, trial, row)
