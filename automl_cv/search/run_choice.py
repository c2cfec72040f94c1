"""Which run a search goes on with: the newest of the same study on the same images.

Where the images lie does not count, only what they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from optuna.storages import RDBStorage

from automl_cv.catalog.datasets import DATASETS
from automl_cv.catalog.engines import TENSORFLOW
from automl_cv.drawing.origins import StoredRun
from automl_cv.errors import UserError
from automl_cv.store.claims import Claim, claim
from automl_cv.store.facts import StudyFacts
from automl_cv.store.runs import StudyRun, next_run, runs
from automl_cv.study import studyfile
from automl_cv.study.stage import Stage
from automl_cv.study.studyfile import StudyFile


def expected_run(
    held: Sequence[StudyRun], study: StudyFile, stages: Sequence[Stage]
) -> StudyRun | None:
    """Return the run that most likely goes on, so that what is refused is before images are read.

    Args:
        held: what the database holds.
        study: names its data.
        stages: those to be searched.

    Raises:
        UserError: no run is of this study as it is now, or a stage rests on one that is missing.
        AutomlError: another process searches the run, or what is stored of it is damaged.
    """
    own = _of_study(held, study)
    if own:
        own[-1].check_sound()
    alike = [run for run in own if _is_alike(run, study)]
    if own and not alike:
        _refuse_other_study(own[-1], study)
    source = str(study.data.source)
    likely = next((run for run in reversed(alike) if _is_place(run, source)), None)
    if likely is not None:
        likely.check_free()
    if likely is not None or not own:
        check_sources(stages, likely)
    return likely


@contextmanager
def taken_run(
    storage: RDBStorage,
    study: StudyFile,
    stages: Sequence[Stage],
    facts: StudyFacts,
    *,
    new: bool,
) -> Iterator[tuple[StoredRun, Claim, StudyRun | None]]:
    """Hold the run that goes on, or a new one, for a with block; see `take_run`."""
    taken, other = take_run(storage, study, stages, facts, new=new)
    with taken.kept():
        yield StoredRun(study, storage, taken.run), taken, other


def take_run(
    storage: RDBStorage,
    study: StudyFile,
    stages: Sequence[Stage],
    facts: StudyFacts,
    *,
    new: bool,
) -> tuple[Claim, StudyRun | None]:
    """Choose the run that goes on, or the name of a new one, and take it for this process.

    Args:
        storage: the database, as it is now.
        study: what is searched.
        stages: those to be searched.
        facts: what is known of the study and its images.
        new: begin a new run in any case.

    Returns:
        The claim of the run; and the latest one of the same study, where a new run begins beside it
        because the images are others.

    Raises:
        UserError: see `chosen_run` and `check_sources`.
        AutomlError: another process searches the run.
    """
    while True:
        held = runs(storage, with_planned=True)
        chosen = None if new else chosen_run(held, study, facts)
        if chosen is not None:
            chosen.check_free()
        check_sources(stages, chosen)
        name = next_run(held, study.name) if chosen is None else chosen.name
        # Where another search was faster, the database now shows it.
        taken = claim(storage, name, stages[0].name, facts)
        if taken is not None:
            own = _of_study(held, study)
            return taken, own[-1] if own and chosen is None and not new else None


def chosen_run(held: Sequence[StudyRun], study: StudyFile, facts: StudyFacts) -> StudyRun | None:
    """Return the newest run of this study on these images; None where a new one is to begin.

    Args:
        held: what the database holds.
        study: what is searched.
        facts: what is known of the images.

    Raises:
        UserError: there is none, and the study is not that of its latest run, or the images of
            the named source have changed since.
        AutomlError: what is stored of its latest run is damaged.
    """
    own = _of_study(held, study)
    if own:
        own[-1].check_sound()
    alike = [run for run in own if _is_alike(run, study)]
    for run in reversed(alike):
        if run.facts[-1].data_fingerprint == facts.data_fingerprint:
            return run
    if own and own[-1] not in alike:
        _refuse_other_study(own[-1], study)
    for run in reversed(alike):
        if _is_place(run, facts.data_source):
            _refuse_other_images(run, facts)
    return None


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


def _of_study(held: Sequence[StudyRun], study: StudyFile) -> list[StudyRun]:
    return sorted((run for run in held if run.study == study.name), key=lambda run: run.number)


def _is_alike(run: StudyRun, study: StudyFile) -> bool:
    if run.damage is not None:
        return False
    try:
        return not _changes(run, study)
    except UserError:  # An older automl-cv took what this one refuses.
        return False


def _changes(run: StudyRun, study: StudyFile) -> list[str]:
    before = studyfile.parse(run.facts[-1].study, f"the stored study {run.name}")
    now = study.decided_as(before.validation).on_engine(engine_of(before))
    return studyfile.difference(before, now)


def engine_of(stored: StudyFile) -> str:
    """Return the engine that a stored study's features are made by.

    Of studies that were stored before there were engines it is TensorFlow.
    """
    return stored.backbone.on_engine(TENSORFLOW).engine


def _is_place(run: StudyRun, source: str) -> bool:
    """Tell whether a run's images came from this source, however it is written."""
    return _place(run.facts[-1].data_source) == _place(source)


def _place(source: str) -> str:
    return source if source in DATASETS else str(Path(source).expanduser().resolve())


def _refuse_other_study(run: StudyRun, study: StudyFile) -> None:
    """Refuse to go on with a study whose file would now give other results."""
    raise UserError(
        f"study {study.name!r} is not the one that run {run.name!r} began with: "
        f"{'; '.join(_changes(run, study))}. Change it back to go on, or begin a new run with --new"
    )


def _refuse_other_images(run: StudyRun, now: StudyFacts) -> None:
    """Refuse to compare trials on other images than the first ones were trained on."""
    before = run.facts[-1]
    raise UserError(
        f"{now.data_source}: the images are not those that run {run.name!r} began with "
        f"({sum(before.split_sizes.values()):,} images then, {sum(now.split_sizes.values()):,} "
        f"now, fingerprint {before.data_fingerprint[:8]} then, {now.data_fingerprint[:8]} now). "
        "Put them back to go on, or begin a new run with --new"
    )
