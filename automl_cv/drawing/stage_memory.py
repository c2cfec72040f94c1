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
from optuna.trial import TrialState, create_trial

from automl_cv.catalog.pruners import PRUNERS
from automl_cv.drawing.distinct import DistinctSampler, DistinctSets, n_sets
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


class StageMemory:
    """Draws parameters, and decides after each epoch whether a trial goes on.

    Args:
        name: name of the Optuna study; Hyperband hashes it.
        stage: the stage of the study file.
        seed: the study's seed.
    """

    def __init__(self, name: str, stage: Stage, seed: int) -> None:
        entry = PRUNERS[stage.pruner.name]
        self._stage = stage
        self._seed = seed
        self._stop: StopReason = "plateau" if entry.stop_means == "finish" else "pruned"
        self._study = optuna.create_study(
            study_name=name,
            direction="maximize",
            storage=optuna.storages.InMemoryStorage(),
            pruner=entry.load()(**stage.pruner.parameters),
        )
        self._running: dict[int, optuna.Trial] = {}
        self._sets = DistinctSets(stage, seed)

    def restore(
        self,
        trial: int,
        parameters: Mapping[str, Value],
        history: History,
        system_attributes: Mapping[str, Any],
    ) -> None:
        """Add a trial that an earlier run finished; call in the order of trial numbers."""
        self._sets.hold(trial, parameters)
        self._add(parameters, history, system_attributes)

    def _add(
        self,
        parameters: Mapping[str, Value],
        history: History,
        system_attributes: Mapping[str, Any],
    ) -> None:
        state, value = outcome(history)
        self._study.add_trial(
            create_trial(
                state=state,
                value=value,
                params=dict(parameters),
                distributions=self.distributions_of(parameters),
                intermediate_values={e.epoch: e.merit for e in history.epochs},
                system_attrs=dict(system_attributes),
            )
        )

    def draw(self, trial: int) -> Drawn:
        """Draw the parameters of a trial, others than any trial has, and hold it as running.

        Args:
            trial: its number; for a sampler that does not learn the parameters depend on
                it, the seed and the stage alone.

        Raises:
            AutomlError: no parameter set is left.
        """
        sampler = DistinctSampler(self._sets, trial)
        self._study.sampler = sampler
        asked = self._study.ask()
        assert sampler.drawn is not None
        self._running[trial] = asked
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
        """Report an epoch of a running trial; return why it should stop, or None to go on."""
        running = self._running[trial]
        running.report(epoch.merit, epoch.epoch)
        return self._stop if running.should_prune() else None

    def finish(self, trial: int, history: History) -> None:
        """Close a running trial, so that samplers and pruners learn from it."""
        state, value = outcome(history)
        self._study.tell(
            self._running.pop(trial), value if state == TrialState.COMPLETE else None, state
        )
