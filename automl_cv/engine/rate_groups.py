"""Variables of a network by the rate that they learn at, an optimizer for each group."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from automl_cv.engine.training import new_optimizer
from automl_cv.study.stage import MIXED
from automl_cv.study.trial import TrainingTask

RateFactors = Callable[[keras.Model], Sequence[float]]
"""Returns what the learning rate is multiplied by, for each trainable variable of a network."""


def one_rate(network: keras.Model) -> list[float]:
    """Return a factor of 1 for each trainable variable."""
    return [1.0] * len(network.trainable_variables)


@dataclass(frozen=True)
class RateGroup:
    """Variables that learn at one rate.

    Args:
        factor: what the task's rate is multiplied by.
        places: of the variables, among all trainable ones.
        optimizer: their own; Keras's know one rate each. In half precision it scales the loss.
        rate: its rate, a variable.
    """

    factor: float
    places: Sequence[int]
    optimizer: keras.Optimizer
    rate: Any


def grouped(
    variables: Sequence[Any], factors: Sequence[float], task: TrainingTask
) -> tuple[RateGroup, ...]:
    """Return variables by their factor of the rate, the largest first."""
    by_factor: dict[float, list[int]] = {}
    for place, factor in enumerate(factors):
        by_factor.setdefault(factor, []).append(place)
    groups = []
    for factor, places in sorted(by_factor.items(), reverse=True):
        optimizer = own = new_optimizer(task)
        if task.precision == MIXED:
            optimizer = keras.optimizers.LossScaleOptimizer(own)
        optimizer.build([variables[place] for place in places])
        groups.append(RateGroup(factor, places, optimizer, own.learning_rate))
    return tuple(groups)
