"""The stages of a study, one after the other: begun or gone on with, or left for another time."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from optuna.storages import RDBStorage

from automl_cv.drawing.retraining import memory_of
from automl_cv.orders.checkpoint_paths import checkpoint_path
from automl_cv.orders.crew import Crew
from automl_cv.search import events
from automl_cv.search.budget import Budget, must_wait
from automl_cv.search.completeness import wanted_slots
from automl_cv.search.preparation import prepare_stage
from automl_cv.search.spaces import announcement, narrowed_space
from automl_cv.search.stage_run import StageRun
from automl_cv.store.course import Course
from automl_cv.store.database import address_of
from automl_cv.store.records import StudyFacts
from automl_cv.store.trials import StageTrials
from automl_cv.study.space import Choice, Constant
from automl_cv.study.stage import Stage
from automl_cv.study.studyfile import StudyFile


@dataclass
class StageSequence:
    """Runs stages of one run, and keeps count of what is missing.

    Args:
        study: holds all stages.
        storage: the database.
        name: name of the run.
        begun: stages that an earlier search began.
        facts: what new stages store of the study.
        crew: the workers.
        budget: says when a stage has to end.
        listen: is told everything that happens.
        cache_dir: where features and checkpoints are kept.
        opened: the part of the storage of each stage that was run.
        courses: how far each stage came.
        shortfalls: what is missing, by stage.
    """

    study: StudyFile
    storage: RDBStorage
    name: str
    begun: Collection[str]
    facts: StudyFacts
    crew: Crew
    budget: Budget
    listen: events.Listener
    cache_dir: Path
    opened: list[StageTrials] = field(default_factory=list)
    courses: dict[str, Course] = field(default_factory=dict)
    shortfalls: dict[str, str] = field(default_factory=dict)

    def run(self, declared: Stage) -> None:
        """Run a stage as far as the time reaches.

        Raises:
            SearchBroken: three trials in a row broke.
            AutomlError: there is nothing to narrow from or to train again.
        """
        held = None
        if declared.name in self.begun:
            held = StageTrials.open(self.storage, self.name, declared.name)
        if must_wait(declared, self.study, self.courses, self.budget):
            course, finished = self._leave(declared, held)
        else:
            course, finished = self._go_on(declared, held)
        self.courses[declared.name] = course
        shortfall = course.shortfall(finished)
        if shortfall is not None:
            self.shortfalls[declared.name] = shortfall

    def note_waiting(self) -> None:
        """Store with the stages that were run which others the time left no room for."""
        waiting = {name: one for name, one in self.courses.items() if not one.is_begun}
        for trials in self.opened:
            courses = {trials.stage: self.courses[trials.stage], **waiting}
            if trials.facts.courses != courses:
                trials.update_facts(courses=courses)

    def _leave(self, declared: Stage, held: StageTrials | None) -> tuple[Course, int]:
        """Leave a stage as it is; return how far it came, and trials finished."""
        if held is None:
            self.listen(events.StageWaits(declared.name))
            return Course(declared.trials, is_begun=False, is_cut=True), 0
        slots = wanted_slots(declared, held.facts)
        done = {record.trial for record in held.records() if record.is_done}
        before = held.facts.courses.get(declared.name, Course(len(slots)))
        course = replace(before, wanted=len(slots), is_cut=not done.issuperset(slots))
        held.update_facts(courses={declared.name: course})
        if course.is_cut:
            self.listen(events.StageWaits(declared.name))
        return course, len(done.intersection(slots))

    def _go_on(self, declared: Stage, held: StageTrials | None) -> tuple[Course, int]:
        """Run a stage; return how far it came, and trials finished."""
        stage, trials = self._begin(declared, held)
        self.opened.append(trials)
        memory = memory_of(self.study, stage, self.storage, trials)
        sizes = self.facts.split_sizes
        prepare_stage(self.crew, self.study, stage, memory, sizes, self.listen)
        path = partial(checkpoint_path, self.cache_dir, address_of(self.storage), trials.name)
        return StageRun(
            self.study, stage, memory, trials, self.crew, self.listen, self.budget, path
        ).run()

    def _begin(self, stage: Stage, begun: StageTrials | None) -> tuple[Stage, StageTrials]:
        """Return a stage with the space that is searched, and its part of the storage."""
        facts = self.facts
        if stage.narrow_from is not None:
            narrowed = narrowed_space(self.study, stage, self.storage, self.name, begun)
            self.listen(announcement(stage, narrowed))
            facts = replace(facts, narrowed={stage.name: narrowed})
            stage = stage.model_copy(update={"space": narrowed.space})
        if begun is None:
            with_notes = replace(facts, notes=_notes(stage))
            return stage, StageTrials.create(self.storage, self.name, stage.name, with_notes)
        begun.update_facts(study=facts.study, versions=facts.versions, narrowed=facts.narrowed)
        return stage, begun


# Zeiler 2012 (https://arxiv.org/abs/1212.5701) has no learning rate at all, which is 1.0.
ADADELTA_NOTE = (
    "Adadelta: 0.001 is Keras's default learning rate, the paper's is 1.0; "
    "at 0.001 it hardly moves in 50 epochs"
)


def _notes(stage: Stage) -> tuple[str, ...]:
    """Return lines that a reader of the stage's results should know."""
    if stage.retrain is not None:
        return ()
    optimizer, rate = (stage.space.parameters[name] for name in ("optimizer", "learning_rate"))
    is_adadelta = isinstance(optimizer, Constant) and optimizer.value == "Adadelta"
    is_default = isinstance(rate, Constant | Choice) and "0.001" in str(rate)
    return (ADADELTA_NOTE,) if is_adadelta and is_default else ()
