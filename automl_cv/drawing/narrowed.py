"""Trials drawn from a space that is derived from another stage: when its turn comes, then kept.

What each function does is said in `catalog.origins.OriginEntry`; the rule is in `narrowing`.
"""

from __future__ import annotations

from automl_cv.drawing.distinct import n_sets
from automl_cv.drawing.narrowing import narrow
from automl_cv.drawing.origins import StoredRun
from automl_cv.drawing.searched import is_current as is_current  # a space with trials is kept
from automl_cv.drawing.searched import members as members
from automl_cv.drawing.searched import memory_of as memory_of
from automl_cv.drawing.searched import notes as notes
from automl_cv.drawing.searched import wanted as wanted
from automl_cv.errors import AutomlError
from automl_cv.results.ranking import in_order_on_sample
from automl_cv.store.facts import Narrowed
from automl_cv.store.trials import StageTrials
from automl_cv.study.stage import Stage


def derived_space(stage: Stage, run: StoredRun, begun: StageTrials | None) -> Narrowed:
    """Return the space that is derived from the best trials of the other stage.

    Once a trial was drawn from it, the stored space stays, even where the other stage got
    more trials since: trials of one stage must be draws from one space.

    Args:
        stage: one that narrows another.
        run: that it belongs to.
        begun: the stage's own part of the database; None where it is not begun.

    Raises:
        AutomlError: the stage that is narrowed has no trial with a result.
    """
    source = run.study.stage(stage.narrowing.stage)
    held = run.open(source.name)
    records = held.records()
    if not any(record.is_ranked for record in records):
        raise AutomlError(
            f"stage {stage.name!r} can't be narrowed: no trial of {source.name!r} has a result; "
            f"`automl-cv report {run.name}` says why. Mend the cause and run the same command again"
        )
    space = held.stage_facts.searched_space(source)
    known = stage.known_parameters
    sample = held.stage_facts.sample
    ranked = in_order_on_sample(records, held.facts, sample) if sample else ()
    top = stage.narrowing.top
    fresh = narrow(space, records, top, stage.space, known=known, ranked=ranked)
    kept = None if begun is None else begun.stage_facts.narrowed
    if begun is not None and kept is not None and begun.records():
        return kept.model_copy(update={"best_now": fresh.trials})
    count = n_sets(space, source.trials)
    left = count - sum(record.is_done for record in records)
    if left > 0:
        remark = f"{left} of the {count} trials of {source.name} were not finished"
        fresh = fresh.model_copy(update={"remarks": (*fresh.remarks, remark)})
    return fresh
