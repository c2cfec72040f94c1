"""Parameters of a table's entries: their defaults, and the values they take.

What a study file sets (`pruner = { name = "early_stopping", patience = 10 }`) and what
a space searches are held against the same declaration, and told with the same words.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from automl_cv.errors import suggest
from automl_cv.registry import Entry

# How far behind a trial the last one stands that it is drawn or judged by.
LAG = "lag"

Default = bool | int | float | str


@dataclass(frozen=True)
class Setting:
    """A parameter that an entry of a table takes.

    The type of the default is the type of every value; a whole number stands for a float too.

    Args:
        default: used where neither the study file nor its space gives a value.
        lowest: the lowest number it takes; a highest needs a lowest.
        highest: the highest number it takes.
        open_ends: whether the two bounds themselves are no values.
        choices: all values of a text.
        words: texts that a number may be in place of one.
    """

    default: Default
    lowest: float = -math.inf
    highest: float = math.inf
    open_ends: tuple[bool, bool] = (False, False)
    choices: tuple[str, ...] = ()
    words: tuple[str, ...] = ()

    @property
    def kind(self) -> type[Default]:
        """The type of its values: bool, int, float or str."""
        return type(self.default)

    @property
    def expected(self) -> str:
        """What its values are, in words: "whole numbers from 1"."""
        if self.kind is bool:
            return "true or false"
        if self.kind is str:
            return f"one of {', '.join(map(repr, self.choices))}"
        words = "whole numbers" if self.kind is int else "numbers"
        low_is_open, high_is_open = self.open_ends
        if math.isfinite(self.lowest):
            words += f" {'above' if low_is_open else 'from'} {self.lowest:g}"
        if math.isfinite(self.highest):
            joint = ", below" if high_is_open else ", up to" if low_is_open else " to"
            words += f"{joint} {self.highest:g}"
        return " or ".join([words, *map(repr, self.words)])

    def takes(self, value: object) -> bool:
        """Tell whether `value` is of the right type and within the bounds."""
        if self._is_word(value):
            return True
        if isinstance(value, bool) or isinstance(value, str) or self.kind in (bool, str):
            return type(value) is self.kind and (not self.choices or value in self.choices)
        if not isinstance(value, int if self.kind is int else int | float):
            return False
        above = value > self.lowest if self.open_ends[0] else value >= self.lowest
        below = value < self.highest if self.open_ends[1] else value <= self.highest
        return above and below and math.isfinite(value)

    def checked(self, name: str, value: Any) -> Any:
        """Return a value in its own type: 1 is 1.0 where numbers are floats.

        Raises:
            ValueError: it does not take this value; `name` begins the message.
        """
        if not self.takes(value):
            raise ValueError(f"{name}: expected {self.expected}, got {_text(value)}")
        return value if self._is_word(value) else self.kind(value)

    def _is_word(self, value: object) -> bool:
        return isinstance(value, str) and value in self.words


@dataclass(frozen=True, kw_only=True)
class SettableEntry(Entry):
    """A row of a table whose entries take parameters.

    Args:
        parameters: what a study file may set, by name.
    """

    parameters: Mapping[str, Setting] = field(default_factory=dict)

    def completed(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return a value for every parameter: those given, defaults for the rest.

        Raises:
            ValueError: a name is unknown or a value is not taken.
        """
        for key in given:
            if key not in self.parameters:
                raise ValueError(
                    f"{self.name} has no parameter {key!r}: {suggest(key, self.parameters)}"
                )
        return {
            key: setting.checked(f"{self.name}.{key}", given.get(key, setting.default))
            for key, setting in self.parameters.items()
        }


def _text(value: object) -> str:
    """Write a value that came, without the ".0" that a range gives to whole numbers."""
    return f"{value:g}" if isinstance(value, float) else repr(value)
