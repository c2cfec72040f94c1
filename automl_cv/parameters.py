"""The parameters that a trial knows: what a stage's space must and may hold."""

from __future__ import annotations

import math
from typing import Any

from automl_cv.catalog.optimizers import OPTIMIZERS
from automl_cv.errors import suggest
from automl_cv.space import Choice, Constant, FloatRange, IntRange, Space

# Parameters every trial needs, whatever its optimizer.
REQUIRED_PARAMETERS = ("optimizer", "batch_size", "learning_rate")


def checked_space(space: Space) -> Space:
    """Check a space against what training and its optimizers take.

    Returns:
        The space, whole numbers made floats where a parameter is a float.

    Raises:
        ValueError: a parameter is missing, unknown, or of values it can't take.
    """
    found = dict(space.parameters)
    missing = [name for name in REQUIRED_PARAMETERS if name not in found]
    if missing:
        raise ValueError(f"the space lacks {', '.join(missing)}")
    optimizers = _values(found["optimizer"], "optimizer")
    for name in optimizers:
        _check_optimizer(str(name))
    own = {
        name: hyperparameter
        for optimizer in optimizers
        for name, hyperparameter in OPTIMIZERS[str(optimizer)].parameters.items()
    }
    known = [*REQUIRED_PARAMETERS, *own]
    for name, parameter in found.items():
        if name not in known:
            raise ValueError(f"unknown parameter {name!r}: {suggest(name, known)}")
        if name == "batch_size":
            _check_batch_size(parameter)
        elif name != "optimizer":
            found[name] = _as_float(name, parameter)
            _check_bounds(name, found[name], own[name].highest if name in own else math.inf)
    return Space(parameters=found)


def _values(parameter: Any, name: str) -> tuple[Any, ...]:
    match parameter:
        case Constant():
            return (parameter.value,)
        case Choice():
            return parameter.choices
    raise ValueError(f"{name}: expected a name or a list of names, got {parameter}")


def _check_batch_size(parameter: Any) -> None:
    if isinstance(parameter, FloatRange):
        raise ValueError(f"batch_size: expected whole numbers, got {parameter}")
    if isinstance(parameter, IntRange):
        values: tuple[Any, ...] = (parameter.low,)
    else:
        values = _values(parameter, "batch_size")
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"batch_size: expected whole numbers from 1, got {value!r}")


def _as_float(name: str, parameter: Any) -> Any:
    """Return a parameter that only takes numbers: `low = 0, high = 1` is no whole number here."""
    if not isinstance(parameter, IntRange):
        return parameter
    return FloatRange(
        low=float(parameter.low),
        high=float(parameter.high),
        step=None if parameter.step is None else float(parameter.step),
        log=parameter.log,
        when=parameter.when,
    )


def _check_bounds(name: str, parameter: Any, highest: float) -> None:
    if isinstance(parameter, FloatRange):
        values: tuple[Any, ...] = (parameter.low, parameter.high)
    else:
        values = _values(parameter, name)
    for value in values:
        if isinstance(value, bool | str):
            raise ValueError(f"{name}: expected numbers, got {value!r}")
        if name == "learning_rate" and value <= 0:
            raise ValueError(f"{name}: expected numbers above 0, got {value:g}")
        if not 0 <= value <= highest:
            bounds = f"from 0 to {highest:g}" if math.isfinite(highest) else "from 0"
            raise ValueError(f"{name}: expected numbers {bounds}, got {value:g}")


def _check_optimizer(name: str) -> None:
    if name not in OPTIMIZERS:
        raise ValueError(f"unknown optimizer {name!r}: {suggest(name, OPTIMIZERS.names)}")
