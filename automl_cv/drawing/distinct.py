"""Parameter sets of a stage, no two alike: a set that was drawn before is drawn anew.

Training the same set a second time, with another seed, tells nothing that `retrain` does not
tell better, and takes the place of a set that was not tried.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.study import Study
from optuna.trial import FrozenTrial

from automl_cv.catalog.samplers import SAMPLERS
from automl_cv.drawing.samplers import KnownSampler, random_sampler, sampler_of
from automl_cv.drawing.seeds import derived_seed
from automl_cv.drawing.suggesting import SamplerSuggester
from automl_cv.errors import AutomlError
from automl_cv.study.space import FloatRange, Space, Value
from automl_cv.study.stage import Stage

# How often a sampler that learns is asked again: it tends to repeat what did best.
OWN_ATTEMPTS = 5

# Random draws after that. Where all sets can be listed, the untried ones are taken from the
# list sooner: with one of n sets left, a draw finds it once in n times.
RANDOM_ATTEMPTS = 1000
RANDOM_ATTEMPTS_OF_LISTED = 20

# The most sets that are listed; among more, no stage tries so many that draws fail.
MOST_LISTED = 100_000

Key = tuple[tuple[str, str, Any], ...]


def n_sets(space: Space, at_most: int) -> int:
    """Return how many different parameter sets a space holds, but not more than `at_most`."""
    try:
        return sum(1 for _ in islice(space.sets(), at_most))
    except ValueError:  # a range without steps
        return at_most


def key_of(space: Space, parameters: Mapping[str, Value]) -> Key:
    """Return what is equal for equal parameter sets.

    Values on the grid of a step count by their place on it: 0.1 + 2 * 0.1 is not 0.3.
    """
    return tuple(
        (name, type(value).__name__, _place(space.parameters[name], value))
        for name, value in parameters.items()
    )


def _place(parameter: Any, value: Value) -> Value:
    match parameter:
        case FloatRange(step=float() as step) if isinstance(value, float):
            return round((value - parameter.low) / step)
    return value


@dataclass(frozen=True)
class Draw:
    """The parameter set of a trial.

    Args:
        parameters: values by name.
        same_as: the trial that has what this one drew at first; None where it kept it.
    """

    parameters: Mapping[str, Value]
    same_as: int | None


class DistinctSets:
    """Draws the parameter sets of a stage's trials.

    Trial n never has the set of a trial m < n. Where the sampler does not learn, all sets are
    a function of (seed, stage, space), whichever trials ran before and in what order: what the
    trials below n draw is worked out where it is not known. A sampler that learns is
    compared with all trials at hand.

    Args:
        stage: with the space that is searched.
        seed: the study's seed.
    """

    def __init__(self, stage: Stage, seed: int) -> None:
        self._stage = stage
        self._seed = seed
        self._learns = SAMPLERS[stage.sampler.name].learns
        self._held: dict[int, Key] = {}

    def hold(self, trial: int, parameters: Mapping[str, Value]) -> None:
        """Take note of what a trial of an earlier search has."""
        self._held[trial] = key_of(self._stage.space, parameters)

    def draw(self, trial: int, study: Study, asked: FrozenTrial) -> Draw:
        """Return the set of a trial.

        Args:
            trial: its number.
            study: what samplers learn from.
            asked: the trial as Optuna has it, without parameters.

        Raises:
            AutomlError: no set is found that was not drawn before.
        """
        if not self._learns:
            for earlier in range(trial):
                if earlier not in self._held:
                    self._draw(earlier, study, asked)
        return self._draw(trial, study, asked)

    def _draw(self, trial: int, study: Study, asked: FrozenTrial) -> Draw:
        space = self._stage.space
        taken = {
            key: number
            for number, key in self._held.items()
            if number < trial or (self._learns and number != trial)
        }
        same_as = None
        for parameters in self._candidates(trial, study, asked):
            key = key_of(space, parameters)
            if key not in taken:
                self._held[trial] = key
                return Draw(parameters, same_as)
            same_as = taken[key] if same_as is None else same_as
        raise AutomlError(
            f"stage {self._stage.name!r}: trial {trial} finds no parameter set that was not tried; "
            "widen the space, or ask for fewer trials"
        )

    def _candidates(
        self, trial: int, study: Study, asked: FrozenTrial
    ) -> Iterator[Mapping[str, Value]]:
        own = OWN_ATTEMPTS if self._learns else 1
        for attempt in range(own):
            sampler = sampler_of(self._stage, self._seed, trial, attempt)
            yield self._stage.space.draw(SamplerSuggester(sampler, study, asked))
        is_listed = bool(self._listed)
        for attempt in range(RANDOM_ATTEMPTS_OF_LISTED if is_listed else RANDOM_ATTEMPTS):
            sampler = random_sampler(self._stage, self._seed, trial, own + attempt)
            yield self._stage.space.draw(SamplerSuggester(sampler, study, asked))
        yield from self._listed

    @cached_property
    def _listed(self) -> list[dict[str, Value]]:
        """All sets in an order of the seed's; none where there are too many."""
        try:
            found = list(islice(self._stage.space.sets(), MOST_LISTED + 1))
        except ValueError:  # a range without steps
            return []
        if len(found) > MOST_LISTED:
            return []
        random.Random(derived_seed(self._seed, self._stage.name, None, "untried")).shuffle(found)
        return found


class DistinctSampler(KnownSampler):
    """Gives one Optuna trial the set that `DistinctSets` draws for it.

    It draws before the first parameter is asked for, so that a set which was tried leaves
    nothing behind in the trial.

    Args:
        sets: of the stage.
        trial: our number of the trial.
    """

    def __init__(self, sets: DistinctSets, trial: int) -> None:
        self._sets = sets
        self._trial = trial
        self.drawn: Draw | None = None

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Draw the trial's set."""
        self.drawn = self._sets.draw(self._trial, study, trial)

    def value(self, name: str, distribution: BaseDistribution) -> Any:
        """Return the value that was drawn."""
        assert self.drawn is not None
        return self.drawn.parameters[name]
