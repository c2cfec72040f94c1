"""Keras's optimizers as steps in NumPy, for heads of one dense layer.

Each step does the arithmetic of the Keras class of its name (keras/src/optimizers/, Keras 3.15) in
float32, operation by operation in the same order, so that the same gradients give the same weights.
Only what it is done in differs: arrays that are there already. Kernel and bias are rows of one
array, of which each step is one sequence of operations.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Number = Any
"""A float32 number, or one of Python's, which NumPy rounds to float32 beside an array of these:
as in Keras, where a number that is a variable of the compiled loop is float32 from the start."""


class Step(ABC):
    """An optimizer and its state.

    Args:
        shape: of kernel and bias, the bias being the last row: (features + 1, classes).
        own: the optimizer's parameters by name, those of `defaults` that differ.
    """

    keras_name: ClassVar[str]
    """What Keras calls an optimizer of the class where it is the first of a process."""
    defaults: ClassVar[Mapping[str, Any]]
    """The Keras class's own arguments with its defaults, in the order of its `get_config`."""

    def __init__(self, shape: tuple[int, int], own: Mapping[str, Number]) -> None:
        self._own: dict[str, Number] = {**self.defaults, **own}
        self._scratch = [np.empty(shape, np.float32) for _ in range(2)]
        self._steps = np.zeros((), np.int64)
        self.state: list[np.ndarray] = [self._steps]
        """All that a step changes but the weights, in place."""

    def _kept(self, shape: tuple[int, ...], first: float = 0.0) -> Array:
        """Return an array that belongs to the state."""
        self.state.append(np.full(shape, first, np.float32))
        return self.state[-1]

    def step(self, weights: Array, gradient: Array, rate: np.float32) -> None:
        """Change weights by one step, in place.

        Args:
            weights: kernel, and bias as the last row.
            gradient: of the same shape; is written over.
            rate: the learning rate.
        """
        self._steps += 1
        self._step(weights, gradient, rate)

    @abstractmethod
    def _step(self, weights: Array, gradient: Array, rate: np.float32) -> None: ...


class SGD(Step):
    """Stochastic gradient descent."""

    keras_name = "sgd"
    defaults: ClassVar[Mapping[str, Any]] = {"momentum": 0.0, "nesterov": False}

    def __init__(self, shape: tuple[int, int], own: Mapping[str, Number]) -> None:
        super().__init__(shape, own)
        # Without it an update is the same to the bit: 0 x moving - gradient x rate.
        self._moving = self._kept(shape) if self._own["momentum"] else None

    def _step(self, weights: Array, gradient: Array, rate: np.float32) -> None:
        momentum, moving = self._own["momentum"], self._moving
        np.multiply(gradient, rate, out=gradient)
        if moving is None:
            np.subtract(weights, gradient, out=weights)
            return
        np.multiply(moving, momentum, out=moving)
        np.subtract(moving, gradient, out=moving)
        if self._own["nesterov"]:
            ahead = self._scratch[0]
            np.multiply(moving, momentum, out=ahead)
            np.subtract(ahead, gradient, out=ahead)
            np.add(weights, ahead, out=weights)
        else:
            np.add(weights, moving, out=weights)


class RMSprop(Step):
    """Gradient divided by a running root mean square."""

    keras_name = "rm_sprop"
    defaults: ClassVar[Mapping[str, Any]] = {
        "rho": 0.9,
        "momentum": 0.0,
        "epsilon": 1e-7,
        "centered": False,
    }

    def __init__(self, shape: tuple[int, int], own: Mapping[str, Number]) -> None:
        super().__init__(shape, own)
        self._velocity = self._kept(shape)
        self._moving = self._kept(shape) if self._own["momentum"] else None
        self._average = self._kept(shape) if self._own["centered"] else None

    def _step(self, weights: Array, gradient: Array, rate: np.float32) -> None:
        own, (divisor, other) = self._own, self._scratch
        running(self._velocity, own["rho"], np.square(gradient, out=divisor))
        if self._average is not None:
            np.copyto(other, gradient)
            running(self._average, own["rho"], other)
            np.subtract(self._velocity, np.square(self._average, out=other), out=divisor)
            np.add(divisor, own["epsilon"], out=divisor)
        else:
            np.add(self._velocity, own["epsilon"], out=divisor)
        np.multiply(gradient, rate, out=gradient)
        np.divide(gradient, np.sqrt(divisor, out=divisor), out=gradient)
        if self._moving is not None:
            np.multiply(self._moving, own["momentum"], out=self._moving)
            np.add(self._moving, gradient, out=self._moving)
            gradient = self._moving
        np.subtract(weights, gradient, out=weights)


class Adagrad(Step):
    """Rates that shrink with the sum of squared gradients."""

    keras_name = "adagrad"
    defaults: ClassVar[Mapping[str, Any]] = {"initial_accumulator_value": 0.1, "epsilon": 1e-7}

    def __init__(self, shape: tuple[int, int], own: Mapping[str, Number]) -> None:
        super().__init__(shape, own)
        self._sum = self._kept(shape, self._own["initial_accumulator_value"])

    def _step(self, weights: Array, gradient: Array, rate: np.float32) -> None:
        divisor = self._scratch[0]
        np.add(self._sum, np.square(gradient, out=divisor), out=self._sum)
        np.add(self._sum, self._own["epsilon"], out=divisor)
        np.multiply(gradient, rate, out=gradient)
        np.divide(gradient, np.sqrt(divisor, out=divisor), out=gradient)
        np.subtract(weights, gradient, out=weights)


class Adadelta(Step):
    """Running averages of gradients and updates."""

    keras_name = "adadelta"
    defaults: ClassVar[Mapping[str, Any]] = {"rho": 0.95, "epsilon": 1e-7}

    def __init__(self, shape: tuple[int, int], own: Mapping[str, Number]) -> None:
        super().__init__(shape, own)
        self._gradients, self._updates = self._kept(shape), self._kept(shape)

    def _step(self, weights: Array, gradient: Array, rate: np.float32) -> None:
        own, (one, other) = self._own, self._scratch
        running(self._gradients, own["rho"], np.square(gradient, out=one))
        np.sqrt(np.add(self._updates, own["epsilon"], out=one), out=one)
        np.multiply(one, gradient, out=gradient)
        np.sqrt(np.add(self._gradients, own["epsilon"], out=one), out=one)
        np.divide(gradient, one, out=gradient)
        running(self._updates, own["rho"], np.square(gradient, out=other))
        np.multiply(gradient, rate, out=gradient)
        np.subtract(weights, gradient, out=weights)


class Adam(Step):
    """Running first and second moments."""

    keras_name = "adam"
    defaults: ClassVar[Mapping[str, Any]] = {
        "beta_1": 0.9,
        "beta_2": 0.999,
        "epsilon": 1e-7,
        "amsgrad": False,
    }

    def __init__(self, shape: tuple[int, int], own: Mapping[str, Number]) -> None:
        super().__init__(shape, own)
        self._first, self._second = self._kept(shape), self._kept(shape)
        self._largest = self._kept(shape) if self._own["amsgrad"] else None

    def _step(self, weights: Array, gradient: Array, rate: np.float32) -> None:
        own, (divisor, other) = self._own, self._scratch
        left_1, left_2 = (1 - power(own[beta], self._steps) for beta in ("beta_1", "beta_2"))
        moments(self._first, self._second, gradient, own, other)
        second = self._second
        if self._largest is not None:
            second = np.maximum(self._largest, second, out=self._largest)
        np.add(np.sqrt(second, out=divisor), own["epsilon"], out=divisor)
        np.multiply(self._first, rate * np.sqrt(left_2) / left_1, out=gradient)
        np.divide(gradient, divisor, out=gradient)
        np.subtract(weights, gradient, out=weights)


class Adamax(Step):
    """Adam with the infinity norm."""

    keras_name = "adamax"
    defaults: ClassVar[Mapping[str, Any]] = {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}

    def __init__(self, shape: tuple[int, int], own: Mapping[str, Number]) -> None:
        super().__init__(shape, own)
        self._first, self._norm = self._kept(shape), self._kept(shape)

    def _step(self, weights: Array, gradient: Array, rate: np.float32) -> None:
        own, (divisor, other) = self._own, self._scratch
        toward(self._first, gradient, 1 - own["beta_1"], other)
        np.multiply(self._norm, own["beta_2"], out=self._norm)
        np.maximum(self._norm, np.abs(gradient, out=gradient), out=self._norm)
        np.add(self._norm, own["epsilon"], out=divisor)
        np.multiply(divisor, 1 - power(own["beta_1"], self._steps), out=divisor)
        np.multiply(self._first, rate, out=gradient)
        np.divide(gradient, divisor, out=gradient)
        np.subtract(weights, gradient, out=weights)


class Nadam(Step):
    """Adam with Nesterov momentum."""

    keras_name = "nadam"
    defaults: ClassVar[Mapping[str, Any]] = {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}

    def __init__(self, shape: tuple[int, int], own: Mapping[str, Number]) -> None:
        super().__init__(shape, own)
        self._first, self._second = self._kept(shape), self._kept(shape)
        self._product = self._kept((), 1.0)

    def _step(self, weights: Array, gradient: Array, rate: np.float32) -> None:
        own, (divisor, other) = self._own, self._scratch
        beta_1, beta_2 = np.float32(own["beta_1"]), np.float32(own["beta_2"])
        # The momentum's own schedule, whose product so far is kept.
        warm, next_warm = (
            np.float32(1) - np.float32(0.5) * power(0.96, steps)
            for steps in (self._steps, self._steps + 1)
        )
        self._product[...] = self._product * beta_1 * warm
        now, ahead = beta_1 * warm, beta_1 * next_warm
        moments(self._first, self._second, gradient, {"beta_1": beta_1, "beta_2": beta_2}, other)
        np.divide(self._second, 1 - power(beta_2, self._steps), out=divisor)
        np.add(np.sqrt(divisor, out=divisor), own["epsilon"], out=divisor)
        np.multiply(self._first, ahead, out=other)
        np.divide(other, 1 - self._product * ahead, out=other)
        np.multiply(gradient, 1 - now, out=gradient)
        np.divide(gradient, 1 - self._product, out=gradient)
        np.add(other, gradient, out=gradient)
        np.multiply(gradient, rate, out=gradient)
        np.divide(gradient, divisor, out=gradient)
        np.subtract(weights, gradient, out=weights)


class Lion(Step):
    """The sign of a running gradient."""

    keras_name = "lion"
    defaults: ClassVar[Mapping[str, Any]] = {"beta_1": 0.9, "beta_2": 0.99}

    def __init__(self, shape: tuple[int, int], own: Mapping[str, Number]) -> None:
        super().__init__(shape, own)
        self._moving = self._kept(shape)

    def _step(self, weights: Array, gradient: Array, rate: np.float32) -> None:
        one, other = self._scratch
        beta_1, beta_2 = (np.float32(self._own[beta]) for beta in ("beta_1", "beta_2"))
        np.multiply(self._moving, beta_1, out=one)
        np.multiply(gradient, 1 - beta_1, out=other)
        np.sign(np.add(one, other, out=one), out=one)
        np.subtract(weights, np.multiply(one, rate, out=one), out=weights)
        np.multiply(self._moving, beta_2, out=self._moving)
        np.multiply(gradient, 1 - beta_2, out=gradient)
        np.add(self._moving, gradient, out=self._moving)


class Adafactor(Step):
    """Second moments of the kernel by row and column; rates relative to weights."""

    keras_name = "adafactor"
    defaults: ClassVar[Mapping[str, Any]] = {
        "beta_2_decay": -0.8,
        "epsilon_1": 1e-30,
        "epsilon_2": 1e-3,
        "clip_threshold": 1.0,
        "relative_step": True,
    }

    def __init__(self, shape: tuple[int, int], own: Mapping[str, Number]) -> None:
        super().__init__(shape, own)
        features, classes = shape[0] - 1, shape[1]
        self._rows, self._columns = self._kept((features, 1)), self._kept((1, classes))
        self._bias = self._kept((1, classes))

    def _step(self, weights: Array, gradient: Array, rate: np.float32) -> None:
        own, (one, other) = self._own, self._scratch
        steps = np.float32(self._steps)
        slowed = np.minimum(rate, 1 / np.sqrt(steps))
        kept = 1 - np.power(steps, np.float32(own["beta_2_decay"]))
        np.add(np.square(gradient, out=one), own["epsilon_1"], out=one)
        average(self._rows, kept, one[:-1].mean(axis=1, keepdims=True))
        average(self._columns, kept, one[:-1].mean(axis=0, keepdims=True))
        average(self._bias, kept, one[-1:])
        np.multiply(self._rows / self._rows.mean(), self._columns, out=one[:-1])
        np.copyto(one[-1:], self._bias)
        np.divide(gradient, np.sqrt(one, out=one), out=gradient)
        for part in (slice(None, -1), slice(-1, None)):
            size = np.maximum(
                np.float32(own["epsilon_2"]), root_mean_square(weights[part], one[part])
            )
            update = gradient[part]
            excess = root_mean_square(update, one[part]) / own["clip_threshold"]
            np.divide(update, np.maximum(np.float32(1), excess), out=update)
            np.multiply(update, size * slowed, out=other[part])
        np.subtract(weights, other, out=weights)


class Lamb(Step):
    """Adam whose steps are as long as each layer's weights."""

    keras_name = "lamb"
    defaults: ClassVar[Mapping[str, Any]] = {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}

    def __init__(self, shape: tuple[int, int], own: Mapping[str, Number]) -> None:
        super().__init__(shape, own)
        self._first, self._second = self._kept(shape), self._kept(shape)

    def _step(self, weights: Array, gradient: Array, rate: np.float32) -> None:
        own, (divisor, other) = self._own, self._scratch
        left_1, left_2 = (1 - power(own[beta], self._steps) for beta in ("beta_1", "beta_2"))
        moments(self._first, self._second, gradient, own, other)
        np.sqrt(np.divide(self._second, left_2, out=divisor), out=divisor)
        np.add(divisor, own["epsilon"], out=divisor)
        np.divide(np.divide(self._first, left_1, out=gradient), divisor, out=gradient)
        for part in (slice(None, -1), slice(-1, None)):
            lengths = [length(one[part], other[part]) for one in (weights, gradient)]
            ratio = lengths[0] / lengths[1] if min(lengths) > 0 else np.float32(1)
            np.multiply(gradient[part], ratio * rate, out=gradient[part])
        np.subtract(weights, gradient, out=weights)


def power(base: Number, steps: np.ndarray) -> np.float32:
    """Return base ** steps as Keras has it, float32."""
    return np.float32(np.power(np.float32(base), np.float32(steps)))


def running(average: Array, rho: float, new: Array) -> None:
    """Take something new into a running average, in place; `new` is written over."""
    np.multiply(average, rho, out=average)
    np.multiply(new, 1 - rho, out=new)
    np.add(average, new, out=average)


def average(held: Array, kept: np.float32, new: Array) -> None:
    """Likewise, with a share that changes from step to step."""
    np.multiply(held, kept, out=held)
    np.add(held, (1 - kept) * new, out=held)


def toward(held: Array, new: Array, share: Number, scratch: Array) -> None:
    """Move an average toward something new by a share of the way, in place."""
    np.subtract(new, held, out=scratch)
    np.multiply(scratch, share, out=scratch)
    np.add(held, scratch, out=held)


def moments(
    first: Array, second: Array, gradient: Array, own: Mapping[str, Number], scratch: Array
) -> None:
    """Take a gradient into Adam's two averages, in place."""
    toward(first, gradient, 1 - own["beta_1"], scratch)
    np.square(gradient, out=scratch)
    np.subtract(scratch, second, out=scratch)
    np.multiply(scratch, 1 - own["beta_2"], out=scratch)
    np.add(second, scratch, out=second)


def root_mean_square(values: Array, scratch: Array) -> np.float32:
    """Return the root of the mean square of an array."""
    return np.float32(np.sqrt(np.square(values, out=scratch).mean()))


def length(values: Array, scratch: Array) -> np.float32:
    """Return the Euclidean length of an array."""
    return np.float32(np.sqrt(np.square(values, out=scratch).sum()))
