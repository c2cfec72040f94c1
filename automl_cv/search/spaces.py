"""The spaces of stages that narrow another one: derived when their turn comes, then kept."""

from __future__ import annotations

from collections.abc import Sequence

from optuna.storages import RDBStorage

from automl_cv.drawing.distinct import n_sets
from automl_cv.drawing.narrowing import narrow
from automl_cv.errors import AutomlError, UserError
from automl_cv.search import events
from automl_cv.store.records import Narrowed
from automl_cv.store.runs import StudyRun
from automl_cv.store.trials import StageTrials
from automl_cv.study.stage import Stage
from automl_cv.study.studyfile import StudyFile


def check_sources(stages: Sequence[Stage], earlier: StudyRun | None) -> None:
    """Refuse a stage that rests on another one which is neither searched now nor before.

    Args:
        stages: those to be searched now.
        earlier: the run that goes on; None for a new one.

    Raises:
        UserError: there is such a stage.
    """
    at_hand = {stage.name for stage in stages} | set(earlier.stages if earlier else ())
    for stage in stages:
        missing = [name for name in stage.sources if name not in at_hand]
        if missing:
            raise UserError(
                f"stage {stage.name!r} rests on {missing[0]!r}, which has not been searched yet; "
                f"search it first with --stage {missing[0]}, or leave --stage out"
            )


def narrowed_space(
    study: StudyFile, stage: Stage, storage: RDBStorage, run: str, begun: StageTrials | None
) -> Narrowed:
    """Return the space of a stage that narrows another one.

    Once a trial was drawn from it, the stored space stays, even where the other stage got
    more trials since: trials of one stage must be draws from one space.

    Args:
        study: holds the stage that is narrowed.
        stage: one with `narrow_from`.
        storage: the database.
        run: name of the run.
        begun: the stage's own part of the database; None where it is not begun.

    Raises:
        AutomlError: the stage that is narrowed has no trial with a result.
    """
    assert stage.narrow_from is not None
    source = study.stage(stage.narrow_from.stage)
    held = StageTrials.open(storage, run, source.name)
    records = held.records()
    if not any(record.is_ranked for record in records):
        raise AutomlError(
            f"stage {stage.name!r} can't be narrowed: no trial of {source.name!r} has a result; "
            f"`automl-cv report {run}` says why. Mend the cause and run the same command again"
        )
    space = held.facts.narrowed[source.name].space if source.narrow_from else source.space
    known = stage.known_parameters
    fresh = narrow(space, records, stage.narrow_from.top, stage.space, known=known)
    if begun is not None and begun.records():
        kept = begun.facts.narrowed[stage.name]
        return kept.model_copy(update={"best_now": fresh.trials})
    wanted = n_sets(space, source.trials)
    left = wanted - sum(record.is_done for record in records)
    if left > 0:
        remark = f"{left} of the {wanted} trials of {source.name} were not finished"
        fresh = fresh.model_copy(update={"remarks": (*fresh.remarks, remark)})
    return fresh


def announcement(stage: Stage, narrowed: Narrowed) -> events.StageNarrowed:
    """Return the event that tells of a derived space."""
    return events.StageNarrowed(
        stage=stage.name,
        source=narrowed.stage,
        trials=narrowed.trials,
        space={name: str(one) for name, one in narrowed.space.parameters.items()},
        reasons=narrowed.reasons,
        warnings=narrowed.warnings,
    )
