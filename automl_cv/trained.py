"""What a training learns from, and what comes of it: plain data, whoever trains. NumPy alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from automl_cv.catalog.metrics import METRICS
from automl_cv.errors import UserError
from automl_cv.history import Epoch, History, StopReason
from automl_cv.scoring import figure


@dataclass(frozen=True)
class TrainingData:
    """Features and labels of the two splits that a search may see.

    Args:
        features: float32, shape (images, features); may be memory-mapped.
        train: rows of `features` to train on, shape (n,).
        train_labels: class indices of those rows, int32, shape (n,).
        validation: rows to validate on, shape (m,).
        validation_labels: class indices of those rows, int32, shape (m,).
        classes: number of classes.
        content_hashes: of the training images; needed only where a task mixes them.
    """

    features: np.ndarray
    train: np.ndarray
    train_labels: np.ndarray
    validation: np.ndarray
    validation_labels: np.ndarray
    classes: int
    content_hashes: Sequence[str] = ()


@dataclass(frozen=True)
class TrainingResult:
    """What came of a task.

    Args:
        history: every epoch, and why training ended.
        weights: the head's weights at the best epoch (of a replay: at the last), in the
            model's order; empty if no epoch ended well.
        optimizer_config: what Keras made of the optimizer, its own defaults included.
        probabilities: of the images that validate, by these weights: float32 (m, classes); None
            where no epoch ended well, and where nobody keeps them.
    """

    history: History
    weights: tuple[np.ndarray, ...]
    optimizer_config: Mapping[str, Any]
    probabilities: np.ndarray | None = None


OnEpoch = Callable[[Epoch], StopReason | None]
"""Is told each epoch; returns why training should stop, or None to go on."""


def scored(
    epoch: Epoch, metric: str, labels: np.ndarray, probabilities: Callable[[], np.ndarray]
) -> Epoch:
    """Return an epoch with its score.

    Args:
        epoch: without one.
        metric: an entry of the table of metrics.
        labels: class indices of the validation images, shape (images,).
        probabilities: returns those of the validation images after the epoch, float32
            (images, classes); is called only where the metric needs them.

    Raises:
        UserError: the validation images do not determine the metric.
    """
    entry = METRICS[metric]
    if not entry.has_own_column:
        return epoch
    if not epoch.is_finite:
        return replace(epoch, score=math.nan)
    if entry.of_epoch is not None:
        value = getattr(epoch, entry.of_epoch)
    else:
        value = figure(metric, labels, probabilities())
    if value is None:
        raise UserError(
            f"metric: {metric!r} can't be measured on these {len(labels):,} validation images, "
            "as they are of too few classes; choose another metric or another split"
        )
    return replace(epoch, score=entry.score(float(value)))
