"""Trials that stages before have: the best of them, trained again over several seeds or folds.

What each function does is said in `catalog.origins.OriginEntry`.
"""

from __future__ import annotations

from dataclasses import replace

from automl_cv.drawing.origins import StoredRun, Wanted
from automl_cv.drawing.retraining import RetrainMemory, Source, slots_of, sources
from automl_cv.drawing.searched import members as members
from automl_cv.store.facts import StageFacts
from automl_cv.store.trials import StageTrials
from automl_cv.study.parameters import optimizer_parameters
from automl_cv.study.stage import Stage
from automl_cv.study.studyfile import StudyFile


def derived_space(stage: Stage, run: StoredRun, begun: StageTrials | None) -> None:
    """Return None: nothing is searched."""


def memory_of(stage: Stage, run: StoredRun, trials: StageTrials) -> RetrainMemory:
    """Return what hands out the finalists, and store who they are.

    A resume looks anew which trials are the best: the stages above may have gone on. Those
    that it finds are trained as well; the others are kept, and count no more.

    Args:
        stage: one that retrains.
        run: that it belongs to.
        trials: the stage's own part of the database.

    Raises:
        AutomlError: there is nothing to train again.
    """
    chosen = [_taken(source, stage, run.study) for source in _current_sources(stage, run)]
    by_name = {source.name: source for source in chosen}
    kept = trials.stage_facts.finalists
    slots = (*kept, *(name for name in by_name if name not in kept))
    for name in kept:
        if name not in by_name:
            by_name[name] = _taken(_looked_up(name, run), stage, run.study)
    memory = RetrainMemory(
        trials.name,
        stage,
        run.study.seed,
        chosen,
        slots=[by_name[name] for name in slots],
        declared=run.study.stages,
    )
    if kept:
        trials.widen(memory.distributions)
    trials.update_facts(finalists=slots, contenders=tuple(source.name for source in chosen))
    return memory


def wanted(stage: Stage, facts: StageFacts) -> Wanted:
    """Return a trial for each repeat of each finalist that counts."""
    return Wanted(slots_of(stage, facts.finalists, facts.counting))


def is_current(stage: Stage, run: StoredRun, facts: StageFacts) -> bool:
    """Tell whether the finalists that count are still the best trials, in this order."""
    return tuple(source.name for source in _current_sources(stage, run)) == facts.counting


def notes(stage: Stage) -> tuple[str, ...]:
    """Return no lines: the stages above have said what there is to say."""
    return ()


def _current_sources(stage: Stage, run: StoredRun) -> list[Source]:
    """Return the trials that a stage trains again as things stand now, best first.

    Stages that the time kept from being begun are left out.

    Raises:
        AutomlError: none of the stages that it names has a result.
    """
    begun = run.begun
    records = {}
    for name in stage.retrained_stages:
        if name in begun:
            held = run.open(name)
            own = held.stage_facts
            records[name] = [record for record in held.records() if own.counts(record)]
    return sources(stage, records)


def _taken(source: Source, stage: Stage, study: StudyFile) -> Source:
    """Return a source with the parameters that the stage takes of it.

    What a head's trial says of head and backbone means nothing to a network, or something
    else: both have a width.
    """
    training, searched = stage.training, study.stage(source.stage).training
    if training.learns_from in ("features", searched.learns_from):
        return source
    known = optimizer_parameters()
    own = {name: value for name, value in source.parameters.items() if name in known}
    return replace(source, parameters=own)


def _looked_up(name: str, run: StoredRun) -> Source:
    """Return a source by its name: "narrowed/4"."""
    stage, _, trial = name.rpartition("/")
    parameters = {record.trial: record.parameters for record in run.open(stage).records()}
    return Source(stage, int(trial), parameters[int(trial)])
