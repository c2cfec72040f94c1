"""A search space: ranges, choices and conditions, and the drawing of parameters from it.

A space is a TOML table of parameters, in the order in which they are drawn:

    optimizer = ["SGD", "Adam"]                               # one of these
    batch_size = { low = 10, high = 100 }                     # a whole number: both ends are whole
    learning_rate = { low = 1e-4, high = 0.3, log = true }    # a number
    momentum = { low = 0.0, high = 0.9, when = { optimizer = ["SGD"] } }  # only with SGD
    epochs = 50                                               # always this value

Both ends belong to a range. A condition looks at parameters that stand above it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Annotated, Any, Protocol

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    Tag,
    model_validator,
)

# Strict: a quoted "0.1" is a mistake to point out, not a number to guess.
Value = StrictBool | StrictInt | StrictFloat | StrictStr
Number = Annotated[float, Field(strict=True)]
Condition = dict[str, tuple[Value, ...]]


class Suggester(Protocol):
    """What a space draws from: an `optuna.Trial`, or anything with its three methods."""

    def suggest_categorical(self, name: str, choices: Any, /) -> Any:
        """Return one of `choices`."""

    def suggest_float(
        self, name: str, low: float, high: float, /, *, step: float | None, log: bool
    ) -> float:
        """Return a float between `low` and `high`."""

    def suggest_int(self, name: str, low: int, high: int, /, *, step: int, log: bool) -> int:
        """Return a whole number between `low` and `high`."""


class _Parameter(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Constant(_Parameter):
    """One value for every trial."""

    value: Value
    when: Condition = {}

    def draw(self, name: str, suggester: Suggester) -> Value:
        """Return the value; nothing is drawn, but Optuna records it as a choice of one."""
        chosen: Value = suggester.suggest_categorical(name, (self.value,))
        return chosen

    def __str__(self) -> str:
        return str(self.value)


class Choice(_Parameter):
    """One of several values, each as likely as the others."""

    choices: Annotated[tuple[Value, ...], Field(min_length=1)]
    when: Condition = {}

    @model_validator(mode="after")
    def _check(self) -> Choice:
        seen = [(type(choice), choice) for choice in self.choices]
        twice = [choice for kind, choice in seen if seen.count((kind, choice)) > 1]
        if twice:
            raise ValueError(f"the choice {twice[0]!r} stands twice in the list")
        return self

    def draw(self, name: str, suggester: Suggester) -> Value:
        """Return one of the choices."""
        chosen: Value = suggester.suggest_categorical(name, self.choices)
        return chosen

    def __str__(self) -> str:
        return " | ".join(map(str, self.choices))


class _Range(_Parameter):
    def _check_ends(self, low: float, high: float, step: float | None, log: bool) -> None:
        if not (math.isfinite(low) and math.isfinite(high)):
            raise ValueError(f"both ends must be finite numbers, got {low} and {high}")
        if low > high:
            raise ValueError(f"low ({low}) is above high ({high})")
        if step is not None and step <= 0:
            raise ValueError(f"step must be above 0, got {step}")
        if log and low <= 0:
            raise ValueError(f"a log range needs low above 0, got {low}")
        if log and step is not None:
            raise ValueError("a range has either log or step, not both")


class IntRange(_Range):
    """A whole number between two whole numbers, both included."""

    low: StrictInt
    high: StrictInt
    step: StrictInt | None = None
    log: StrictBool = False
    when: Condition = {}

    @model_validator(mode="after")
    def _check(self) -> IntRange:
        self._check_ends(self.low, self.high, self.step, self.log)
        return self

    def draw(self, name: str, suggester: Suggester) -> int:
        """Return a whole number of the range."""
        return suggester.suggest_int(name, self.low, self.high, step=self.step or 1, log=self.log)

    def __str__(self) -> str:
        return _range_text(self.low, self.high, self.step, self.log)


class FloatRange(_Range):
    """A number between two numbers, both included, uniform unless `log`."""

    low: Number
    high: Number
    step: Number | None = None
    log: StrictBool = False
    when: Condition = {}

    @model_validator(mode="after")
    def _check(self) -> FloatRange:
        self._check_ends(self.low, self.high, self.step, self.log)
        return self

    def draw(self, name: str, suggester: Suggester) -> float:
        """Return a number of the range."""
        return suggester.suggest_float(name, self.low, self.high, step=self.step, log=self.log)

    def __str__(self) -> str:
        return _range_text(self.low, self.high, self.step, self.log)


def condition_text(parameter: Any) -> str:
    """Return when a parameter is drawn: "optimizer is SGD or RMSprop"; "" for always."""
    return "; ".join(
        f"{needed} is {' or '.join(map(str, values))}" for needed, values in parameter.when.items()
    )


def _range_text(low: float, high: float, step: float | None, log: bool) -> str:
    extra = " (log)" if log else f" (step {step:g})" if step is not None else ""
    return f"{low:g} – {high:g}{extra}"


def _kind(raw: Any) -> str:
    """Tell which parameter a TOML value declares; a parameter itself tells its own kind."""
    if isinstance(raw, _Parameter):
        return type(raw).__name__
    if isinstance(raw, Mapping):
        if "choices" in raw:
            return "Choice"
        if "value" in raw:
            return "Constant"
        ends = [raw.get("low"), raw.get("high"), raw.get("step")]
        given = [end for end in ends if end is not None]
        whole = given and all(isinstance(end, int) and not isinstance(end, bool) for end in given)
        return "IntRange" if whole else "FloatRange"
    return "Choice" if isinstance(raw, list | tuple) else "Constant"


Parameter = Annotated[
    Annotated[Constant, Tag("Constant")]
    | Annotated[Choice, Tag("Choice")]
    | Annotated[IntRange, Tag("IntRange")]
    | Annotated[FloatRange, Tag("FloatRange")],
    Discriminator(_kind),
]


class Space(BaseModel):
    """Parameters in the order in which they are drawn.

    Args:
        parameters: name to range, choice or constant.

    Raises:
        ValueError: a condition names a parameter that does not stand above it, or a
            value that this parameter can't take.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    parameters: dict[str, Parameter]

    @model_validator(mode="before")
    @classmethod
    def _spell_out(cls, raw: Any) -> Any:
        if not isinstance(raw, Mapping) or set(raw) == {"parameters"}:
            return raw
        return {"parameters": {name: _spell_out(value) for name, value in raw.items()}}

    @model_validator(mode="after")
    def _check_conditions(self) -> Space:
        above: dict[str, Any] = {}
        for name, parameter in self.parameters.items():
            for needed, values in parameter.when.items():
                if needed not in above:
                    raise ValueError(
                        f"{name}.when names {needed!r}, which must stand above {name!r} "
                        f"in the space; above it: {', '.join(above) or 'nothing'}"
                    )
                impossible = [value for value in values if not can_be(above[needed], value)]
                if impossible:
                    raise ValueError(
                        f"{name}.when.{needed} asks for {impossible[0]!r}, "
                        f"which {needed} = {above[needed]} can't be"
                    )
            above[name] = parameter
        return self

    def draw(self, suggester: Suggester) -> dict[str, Value]:
        """Draw a value for each parameter whose condition holds.

        Args:
            suggester: an `optuna.Trial` or anything with its `suggest_…` methods.

        Returns:
            Values by name, in the order of the space; parameters whose condition
            does not hold are absent.
        """
        drawn: dict[str, Value] = {}
        for name, parameter in self.parameters.items():
            if _holds(parameter, drawn):
                drawn[name] = parameter.draw(name, suggester)
        return drawn

    def combinations(self, names: Collection[str]) -> list[dict[str, Value]]:
        """Return every set of values that some of the parameters can have together.

        Args:
            names: parameters of lists, whole numbers, steps or one value; names that the
                space does not have count for nothing.

        Returns:
            Values by name; names whose condition does not hold are absent.

        Raises:
            ValueError: one of them is a range without steps.
        """
        found: list[dict[str, Value]] = [{}]
        for name, parameter in self.parameters.items():
            if name not in names:
                continue
            values = tuple(_all_values(name, parameter))
            # Conditions on other parameters may hold or not.
            known = {needed: v for needed, v in parameter.when.items() if needed in names}
            is_open = len(known) < len(parameter.when)
            grown = []
            for one in found:
                holds = all(one.get(needed) in allowed for needed, allowed in known.items())
                if holds:
                    grown += [{**one, name: value} for value in values]
                if not holds or is_open:
                    grown.append(one)
            found = grown
        return found

    def sets(self) -> Iterator[dict[str, Value]]:
        """Yield every parameter set that can be drawn, one at a time: there may be very many.

        Raises:
            ValueError: a range without steps is reached, so that there is no end of sets.
        """
        yield from _sets_from(list(self.parameters.items()), {})


def _sets_from(
    left: Sequence[tuple[str, Any]], drawn: dict[str, Value]
) -> Iterator[dict[str, Value]]:
    """Yield every set that goes on from what is drawn already."""
    if not left:
        yield drawn
        return
    (name, parameter), *rest = left
    if _holds(parameter, drawn):
        for value in _all_values(name, parameter):
            yield from _sets_from(rest, {**drawn, name: value})
    else:
        yield from _sets_from(rest, drawn)


def _holds(parameter: Any, drawn: Mapping[str, Value]) -> bool:
    """Tell whether a parameter's condition holds."""
    return all(drawn.get(needed) in values for needed, values in parameter.when.items())


def _all_values(name: str, parameter: Any) -> Iterator[Value]:
    match parameter:
        case Constant():
            yield parameter.value
        case Choice():
            yield from parameter.choices
        case IntRange():
            yield from range(parameter.low, parameter.high + 1, parameter.step or 1)
        case FloatRange(step=float() as step):
            steps = int((parameter.high - parameter.low) / step + 1e-9)
            # 0 + 3 * 0.1 lies above 0.3.
            yield from (
                min(parameter.low + number * step, parameter.high) for number in range(steps + 1)
            )
        case FloatRange() if parameter.low == parameter.high:
            yield parameter.low
        case _:
            raise ValueError(f"{name}: the range {parameter} has no end of values; list them")


def _spell_out(raw: Any) -> Any:
    """Turn the short forms of TOML, a bare value and a bare list, into tables."""
    if isinstance(raw, list | tuple):
        return {"choices": raw}
    if isinstance(raw, Mapping | _Parameter):
        return raw
    return {"value": raw}


def can_be(parameter: Any, value: Value) -> bool:
    """Tell whether a parameter may take a value."""
    match parameter:
        case Constant():
            return bool(parameter.value == value)
        case Choice():
            return value in parameter.choices
        case _:
            return not isinstance(value, str) and bool(parameter.low <= value <= parameter.high)
