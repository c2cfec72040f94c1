"""The optimizers a space may name: Keras's own classes, and what does the same in NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from automl_cv.catalog.settings import SettableEntry, Setting
from automl_cv.registry import Table, load


@dataclass(frozen=True, kw_only=True)
class OptimizerEntry(SettableEntry):
    """An optimizer; its parameters are the Keras class's own arguments that a space may hold.

    The heads' training is compiled once for all values of a number with a point. Those of
    other kinds (`nesterov`, `amsgrad`) decide what is compiled, once for each value.

    Args:
        step: "package.module:attribute", a `training.optimizers.Step` that does the same without
            Keras, for heads of one layer; empty where they too are trained by Keras.
    """

    step: str = ""

    def load_step(self) -> Any:
        """Import and return the class that `step` names."""
        return load(self.step)

    @property
    def live(self) -> frozenset[str]:
        """Names of the parameters that one compiled step takes any value of."""
        return frozenset(name for name, one in self.parameters.items() if one.kind is float)


_MOMENTUM = {"momentum": Setting(0.0, lowest=0, highest=1)}


def _betas(first: float, second: float) -> dict[str, Setting]:
    """Return how much of their past two running averages keep, with Keras's defaults."""
    return {
        "beta_1": Setting(first, lowest=0, highest=1, open_ends=(False, True)),
        "beta_2": Setting(second, lowest=0, highest=1, open_ends=(False, True)),
    }


OPTIMIZERS: Table[OptimizerEntry] = Table(
    "optimizer",
    [
        OptimizerEntry(
            name="SGD",
            about="stochastic gradient descent, with momentum where it is above 0",
            target="keras.optimizers:SGD",
            step="automl_cv.training.optimizers:SGD",
            parameters=_MOMENTUM,
        ),
        OptimizerEntry(
            name="RMSprop",
            about="gradient divided by a running root mean square (Hinton 2012)",
            target="keras.optimizers:RMSprop",
            step="automl_cv.training.optimizers:RMSprop",
            parameters=_MOMENTUM,
        ),
        OptimizerEntry(
            name="Adagrad",
            about="rates that shrink with the sum of squared gradients (Duchi et al. 2011)",
            target="keras.optimizers:Adagrad",
            step="automl_cv.training.optimizers:Adagrad",
        ),
        OptimizerEntry(
            name="Adadelta",
            about="running averages of gradients and updates (Zeiler 2012, whose rate is 1.0)",
            target="keras.optimizers:Adadelta",
            step="automl_cv.training.optimizers:Adadelta",
        ),
        OptimizerEntry(
            name="Adam",
            about="running first and second moments (Kingma and Ba 2014)",
            target="keras.optimizers:Adam",
            step="automl_cv.training.optimizers:Adam",
        ),
        OptimizerEntry(
            name="Adamax",
            about="Adam with the infinity norm (Kingma and Ba 2014, section 7)",
            target="keras.optimizers:Adamax",
            step="automl_cv.training.optimizers:Adamax",
        ),
        OptimizerEntry(
            name="Nadam",
            about="Adam with Nesterov momentum (Dozat 2016)",
            target="keras.optimizers:Nadam",
            step="automl_cv.training.optimizers:Nadam",
        ),
        OptimizerEntry(
            name="Lion",
            about="the sign of a running gradient; wants a small rate (Chen et al. 2023)",
            target="keras.optimizers:Lion",
            step="automl_cv.training.optimizers:Lion",
            parameters=_betas(0.9, 0.99),
        ),
        OptimizerEntry(
            name="Adafactor",
            about="second moments by row and column; rates relative to weights (Shazeer 2018)",
            target="keras.optimizers:Adafactor",
            step="automl_cv.training.optimizers:Adafactor",
            parameters={"clip_threshold": Setting(1.0, lowest=0, open_ends=(True, False))},
        ),
        OptimizerEntry(
            name="Lamb",
            about="Adam whose steps are as long as each layer's weights (You et al. 2019)",
            target="keras.optimizers:Lamb",
            step="automl_cv.training.optimizers:Lamb",
            parameters=_betas(0.9, 0.999),
        ),
    ],
)
