"""Retraining: the best trials of earlier stages again, over several seeds or folds.

One training of one seed says little about which of two close trials is better. A stage
that retrains has a trial for each finalist and repeat, and draws nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from automl_cv.catalog.augmentations import AUGMENTATIONS
from automl_cv.drawing.given_memory import GivenMemory
from automl_cv.drawing.narrowing import best_trials
from automl_cv.drawing.seeds import derived_seed
from automl_cv.errors import AutomlError
from automl_cv.results.comparison import REPEAT, SOURCE, finalists
from automl_cv.store.records import TrialRecord
from automl_cv.study.space import Value
from automl_cv.study.stage import Stage, head_stage

T = TypeVar("T")


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

    @property
    def plain(self) -> Source:
        """The same without what it drew of its augmentation."""
        kept = {k: v for k, v in self.parameters.items() if k not in AUGMENTATIONS}
        return replace(self, parameters=kept)


def sources(stage: Stage, records: Mapping[str, Sequence[TrialRecord]]) -> list[Source]:
    """Return the trials that a stage trains again, best first.

    Args:
        stage: one that retrains.
        records: trials of each stage it names. Those of a stage that itself retrained count by
            the mean over their repeats.

    Raises:
        AutomlError: none of them has a result.
    """
    searched: list[TrialRecord] = []
    repeated: list[TrialRecord] = []
    for held in records.values():
        for record in held:
            (repeated if SOURCE in record.parameters else searched).append(record)
    top = stage.retraining.top
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


class RetrainMemory(GivenMemory):
    """The trials of a stage that retrains: given, not drawn.

    Trial n is repeat n % repeats of slot n // repeats. Slots never move: a finalist that a
    resume finds gets a new one, and one that is no longer among the best keeps its own, but
    counts no more.

    Args:
        name: name of the Optuna study.
        stage: one that retrains.
        seed: the study's seed.
        chosen: what is trained again, best first.
        slots: every trial that the stage ever trained again, in the order of their slots;
            None where these are the chosen ones.
        declared: all stages of the study; needed where the stage fine-tunes.
    """

    def __init__(
        self,
        name: str,
        stage: Stage,
        seed: int,
        chosen: Sequence[Source],
        *,
        slots: Sequence[Source] | None = None,
        declared: Sequence[Stage] = (),
    ) -> None:
        super().__init__(name, stage, seed)
        if not stage.retraining.drawn_augmentation:
            chosen = [source.plain for source in chosen]
            slots = None if slots is None else [source.plain for source in slots]
        self._chosen = chosen
        self._held = chosen if slots is None else slots
        self._repeats = stage.retraining.n_repeats
        self._declared = {one.name: one for one in declared}
        self.distributions = _distributions(self._held, self._repeats)

    def source(self, trial: int) -> tuple[Source, int]:
        """Return the finalist and the repeat that a trial stands for."""
        return self._held[trial // self._repeats], trial % self._repeats

    def given(self, trial: int) -> dict[str, Value]:
        """Return which finalist and which repeat a trial is, and the finalist's parameters."""
        source, repeat = self.source(trial)
        return {SOURCE: source.name, REPEAT: repeat, **source.parameters}

    def combinations(self, names: Collection[str]) -> list[dict[str, Value]]:
        """Return every set of values that these parameters have among the finalists."""
        found: list[dict[str, Value]] = []
        for source in self._chosen:
            own = {name: value for name, value in source.parameters.items() if name in names}
            if own not in found:
                found.append(own)
        return found

    @property
    def slots(self) -> Sequence[int]:
        """A trial for each finalist and repeat, finalists best first, no more than wanted."""
        return slots_of(self._stage, self._held, self._chosen)

    def fold(self, trial: int) -> int | None:
        """Return which fold validates a trial; None where repeats are seeds."""
        return None if self._stage.folds is None else self.source(trial)[1]

    def head_stage(self, trial: int) -> Stage | None:
        """Return the stage, of those named, that trained the same head; see `StageMemory`."""
        return head_stage(self._stage, self._declared, self.source(trial)[0].stage)

    def training_seed(self, trial: int) -> int:
        """Return the source trial's own seed for repeat 0, others of its own for the rest.

        They do not depend on the stage that retrains, so that two stages which retrain the
        same trial, with and without augmentation, can be compared seed by seed. Over folds
        the seed stays the same and the images change.
        """
        source, repeat = self.source(trial)
        is_first = repeat == 0 or self._stage.folds is not None
        purpose = "training" if is_first else f"training, repeat {repeat}"
        return derived_seed(self._seed, source.stage, source.trial, purpose)


def slots_of(stage: Stage, held: Sequence[T], chosen: Sequence[T]) -> list[int]:
    """Return the trials that a stage wants: one for each finalist and repeat, best first.

    Args:
        stage: one that retrains.
        held: all that it ever trained again, in the order of their slots.
        chosen: those of them that count, best first.
    """
    repeats = stage.retraining.n_repeats
    places = [held.index(one) for one in chosen]
    return [place * repeats + n for place in places for n in range(repeats)][: stage.trials]


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
        if any(isinstance(value, bool | str) for value in held):
            # New choices come last, so that the places of the others stay.
            found[name] = CategoricalDistribution(list(dict.fromkeys(held)))
        elif all(isinstance(value, int) for value in held):
            found[name] = IntDistribution(int(min(held)), int(max(held)))
        else:
            found[name] = FloatDistribution(float(min(held)), float(max(held)))
    return found
