"""Early stopping as an Optuna pruner."""

from __future__ import annotations

import sys
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
    return len(values) >= earliest_plateau(values, patience, min_delta)


def earliest_plateau(values: Sequence[float], patience: int = 10, min_delta: float = 0.0) -> int:
    """Return the epoch that EarlyStopping stops at where no later one improves on `values`.

    It is the first that it might stop at: an improvement puts it off. See `has_plateaued`.
    """
    best, best_at = None, 0
    for position, value in enumerate(values):
        if best is None or np.float32(value - abs(min_delta)) > best:
            best, best_at = np.float32(value), position
    return best_at + 1 + max(1, patience)


def never(values: Sequence[float]) -> int:
    """Return an epoch that no trial has."""
    return sys.maxsize
