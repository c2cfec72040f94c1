"""Searches whose trials said something of images: made up, with labels, as `search` stores them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from optuna.storages import RDBStorage

from automl_cv.history import Epoch, History
from automl_cv.store.facts import StudyFacts
from automl_cv.store.labels import write_labels
from automl_cv.store.trials import StageTrials
from tests.published import COARSE, distributions_of, parameters_of
from tests.stored import put

PARAMETERS = parameters_of(COARSE[5])
CLASSES = ("cat", "dog")
IMAGES = 200


def searched(
    folder: Path,
    accuracies: Sequence[float],
    *,
    folds: bool = True,
    metric: str = "accuracy",
    labelled: bool = True,
    grouped: bool = False,
    unkept: int | None = None,
) -> str:
    """Make a database of one stage; return its address.

    Args:
        folder: where.
        accuracies: what each trial's classifier is worth on images without end.
        folds: whether images validate out of fold.
        metric: of the study.
        labelled: whether the run has labels.
        grouped: whether every ten images are a group.
        unkept: a trial that kept no predictions.
    """
    options = (folds, metric, labelled, grouped, unkept)
    return put(folder / "automl-cv.db", _store, tuple(accuracies), options)


def _store(storage: RDBStorage, accuracies: Sequence[float], options: tuple) -> None:
    folds, metric, labelled, grouped, unkept = options
    study = {"name": "made-up", "metric": metric, "stage": [{"name": "coarse"}]}
    if folds:
        study |= {"validation": "folds", "folds": 5}
    sizes = {"train": IMAGES // 2, "validation": IMAGES // 2}
    if not folds:
        sizes = {"train": 2 * IMAGES, "validation": IMAGES}
    known = StudyFacts(study=study, class_names=CLASSES, split_sizes=sizes)
    trials = StageTrials.create(storage, "made-up", "coarse", known)
    generator = np.random.default_rng(0)
    labels = np.repeat([0, 1], IMAGES // 2)
    if labelled:
        groups = [f"patient {row // 10}" for row in range(IMAGES)] if grouped else ()
        write_labels(storage, "made-up", labels, groups)
    for slot, accuracy in enumerate(accuracies):
        said = _said(generator, labels, accuracy)
        finish(trials, slot, labels, said, keep=slot != unkept)


def _said(generator: np.random.Generator, labels: np.ndarray, accuracy: float) -> np.ndarray:
    sure = generator.uniform(0.6, 0.95, len(labels))
    own = np.where(generator.uniform(size=len(labels)) < accuracy, sure, 1 - sure)
    return np.where(labels[:, None] == [0, 1], own[:, None], 1 - own[:, None]).astype(np.float32)


def finish(
    trials: StageTrials, slot: int, labels: np.ndarray, said: np.ndarray, *, keep: bool = True
) -> None:
    """Store a trial by what it said."""
    accuracy = float((said.argmax(axis=1) == labels).mean())
    own = said[np.arange(len(labels)), labels].astype(np.float64)
    loss = float(-np.log(np.maximum(own, 1e-38)).mean())
    score = -loss if trials.facts.metric.name == "log_loss" else None
    epoch = Epoch(1, 1.0, accuracy, 0.01, loss, 0.1, 0.5, score)
    distributions = distributions_of(PARAMETERS)
    history = History((epoch,), "epochs", seconds=0.5)
    probabilities = said if keep else None
    trials.finish(slot, PARAMETERS, distributions, history, probabilities=probabilities)
