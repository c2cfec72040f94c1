"""Early stopping as an Optuna pruner."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from optuna.pruners import BasePruner
from optuna.study import Study
from optuna.trial import FrozenTrial


class EarlyStoppingPruner(BasePruner):
    """Stops a trial at the epoch where `keras.callbacks.EarlyStopping` would.

    Optuna's PatientPruner does not: it waits for a window that is strictly worse than
    what came before, so a curve that stays level is never stopped.

    Args:
        patience: epochs without improvement after which a trial stops, from 0.
        min_delta: a value must pass the best one by more than this to be an improvement.
    """

    def __init__(self, patience: int = 10, min_delta: float = 0.0) -> None:
        self._patience = patience
        self._min_delta = abs(min_delta)

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Return whether the trial's reported values have reached the end of patience."""
        values = [trial.intermediate_values[step] for step in sorted(trial.intermediate_values)]
        return has_plateaued(values, self._patience, self._min_delta)


def has_plateaued(values: Sequence[float], patience: int, min_delta: float) -> bool:
    """Tell whether Keras's EarlyStopping, mode "max", would stop after the last of `values`.

    A tie is no improvement, nor is NaN; after a NaN in the first epoch nothing is, as
    in Keras. Nothing stops after the first epoch. Keras takes `min_delta` off in float64 and
    compares in float32: an accuracy that gains exactly one image of n does not pass by
    `min_delta = 1 / n`, whereas in float64 rounding would decide.

    Args:
        values: one a epoch, from the first.
        patience: epochs without improvement that are waited for.
        min_delta: not below 0.
    """
    best, best_at = None, 0
    for position, value in enumerate(values):
        if best is None or np.float32(value - min_delta) > best:
            best, best_at = np.float32(value), position
    last = len(values) - 1
    return last > 0 and last > best_at and last - best_at >= patience
