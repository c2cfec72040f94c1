"""A searched stage with a known answer: optimizer and learning rate matter, momentum does not."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import RDBStorage

from automl_cv.history import Epoch, History
from automl_cv.store.facts import StudyFacts
from automl_cv.store.trials import StageTrials
from tests.stored import put

OPTIMIZERS = ("SGD", "RMSprop", "Adam")
N_VALIDATION = 360

SPACE: dict[str, Any] = {
    "optimizer": {"choices": OPTIMIZERS},
    "batch_size": {"low": 10, "high": 100},
    "learning_rate": {"low": 1e-4, "high": 0.3, "log": True},
    "weight_decay": {"value": 0.0},
    "momentum": {"low": 0.0, "high": 0.9, "when": {"optimizer": ("SGD", "RMSprop")}},
}

DISTRIBUTIONS = {
    "optimizer": CategoricalDistribution(OPTIMIZERS),
    "batch_size": IntDistribution(10, 100),
    "learning_rate": FloatDistribution(1e-4, 0.3, log=True),
    "weight_decay": CategoricalDistribution((0.0,)),
    "momentum": FloatDistribution(0.0, 0.9),
}


def draw(generator: np.random.Generator) -> dict[str, Any]:
    parameters = {
        "optimizer": str(generator.choice(OPTIMIZERS)),
        "batch_size": int(generator.integers(10, 101)),
        "learning_rate": float(np.exp(generator.uniform(math.log(1e-4), math.log(0.3)))),
        "weight_decay": 0.0,
    }
    if parameters["optimizer"] != "Adam":
        parameters["momentum"] = float(generator.uniform(0, 0.9))
    return parameters


def accuracy_of(parameters: dict[str, Any], generator: np.random.Generator) -> float:
    """A whole number of images: ties are as common as in a real search."""
    by_optimizer = {"SGD": 0.0, "RMSprop": -0.12, "Adam": -0.06}[parameters["optimizer"]]
    distance = math.log(parameters["learning_rate"] / 0.02)
    value = 0.9 + by_optimizer - 0.01 * distance**2 + generator.normal(0, 0.01)
    return round(min(max(value, 0.0), 1.0) * N_VALIDATION) / N_VALIDATION


def drawn(
    folder: Path, n_trials: int, *, accuracy: float | None = None, sampler: str = "random"
) -> str:
    """Make a database of one searched stage, all of one accuracy if given; return its address."""
    return put(folder / "automl-cv.db", store, n_trials, accuracy, sampler)


def store(storage: RDBStorage, n_trials: int, accuracy: float | None, sampler: str) -> None:
    declared = {
        "name": "coarse",
        "space": {"parameters": SPACE},
        "retrain": None,
        "sampler": {"name": sampler},
    }
    known = StudyFacts(study={"name": "made-up", "stage": [declared]})
    trials = StageTrials.create(storage, "made-up", "coarse", known)
    generator = np.random.default_rng(1)
    for number in range(n_trials):
        parameters = draw(generator)
        value = accuracy_of(parameters, generator) if accuracy is None else accuracy
        epoch = Epoch(1, 1.0, value, 0.1, 0.3, parameters["learning_rate"], 0.01)
        distributions = {name: DISTRIBUTIONS[name] for name in parameters}
        trials.finish(number, parameters, distributions, History((epoch,), "epochs", seconds=0.01))
