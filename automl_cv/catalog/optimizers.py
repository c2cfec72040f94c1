"""The optimizers a space may name: Keras's own classes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from automl_cv.registry import Entry, Table


@dataclass(frozen=True)
class Hyperparameter:
    """A number of an optimizer that a space may search.

    Args:
        default: Keras's default.
        highest: the highest value that Keras takes; the lowest is 0.
    """

    default: float
    highest: float = math.inf


@dataclass(frozen=True, kw_only=True)
class OptimizerEntry(Entry):
    """An optimizer and those of its hyperparameters that a space may search.

    Args:
        parameters: hyperparameters by the name of the Keras class's own argument.
    """

    parameters: Mapping[str, Hyperparameter] = field(default_factory=dict)


_MOMENTUM = {"momentum": Hyperparameter(default=0.0, highest=1.0)}

OPTIMIZERS: Table[OptimizerEntry] = Table(
    "optimizer",
    [
        OptimizerEntry(
            name="SGD",
            about="stochastic gradient descent, with momentum where it is above 0",
            target="keras.optimizers:SGD",
            parameters=_MOMENTUM,
        ),
        OptimizerEntry(
            name="RMSprop",
            about="gradient divided by a running root mean square (Hinton 2012)",
            target="keras.optimizers:RMSprop",
            parameters=_MOMENTUM,
        ),
        OptimizerEntry(
            name="Adagrad",
            about="rates that shrink with the sum of squared gradients (Duchi et al. 2011)",
            target="keras.optimizers:Adagrad",
        ),
        OptimizerEntry(
            name="Adadelta",
            about="running averages of gradients and updates (Zeiler 2012, whose rate is 1.0)",
            target="keras.optimizers:Adadelta",
        ),
        OptimizerEntry(
            name="Adam",
            about="running first and second moments (Kingma and Ba 2014)",
            target="keras.optimizers:Adam",
        ),
        OptimizerEntry(
            name="Adamax",
            about="Adam with the infinity norm (Kingma and Ba 2014, section 7)",
            target="keras.optimizers:Adamax",
        ),
        OptimizerEntry(
            name="Nadam",
            about="Adam with Nesterov momentum (Dozat 2016)",
            target="keras.optimizers:Nadam",
        ),
    ],
)
