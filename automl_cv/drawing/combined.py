"""Trials of other stages, combined as they are: the best of those that are unlike.

What each function does is said in `catalog.origins.OriginEntry`. Members that differ in numbers
alone say nearly the same of an image; the best of them stands for all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution

from automl_cv.drawing.given_memory import GivenMemory
from automl_cv.drawing.origins import StoredRun, Wanted
from automl_cv.drawing.seeds import derived_seed
from automl_cv.errors import AutomlError
from automl_cv.store.facts import StageFacts
from automl_cv.store.predictions import Predictions
from automl_cv.store.records import MEMBERS, TrialRecord
from automl_cv.store.trials import StageTrials
from automl_cv.study.space import Value
from automl_cv.study.stage import Stage
from automl_cv.study.studyfile import drawn_backbone
from automl_cv.study.trial import Member, plan

BETWEEN = " + "


class CombinedMemory(GivenMemory):
    """The combinations of a stage: trial n is that of slot n. Slots never move.

    Args:
        name: name of the Optuna study.
        stage: one that combines.
        run: that it belongs to.
        held: members of each combination that the stage ever had, in the order of their slots.
        chosen: the one that counts.
    """

    def __init__(
        self, name: str, stage: Stage, run: StoredRun, held: Sequence[str], chosen: str
    ) -> None:
        super().__init__(name, stage, run.study.seed)
        self._run = run
        self._held = held
        self._chosen = chosen
        self.distributions = distribution(held)

    @property
    def slots(self) -> Sequence[int]:
        """The one that counts."""
        return [self._held.index(self._chosen)]

    def given(self, trial: int) -> dict[str, Value]:
        """Return the members of a combination, as one text."""
        return {MEMBERS: self._held[trial]}

    def combinations(self, names: Any) -> list[dict[str, Value]]:
        """Return one set without any of them: nothing is drawn."""
        return [{}]

    def members(self, trial: int) -> tuple[Member, ...]:
        """Return what a trial combines."""
        return members(self._stage, self._run, self.given(trial))


def distribution(held: Sequence[str]) -> dict[str, BaseDistribution]:
    """Return what Optuna is told that members were drawn from: new combinations come last."""
    return {MEMBERS: CategoricalDistribution(list(held))}


def derived_space(stage: Stage, run: StoredRun, begun: StageTrials | None) -> None:
    """Return None: nothing is searched."""


def memory_of(stage: Stage, run: StoredRun, trials: StageTrials) -> CombinedMemory:
    """Return what hands out the combination, and store which it is.

    Args:
        stage: one that combines.
        run: that it belongs to.
        trials: the stage's own part of the database.

    Raises:
        AutomlError: there is nothing to combine.
    """
    chosen = _current(stage, run)
    held = tuple(dict.fromkeys([*trials.stage_facts.finalists, chosen]))
    memory = CombinedMemory(trials.name, stage, run, held, chosen)
    if trials.stage_facts.finalists:
        trials.widen(memory.distributions)
    trials.update_facts(finalists=held, contenders=(chosen,))
    return memory


def wanted(stage: Stage, facts: StageFacts) -> Wanted:
    """Return the slot of the combination that counts."""
    return Wanted([facts.finalists.index(name) for name in facts.contenders])


def is_current(stage: Stage, run: StoredRun, facts: StageFacts) -> bool:
    """Tell whether its members are still those that it would have."""
    return facts.contenders == (_current(stage, run),)


def notes(stage: Stage) -> tuple[str, ...]:
    """Return no lines."""
    return ()


def members(stage: Stage, run: StoredRun, parameters: Mapping[str, Value]) -> tuple[Member, ...]:
    """Return what a trial combines, with what its members said of the images.

    Raises:
        AutomlError: the database does not hold what one of them said.
    """
    names = str(parameters[MEMBERS]).split(BETWEEN)
    known: dict[str, tuple[TrialRecord, Predictions | None]] = {}
    for source in dict.fromkeys(name.rpartition("/")[0] for name in names):
        trials = run.open(source)
        own = [one for one in trials.records() if one.name in names]
        kept = trials.predictions(own)
        known |= {one.name: (one, kept.get(one.trial)) for one in own}
    found = []
    for name in names:
        record, said = known[name]
        if said is None or record.best is None:
            raise AutomlError(
                f"{run.name}: the database does not hold what trial {name} said of each image, "
                f"so that stage {stage.name!r} can't combine it; search again with --new"
            )
        trial = plan(
            run.study,
            run.study.stage(record.stage),
            record.trial,
            record.parameters,
            seed=derived_seed(run.study.seed, record.stage, record.trial, "training"),
        )
        replay = record.history.epochs[: record.best.epoch]
        found.append(Member(trial, replay, said.every, said.probabilities))
    return tuple(found)


def _current(stage: Stage, run: StoredRun) -> str:
    """Return the members as things stand now, best first by log loss, as one text.

    Heads on one backbone become one head, of several none: the best trial says which it is.
    """
    begun = run.begun
    found: list[TrialRecord] = []
    for name in stage.combined_stages:
        if name in begun:
            trials = run.open(name)
            kept = trials.with_predictions()
            found += [one for one in trials.records() if one.is_ranked and one.number in kept]
    if not found:
        raise AutomlError(
            f"stage {stage.name!r} has nothing to combine: no trial of "
            f"{', '.join(stage.combined_stages)} has a result; `automl-cv report` says why"
        )
    found.sort(key=_loss)
    backbone = drawn_backbone(run.study.backbone, found[0].parameters)
    best: dict[tuple[object, ...], TrialRecord] = {}
    for record in found:
        if drawn_backbone(run.study.backbone, record.parameters) == backbone:
            best.setdefault((record.stage, *_texts(record.parameters)), record)
    ranked = list(best.values())[: stage.combining.top]
    return BETWEEN.join(one.name for one in ranked)


def _texts(parameters: Mapping[str, Value]) -> list[tuple[str, Value]]:
    """Return what of a trial's parameters are no numbers."""
    return [(name, value) for name, value in parameters.items() if isinstance(value, str | bool)]


def _loss(record: TrialRecord) -> float:
    assert record.best is not None, "only ranked trials come here"
    return record.best.val_loss
