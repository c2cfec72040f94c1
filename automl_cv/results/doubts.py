"""How much heads doubt a label that they did not learn from. NumPy alone, as any report asks.

The doubt of a label is p / (p + q), with q the probability of the label and p that of the
likeliest other class, both out of fold. Above one half the heads prefer the other class.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from optuna.storages import RDBStorage

from automl_cv.results.said import first_said
from automl_cv.store.records import TrialRecord
from automl_cv.store.runs import StudyRun

PROPOSED = 0.9
"""Doubt from which another label is proposed (docs/benchmarks.md)."""
PROPOSED_RATIO = math.log(PROPOSED / (1 - PROPOSED))
"""The same as the logarithm of the two probabilities' ratio."""


def doubts(logits: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return how much more the heads prefer another class than the label, and which.

    Args:
        logits: out of fold, (images, classes); two classes or more.
        labels: class numbers.

    Returns:
        Logarithm of the ratio of the probabilities of the likeliest other class and the label,
        float64 (images,); the number of that class.
    """
    others = logits.astype(np.float64)
    rows = np.arange(len(labels))
    own = others[rows, labels]
    others[rows, labels] = -np.inf
    likely = others.argmax(axis=1)
    return others[rows, likely] - own, likely


def doubt_of(ratio: float) -> float:
    """Return the doubt of a ratio of probabilities, given as its logarithm."""
    return 1 / (1 + math.exp(-ratio)) if ratio > -700 else 0.0


@dataclass(frozen=True)
class Doubted:
    """Images whose label the first trial of a run doubts, of those that validated it.

    Args:
        number: as many have a doubt from which another label is proposed.
        images: as many were looked at.
    """

    number: int
    images: int


def doubted(
    storage: RDBStorage | None, run: StudyRun, ranked: Sequence[TrialRecord]
) -> Doubted | None:
    """Return how many labels the first trial of a run doubts; see `said.first_said`."""
    found = first_said(storage, run, ranked)
    if found is None:
        return None
    kept, labels = found
    ratio, _ = doubts(np.log(kept.probabilities), labels.classes[:: kept.every])
    return Doubted(int((ratio >= PROPOSED_RATIO).sum()), len(ratio))
