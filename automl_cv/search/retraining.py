"""Retraining: the best trials of earlier stages again, over several seeds or folds.

One training of one seed says little about which of two close trials is better. A stage
that retrains has a trial for each finalist and repeat, and draws nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.storages import RDBStorage

from automl_cv.errors import AutomlError
from automl_cv.search.draws import derived_seed
from automl_cv.search.memory import Drawn, StageMemory
from automl_cv.search.narrowing import best_trials
from automl_cv.space import Value
from automl_cv.stage import Stage
from automl_cv.store.comparison import REPEAT, SOURCE, finalists
from automl_cv.store.records import TrialRecord
from automl_cv.store.trials import StageTrials
from automl_cv.studyfile import StudyFile


@dataclass(frozen=True)
class Source:
    """A trial that is trained again.

    Args:
        stage: the stage that searched it.
        trial: its number there.
        parameters: its own parameters.
    """

    stage: str
    trial: int
    parameters: Mapping[str, Value]

    @property
    def name(self) -> str:
        """Stage and number, as a report shows it: "narrowed/4"."""
        return f"{self.stage}/{self.trial}"


def sources(stage: Stage, records: Mapping[str, Sequence[TrialRecord]]) -> list[Source]:
    """Return the trials that a stage trains again, best first.

    Args:
        stage: one that retrains.
        records: trials of each stage it names. Those of a stage that itself retrained count by
            the mean over their repeats.

    Raises:
        AutomlError: none of them has a result.
    """
    assert stage.retrain is not None
    searched: list[TrialRecord] = []
    repeated: list[TrialRecord] = []
    for held in records.values():
        for record in held:
            (repeated if SOURCE in record.parameters else searched).append(record)
    top = stage.retrain.top
    if repeated:
        ranked = [_source_of(one.source, one.parameters) for one in finalists(repeated, folds=None)]
    else:
        ranked = [
            Source(record.stage, record.trial, record.parameters)
            for record in best_trials(searched, top)
        ]
    if not ranked:
        raise AutomlError(
            f"stage {stage.name!r} has nothing to train again: no trial of "
            f"{', '.join(records)} has a result; `automl-cv report` says why"
        )
    return ranked[:top]


def _source_of(name: str, parameters: Mapping[str, Value]) -> Source:
    stage, _, trial = name.rpartition("/")
    return Source(stage, int(trial), parameters)


class RetrainMemory(StageMemory):
    """The trials of a stage that retrains: given, not drawn.

    Trial n is repeat n % repeats of finalist n // repeats.

    Args:
        name: name of the Optuna study.
        stage: one that retrains.
        seed: the study's seed.
        chosen: what is trained again.
    """

    def __init__(self, name: str, stage: Stage, seed: int, chosen: Sequence[Source]) -> None:
        super().__init__(name, stage, seed)
        assert stage.retrain is not None
        self._chosen = chosen
        self._repeats = stage.retrain.n_repeats
        self._distributions = _distributions(chosen, self._repeats)

    def source(self, trial: int) -> tuple[Source, int]:
        """Return the finalist and the repeat that a trial stands for."""
        return self._chosen[trial // self._repeats], trial % self._repeats

    def draw(self, trial: int) -> Drawn:
        """Return the trial's given parameters and hold it as running."""
        source, repeat = self.source(trial)
        parameters = {SOURCE: source.name, REPEAT: repeat, **source.parameters}
        known = self.distributions_of(parameters)
        self._study.enqueue_trial(parameters)
        self._running[trial] = self._study.ask(fixed_distributions=known)
        return Drawn(trial, parameters, known, {})

    def combinations(self, names: Collection[str]) -> list[dict[str, Value]]:
        """Return every set of values that these parameters have among the finalists."""
        found: list[dict[str, Value]] = []
        for source in self._chosen:
            own = {name: value for name, value in source.parameters.items() if name in names}
            if own not in found:
                found.append(own)
        return found

    @property
    def n_trials(self) -> int:
        """Finalists times repeats: fewer than the stage wants where finalists are fewer."""
        return min(self._stage.trials, len(self._chosen) * self._repeats)

    def fold(self, trial: int) -> int | None:
        """Return which fold validates a trial; None where repeats are seeds."""
        assert self._stage.retrain is not None
        return None if self._stage.retrain.folds is None else self.source(trial)[1]

    def distributions_of(self, parameters: Mapping[str, Value]) -> dict[str, BaseDistribution]:
        """Return what Optuna is told that the parameters were drawn from: the finalists' values."""
        return {name: self._distributions[name] for name in parameters}

    def training_seed(self, trial: int) -> int:
        """Return the source trial's own seed for repeat 0, others of its own for the rest.

        They do not depend on the stage that retrains, so that two stages which retrain the
        same trial, with and without augmentation, can be compared seed by seed. Over folds
        the seed stays the same and the images change.
        """
        source, repeat = self.source(trial)
        assert self._stage.retrain is not None
        is_first = repeat == 0 or self._stage.retrain.folds is not None
        purpose = "training" if is_first else f"training, repeat {repeat}"
        return derived_seed(self._seed, source.stage, source.trial, purpose)


def memory_of(
    study: StudyFile, stage: Stage, storage: RDBStorage, trials: StageTrials
) -> StageMemory:
    """Return what draws a stage's trials: a search, or the finalists it trains again.

    Which trials are finalists is stored when the stage begins, and stays: a resume trains the
    same ones, even where the stages above got more trials since.

    Args:
        study: holds the stage.
        stage: the stage, with the space that is searched.
        storage: the database.
        trials: the stage's own part of it.

    Raises:
        AutomlError: there is nothing to train again.
    """
    if stage.retrain is None:
        return StageMemory(trials.name, stage, study.seed)
    records = {
        name: StageTrials.open(storage, trials.run, name).records() for name in stage.retrain.stages
    }
    chosen = sources(stage, records)
    kept = trials.facts.finalists.get(stage.name)
    if kept is not None:
        everything = stage.model_copy(
            update={"retrain": stage.retrain.model_copy(update={"top": 10**6})}
        )
        by_name = {source.name: source for source in sources(everything, records)}
        chosen = [by_name[name] for name in kept]
    else:
        names = tuple(source.name for source in chosen)
        trials.update_facts(finalists={stage.name: names})
    return RetrainMemory(trials.name, stage, study.seed, chosen)


def _distributions(chosen: Sequence[Source], repeats: int) -> dict[str, BaseDistribution]:
    """Return the smallest distribution of each parameter that holds all finalists' values.

    One for all trials of the stage: Optuna takes no choices that change within a study.
    """
    values: dict[str, list[Value]] = {}
    for source in chosen:
        for name, value in source.parameters.items():
            values.setdefault(name, []).append(value)
    found: dict[str, BaseDistribution] = {
        SOURCE: CategoricalDistribution([source.name for source in chosen]),
        REPEAT: IntDistribution(0, max(repeats - 1, 0)),
    }
    for name, held in values.items():
        if all(isinstance(value, int) and not isinstance(value, bool) for value in held):
            found[name] = IntDistribution(int(min(held)), int(max(held)))
        elif all(isinstance(value, float) for value in held):
            found[name] = FloatDistribution(float(min(held)), float(max(held)))
        else:
            found[name] = CategoricalDistribution(list(dict.fromkeys(held)))
    return found
