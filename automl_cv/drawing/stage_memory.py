"""The trials of a stage as Optuna's samplers and pruners see them, in memory.

Asking them in the SQLite file each epoch doubles the cost of an epoch's report, and
a busy machine multiplies it. So they are asked here; the file is only written.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import create_trial

from automl_cv.catalog.settings import LAG
from automl_cv.drawing.distinct import DistinctSampler, DistinctSets, n_sets
from automl_cv.drawing.horizon import HorizonStorage
from automl_cv.drawing.judging import Judge
from automl_cv.drawing.seeds import derived_seed
from automl_cv.drawing.suggesting import distributions_of
from automl_cv.history import Epoch, History, StopReason
from automl_cv.store.outcome import outcome
from automl_cv.study.space import Value
from automl_cv.study.stage import Stage
from automl_cv.study.trial import Member


@dataclass(frozen=True)
class Drawn:
    """Parameters of a trial, and what Optuna has to be told of them.

    Args:
        trial: our number of the trial, from 0.
        parameters: values by name.
        distributions: where each was drawn from.
        system_attributes: what the sampler keeps with the trial (CMA-ES its state).
        same_as: the trial that has the set which this one drew first; None where it kept it.
    """

    trial: int
    parameters: Mapping[str, Value]
    distributions: Mapping[str, BaseDistribution]
    system_attributes: Mapping[str, Any]
    same_as: int | None = None


@dataclass(frozen=True)
class Settled:
    """A trial whose end is known.

    Args:
        trial: our number of the trial.
        history: what counts of it; None where it has to be trained again, see `judging.Settled`.
    """

    trial: int
    history: History | None


@dataclass(frozen=True)
class _Restored:
    """A trial of an earlier search."""

    parameters: Mapping[str, Value]
    history: History
    system_attributes: Mapping[str, Any]


class StageMemory:
    """Draws parameters, and decides after each epoch whether a trial goes on.

    Trials are drawn in the order of `slots`; each finds those before it, and no others, as
    though it were the first time that they run.

    Args:
        name: of the stage's part of the database. Hyperband hashes it, without the number of
            the run: a run begun anew is judged as the first one was.
        stage: the stage of the study file.
        seed: the study's seed.
    """

    def __init__(self, name: str, stage: Stage, seed: int) -> None:
        self._stage = stage
        self._seed = seed
        self._lag: int = stage.sampler.parameters.get(LAG, 0) if self.draws else 0
        self._storage = HorizonStorage()
        self._study = optuna.create_study(
            study_name=f"{name.partition('@')[0].partition('/')[0]}/{stage.name}",
            direction="maximize",
            storage=self._storage,
        )
        self._judge = Judge(stage, self._study, self._storage)
        self._restored: dict[int, _Restored] = {}
        self._drawn: dict[int, int] = {}  # by place
        self._sets = DistinctSets(stage, seed)

    draws = True
    """Whether its trials are drawn by the stage's sampler."""

    def restore(
        self,
        trial: int,
        parameters: Mapping[str, Value],
        history: History,
        system_attributes: Mapping[str, Any],
    ) -> None:
        """Take a trial that an earlier run finished; later ones will find it."""
        self._sets.hold(trial, parameters)
        self._keep(trial, parameters, history, system_attributes)

    def _keep(
        self,
        trial: int,
        parameters: Mapping[str, Value],
        history: History,
        system_attributes: Mapping[str, Any],
    ) -> None:
        if trial in self._places:
            self._judge.hold(self._places[trial])
            self._restored[trial] = _Restored(parameters, history, system_attributes)

    @cached_property
    def _places(self) -> dict[int, int]:
        """Where each trial stands in the order in which they are drawn."""
        return {slot: place for place, slot in enumerate(self.slots)}

    def _catch_up(self, trial: int) -> int:
        """Add the trials of earlier searches that stand before one; return its place."""
        place = self._places.get(trial, trial)
        self._drawn[place] = trial
        before = [one for one in self._restored if self._places[one] < place]
        for earlier in sorted(before, key=self._places.__getitem__):
            held = self._restored.pop(earlier)
            state, value = outcome(held.history)
            template = create_trial(
                state=state,
                value=value,
                params=dict(held.parameters),
                distributions=self.distributions_of(held.parameters),
                intermediate_values={e.epoch: e.merit for e in held.history.epochs},
                system_attrs=dict(held.system_attributes),
            )
            self._judge.add(self._places[earlier], template, held.history)
        return place

    def can_draw(self, trial: int) -> bool:
        """Tell whether all trials that a sampler is to know for this one have ended."""
        return self._judge.knows(self._places.get(trial, trial), self._lag)

    def draw(self, trial: int) -> Drawn:
        """Draw the parameters of a trial, others than any trial has, and hold it as running.

        Args:
            trial: its number; for a sampler that does not learn the parameters depend on
                it, the seed and the stage alone.

        Raises:
            AutomlError: no parameter set is left.
        """
        place = self._catch_up(trial)
        sampler = DistinctSampler(self._sets, trial)
        self._study.sampler = sampler
        with self._storage.up_to(place - self._lag + 1 if self._lag else None):
            asked = self._study.ask()
        assert sampler.drawn is not None
        self._judge.begin(place, asked._trial_id)
        parameters = self._stage.space.draw(asked)
        # Without a copy of all trials, which their public property makes.
        held = self._study.get_trials(deepcopy=False)[asked.number]
        attributes = dict(held.system_attrs)
        return Drawn(trial, parameters, asked.distributions, attributes, sampler.drawn.same_as)

    def distributions_of(self, parameters: Mapping[str, Value]) -> dict[str, BaseDistribution]:
        """Return the distribution each of a trial's parameters was drawn from."""
        return distributions_of(self._stage.space, parameters)

    def combinations(self, names: Collection[str]) -> list[dict[str, Value]]:
        """Return every set of values that these parameters can have in a trial."""
        return self._stage.space.combinations(names)

    @property
    def slots(self) -> Sequence[int]:
        """Numbers of the trials that the stage wants: not more than there are different ones."""
        return range(self._n_distinct)

    @property
    def n_sets(self) -> int | None:
        """Number of different parameter sets; None where there are enough for all trials."""
        return None if self._n_distinct == self._stage.trials else self._n_distinct

    @property
    def tries_all(self) -> bool:
        """Whether every parameter set there is gets a trial, whatever is drawn first."""
        return self._n_counted <= self._stage.trials

    @property
    def _n_distinct(self) -> int:
        return min(self._n_counted, self._stage.trials)

    @cached_property
    def _n_counted(self) -> int:
        """Different parameter sets, counted to one more than there are trials."""
        return n_sets(self._stage.space, self._stage.trials + 1)

    def training_seed(self, trial: int) -> int:
        """Return the seed of a trial's weights, order and dropout."""
        return derived_seed(self._seed, self._stage.name, trial, "training")

    def fold(self, trial: int) -> int | None:
        """Return which fold validates a trial; None for the validation images."""
        return None

    def head_stage(self, trial: int) -> Stage | None:
        """Return the stage whose training gives a trial its first head; None for first weights."""
        return None

    def members(self, trial: int) -> tuple[Member, ...]:
        """Return what a trial combines; none where it is a training of its own."""
        return ()

    def after(self, trial: int, epoch: Epoch) -> StopReason | None:
        """Take an epoch of a running trial; return why it should stop, or None to go on."""
        return self._judge.after(self._places.get(trial, trial), epoch)

    def next_ask(self, trial: int) -> int:
        """Return the epoch that a running trial has to wait at; it goes on up to there."""
        return self._judge.next_ask(self._places.get(trial, trial))

    def n_judged(self, trial: int) -> int:
        """Return how many epochs of a running trial stand, whatever comes of others."""
        return self._judge.n_judged(self._places.get(trial, trial))

    def finish(self, trial: int, history: History) -> list[Settled]:
        """Take the end of a running trial, so that samplers and pruners learn from it.

        Returns:
            The trials whose end is known by that; this one is not among them where it is to be
            compared with one that still runs.
        """
        settled = self._judge.end(self._places.get(trial, trial), history)
        return [Settled(self._drawn[one.place], one.history) for one in settled]
