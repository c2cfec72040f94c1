"""What a space draws from, beside an Optuna trial: a sampler, or values that are known."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from automl_cv.study.space import Space, Value


class Suggester:
    """Draws from a space by distributions; `value` says how."""

    def value(self, name: str, distribution: BaseDistribution) -> Any:
        """Return the value of a parameter."""
        raise NotImplementedError

    def suggest_categorical(self, name: str, choices: Any, /) -> Any:
        """Return one of `choices`."""
        return self.value(name, CategoricalDistribution(choices))

    def suggest_float(
        self, name: str, low: float, high: float, /, *, step: float | None, log: bool
    ) -> Any:
        """Return a float between `low` and `high`."""
        return self.value(name, FloatDistribution(low, high, log=log, step=step))

    def suggest_int(self, name: str, low: int, high: int, /, *, step: int, log: bool) -> Any:
        """Return a whole number between `low` and `high`."""
        return self.value(name, IntDistribution(low, high, log=log, step=step))


class SamplerSuggester(Suggester):
    """Asks a sampler as `optuna.Trial` does, but writes nothing into the trial.

    Args:
        sampler: a fresh one.
        study: what it learns from.
        asked: the trial that it draws for.
    """

    def __init__(self, sampler: BaseSampler, study: Study, asked: FrozenTrial) -> None:
        self._sampler = sampler
        self._study = study
        # A copy: what the earlier parameters drew must not stand in the asked trial.
        self._trial = copy.copy(asked)
        self._trial.params = {}
        self._trial.distributions = {}
        sampler.before_trial(study, self._trial)

    @cached_property
    def _together(self) -> dict[str, Any]:
        """Parameters that the sampler draws all at once."""
        space = self._sampler.infer_relative_search_space(self._study, self._trial)
        return self._sampler.sample_relative(self._study, self._trial, space)

    def value(self, name: str, distribution: BaseDistribution) -> Any:
        """Return a value that the sampler draws, or the only one there is."""
        if distribution.single():
            is_list = isinstance(distribution, CategoricalDistribution)
            value = distribution.choices[0] if is_list else distribution.low  # type: ignore[attr-defined]
        elif name in self._together:
            value = self._together[name]
        else:
            value = self._sampler.sample_independent(self._study, self._trial, name, distribution)
        self._trial.params = {**self._trial.params, name: value}
        self._trial.distributions = {**self._trial.distributions, name: distribution}
        return value


class KnownSuggester(Suggester):
    """Returns known values and writes down where they come from.

    Args:
        parameters: values by name.
    """

    def __init__(self, parameters: Mapping[str, Value]) -> None:
        self._parameters = parameters
        self.distributions: dict[str, BaseDistribution] = {}

    def value(self, name: str, distribution: BaseDistribution) -> Any:
        """Return the known value."""
        self.distributions[name] = distribution
        return self._parameters[name]


def distributions_of(space: Space, parameters: Mapping[str, Value]) -> dict[str, BaseDistribution]:
    """Return the distribution each of a trial's parameters was drawn from."""
    suggester = KnownSuggester(parameters)
    space.draw(suggester)
    return suggester.distributions
