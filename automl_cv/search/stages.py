"""The stages of a study, one after the other: begun or gone on with, or left for another time."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from automl_cv.drawing.origins import origin_of
from automl_cv.search import events
from automl_cv.search.budget import must_wait
from automl_cv.search.context import SearchContext
from automl_cv.search.preparation import prepare_stage
from automl_cv.search.stage_run import StageRun
from automl_cv.store.facts import StageFacts, StudyFacts
from automl_cv.store.progress import Progress
from automl_cv.store.trials import StageTrials
from automl_cv.study.stage import Stage


@dataclass
class StageSequence:
    """Runs stages of one run, and keeps count of what is missing.

    Args:
        context: of the search.
        begun: names of the stages that an earlier search began.
        opened: the part of the storage of each stage that was run.
        progress: how far each stage came.
        shortfalls: what is missing, by stage.
    """

    context: SearchContext
    begun: Collection[str]
    opened: list[StageTrials] = field(default_factory=list)
    progress: dict[str, Progress] = field(default_factory=dict)
    shortfalls: dict[str, str] = field(default_factory=dict)

    def run(self, declared: Stage) -> None:
        """Run a stage as far as the time reaches.

        Raises:
            SearchBroken: three trials in a row broke.
            AutomlError: there is nothing to narrow from or to train again.
        """
        held = None
        if declared.name in self.begun:
            held = self.context.run.open(declared.name)
        if must_wait(declared, self.context.run.study, self.progress, self.context.budget):
            progress, finished = self._leave(declared, held)
        else:
            progress, finished = self._go_on(declared, held)
        self.progress[declared.name] = progress
        shortfall = progress.shortfall(finished)
        if shortfall is not None:
            self.shortfalls[declared.name] = shortfall

    def note_waiting(self) -> None:
        """Store with the stages that were run which others the time left no room for."""
        waiting = {name: one for name, one in self.progress.items() if not one.is_begun}
        for trials in self.opened:
            own = self.progress[trials.stage]
            if (trials.stage_facts.progress, trials.facts.waiting) != (own, waiting):
                trials.update_facts(progress=own, waiting=waiting)

    def _leave(self, declared: Stage, held: StageTrials | None) -> tuple[Progress, int]:
        """Leave a stage as it is; return how far it came, and trials finished."""
        if held is None:
            self.context.listen(events.StageWaits(declared.name))
            return Progress(declared.trials, is_begun=False, is_cut=True), 0
        slots = origin_of(declared).wanted(declared, held.stage_facts).slots
        done = {record.trial for record in held.records() if record.is_done}
        before = held.stage_facts.progress or Progress(len(slots))
        progress = replace(before, wanted=len(slots), is_cut=not done.issuperset(slots))
        held.update_facts(progress=progress, waiting={})
        if progress.is_cut:
            self.context.listen(events.StageWaits(declared.name))
        return progress, len(done.intersection(slots))

    def _go_on(self, declared: Stage, held: StageTrials | None) -> tuple[Progress, int]:
        """Run a stage; return how far it came, and trials finished."""
        stage, trials = self._begin(declared, held)
        self.opened.append(trials)
        memory = origin_of(stage).memory_of(stage, self.context.run, trials)
        features = prepare_stage(self.context, stage, memory, trials)
        return StageRun(self.context, stage, memory, trials, features).run()

    def _begin(self, stage: Stage, begun: StageTrials | None) -> tuple[Stage, StageTrials]:
        """Return a stage with the space that is searched, and its part of the storage."""
        run, facts, origin = self.context.run, self.context.facts, origin_of(stage)
        narrowed = origin.derived_space(stage, run, begun)
        if narrowed is not None:
            self.context.listen(events.StageNarrowed.of(stage.name, narrowed))
            stage = stage.model_copy(update={"space": narrowed.space})
        if begun is None:
            sizes = {} if stage.images is None else self.context.sizes(stage)
            notes = (*origin.notes(stage), *_sample_notes(stage, sizes, facts))
            own = StageFacts(notes=notes, narrowed=narrowed, sample=sizes)
            return stage, StageTrials.create(run.storage, run.name, stage.name, facts, own)
        begun.update_facts(study=facts.study, versions=facts.versions, narrowed=narrowed)
        return stage, begun


def _sample_notes(stage: Stage, sizes: Mapping[str, int], facts: StudyFacts) -> tuple[str, ...]:
    """Return a line on what the trials of a stage saw, if that is not all images."""
    if not sizes:
        return ()
    return (
        f"stage {stage.name}: its trials saw {sum(sizes.values()):,} of {facts.n_known:,} train "
        "and validation images, and don't compete with others; `automl-cv report --stage "
        f"{stage.name}` shows them",
    )
