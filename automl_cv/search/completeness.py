"""Whether anything is left to do, so that a search which is complete loads no TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence

from optuna.storages import RDBStorage

from automl_cv.drawing.distinct import n_sets
from automl_cv.drawing.retraining import current_sources, slots_of
from automl_cv.search import events
from automl_cv.search.spaces import announcement, narrowed_space
from automl_cv.store.course import Course
from automl_cv.store.records import StudyFacts
from automl_cv.store.runs import StudyRun
from automl_cv.store.trials import StageTrials
from automl_cv.study.stage import Stage
from automl_cv.study.studyfile import StudyFile


def is_settled(storage: RDBStorage, run: StudyRun, stages: Sequence[Stage]) -> bool:
    """Tell whether all these stages have their trials, and their finalists are still the best.

    Raises:
        AutomlError: a stage that retrains finds no trial with a result.
    """
    for stage in stages:
        if stage.name not in run.stages:
            return False
        trials = StageTrials.open(storage, run.name, stage.name)
        if trials.facts.reference is None:
            return False
        if stage.retrain is not None:
            best = tuple(source.name for source in current_sources(stage, storage, run.name))
            if best != _contenders(stage, trials.facts):
                return False
        done = {record.trial for record in trials.records() if record.is_done}
        if not done.issuperset(wanted_slots(stage, trials.facts)):
            return False
    return True


def tell_settled(
    study: StudyFile,
    stages: Sequence[Stage],
    storage: RDBStorage,
    run: str,
    listen: events.Listener,
) -> None:
    """Tell of stages that have all their trials, and store that they have."""
    for stage in stages:
        trials = StageTrials.open(storage, run, stage.name)
        if stage.narrow_from is not None:
            narrowed = narrowed_space(study, stage, storage, run, trials)
            listen(announcement(stage, narrowed))
            trials.update_facts(narrowed={stage.name: narrowed})
        wanted = len(wanted_slots(stage, trials.facts))
        before = trials.facts.courses.get(stage.name)
        course = Course(
            wanted,
            n_sets=wanted if stage.retrain is None and wanted < stage.trials else None,
            redrawn=() if before is None else before.redrawn,
        )
        if course != before:
            trials.update_facts(courses={stage.name: course})
        listen(events.StageStarted(stage.name, wanted, wanted, {}, study.metric))


def _contenders(stage: Stage, facts: StudyFacts) -> tuple[str, ...]:
    """Return the finalists that count; before automl-cv told them apart, all did."""
    finalists = facts.finalists.get(stage.name, ())
    return facts.contenders.get(stage.name, finalists)


def wanted_slots(stage: Stage, facts: StudyFacts) -> Sequence[int]:
    """Return the trials that a stage which was begun wants, as its facts stand.

    Args:
        stage: as the study declares it.
        facts: its own.
    """
    if stage.retrain is not None:
        return slots_of(stage, facts.finalists.get(stage.name, ()), _contenders(stage, facts))
    narrowed = facts.narrowed.get(stage.name)
    return range(n_sets(stage.space if narrowed is None else narrowed.space, stage.trials))
