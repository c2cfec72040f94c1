"""What an epoch is ranked by, where that is not its validation accuracy."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from automl_cv.catalog.metrics import METRICS
from automl_cv.errors import UserError
from automl_cv.history import Epoch
from automl_cv.scoring import figure


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
