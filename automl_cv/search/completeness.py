"""Whether anything is left to do, so that a search which is complete loads no TensorFlow."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from automl_cv.drawing.origins import StoredRun, origin_of
from automl_cv.search import events
from automl_cv.store.progress import Progress
from automl_cv.study.stage import Stage


def is_settled(run: StoredRun, begun: Collection[str], stages: Sequence[Stage]) -> bool:
    """Tell whether all these stages have their trials, and their finalists are still the best.

    Args:
        run: what they belong to.
        begun: names of the stages that were begun.
        stages: those to be searched.

    Raises:
        AutomlError: a stage that retrains finds no trial with a result.
    """
    for stage in stages:
        if stage.name not in begun:
            return False
        trials, origin = run.open(stage.name), origin_of(stage)
        if trials.facts.reference is None and stage.images is None:
            return False
        if not origin.is_current(stage, run, trials.stage_facts):
            return False
        done = {record.trial for record in trials.records() if record.is_done}
        if not done.issuperset(origin.wanted(stage, trials.stage_facts).slots):
            return False
    return True


def tell_settled(run: StoredRun, stages: Sequence[Stage], listen: events.Listener) -> None:
    """Tell of stages that have all their trials, and store that they have."""
    for stage in stages:
        trials, origin = run.open(stage.name), origin_of(stage)
        narrowed = origin.derived_space(stage, run, trials)
        if narrowed is not None:
            listen(events.StageNarrowed.of(stage.name, narrowed))
            trials.update_facts(narrowed=narrowed)
        wanted = origin.wanted(stage, trials.stage_facts)
        count, before = len(wanted.slots), trials.stage_facts.progress
        redrawn = () if before is None else before.redrawn
        progress = Progress(count, n_sets=wanted.n_sets, redrawn=redrawn)
        if progress != before:
            trials.update_facts(progress=progress, waiting={})
        listen(events.StageStarted(stage.name, count, count, {}, run.study.metric))
