"""The trials of a stage that draws nothing: other stages give them their parameters."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution

from automl_cv.drawing.stage_memory import Drawn, StageMemory
from automl_cv.history import History
from automl_cv.study.space import Value


class GivenMemory(StageMemory):
    """Trials with given parameters. Slots never move; one that is no longer wanted counts no more.

    Who inherits says in `distributions` what Optuna is told of all parameters, by name.
    """

    distributions: Mapping[str, BaseDistribution]

    draws = False

    @abstractmethod
    def given(self, trial: int) -> dict[str, Value]:
        """Return the parameters of a trial, as they are stored."""

    def restore(
        self,
        trial: int,
        parameters: Mapping[str, Value],
        history: History,
        system_attributes: Mapping[str, Any],
    ) -> None:
        """Take a trial that an earlier run finished, if it still counts."""
        self._keep(trial, parameters, history, system_attributes)

    def draw(self, trial: int) -> Drawn:
        """Return the trial's given parameters and hold it as running."""
        place = self._catch_up(trial)
        parameters = self.given(trial)
        known = self.distributions_of(parameters)
        self._study.enqueue_trial(parameters)
        asked = self._study.ask(fixed_distributions=known)
        self._judge.begin(place, asked._trial_id)
        return Drawn(trial, parameters, known, {})

    @property
    def n_sets(self) -> int | None:
        """None: nothing is drawn."""
        return None

    def distributions_of(self, parameters: Mapping[str, Value]) -> dict[str, BaseDistribution]:
        """Return what Optuna is told that the parameters were drawn from: all that were given."""
        return {name: self.distributions[name] for name in parameters}
