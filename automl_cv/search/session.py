"""A search, from its study file to its last stage."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
from optuna.storages import RDBStorage

from automl_cv import __version__, studyfile
from automl_cv.data import dataset, overlap
from automl_cv.data.dataset import Dataset
from automl_cv.errors import UserError
from automl_cv.search import events, messages
from automl_cv.search.draws import check_sampler
from automl_cv.search.preparation import needed_features
from automl_cv.search.retraining import memory_of
from automl_cv.search.spaces import announcement, check_sources, narrowed_space
from automl_cv.search.stages import StageRun, is_done
from automl_cv.search.workers import Crew, raise_failure
from automl_cv.space import Choice, Constant
from automl_cv.stage import Stage
from automl_cv.store.database import open_storage
from automl_cv.store.records import StudyFacts
from automl_cv.store.runs import StudyRun, next_run, runs
from automl_cv.store.trials import StageTrials
from automl_cv.studyfile import StudyFile


@dataclass(frozen=True)
class SearchOptions:
    """What a search takes beside its study.

    Args:
        storage: address of the database.
        cache_dir: folder of features and built-in data.
        stage: only this stage; None for all of them.
        timeout: seconds after which the search ends; None for never.
        workers: processes that train at the same time, from 1.
        new: begin a new run where the database holds one of this study.
        strict: refuse a source that holds damaged images.
    """

    storage: str
    cache_dir: Path
    stage: str | None = None
    timeout: float | None = None
    workers: int = 1
    new: bool = False
    strict: bool = False


@dataclass(frozen=True)
class SearchOutcome:
    """How a search ended.

    Args:
        run: name of the run, as `report` takes it.
        missing: trials that are not finished, by stage; empty where all are.
    """

    run: str
    missing: dict[str, int]


def search(study: StudyFile, options: SearchOptions, listen: events.Listener) -> SearchOutcome:
    """Search a study: read the images, extract features, run every missing trial.

    Args:
        study: a checked study that names its data.
        options: where to store, and how much to do.
        listen: is told everything that happens.

    Raises:
        UserError: the study, the data or the storage does not allow the search.
        SearchBroken: trials fail one after the other.
        AutomlError: a stage has no trial with a result that the next one could narrow from.
    """
    deadline = None if options.timeout is None else time.monotonic() + options.timeout
    stages = [study.stage(options.stage)] if options.stage else list(study.stages)
    for stage in stages:
        check_sampler(stage)
    if study.data.source is None:
        raise UserError(f"study {study.name!r} names no data; give a folder with --data PATH")
    storage = open_storage(options.storage, create=True)
    earlier = None if options.new else _latest(runs(storage), study.name)
    if earlier is not None:
        _check_same_study(earlier, study)
    check_sources(stages, earlier)
    settled = earlier is not None and _is_settled(storage, earlier, stages)
    # The workers load TensorFlow while this process reads the images.
    with Crew(0 if settled else options.workers) as crew:
        images = dataset.load(
            study.data.source,
            split=study.data.split,
            seed=study.seed,
            cache_dir=options.cache_dir,
            strict=options.strict,
            on_progress=lambda done, total: listen(events.Inspecting(done, total)),
        )
        if earlier is not None:
            _check_same_images(earlier, images)
        listen(_data_read(images))
        if earlier is not None and settled:
            _tell_settled(study, stages, storage, earlier.name, listen)
            return SearchOutcome(earlier.name, {})
        prepared = _prepare(crew, study, options, images, listen)
        run = earlier.name if earlier else next_run(storage, study.name)
        facts = _facts(study, images, prepared)
        missing: dict[str, int] = {}
        opened: list[StageTrials] = []
        for declared in stages:
            is_begun = earlier is not None and declared.name in earlier.stages
            if not is_begun and _must_wait(declared, missing, deadline):
                missing[declared.name] = declared.trials
                continue
            begun = StageTrials.open(storage, run, declared.name) if is_begun else None
            stage, trials = _begin(study, declared, facts, storage, run, begun, listen)
            opened.append(trials)
            memory = memory_of(study, stage, storage, trials)
            for order in needed_features(study, stage, memory):
                if not crew.has(order):
                    ready = crew.prepare(order, listen)
                    listen(
                        events.FeaturesReady(
                            ready.extracted, ready.dimension, ready.seconds, str(order)
                        )
                    )
            finished = StageRun(stage, memory, trials, crew, listen, deadline).run()
            if finished < memory.n_trials:
                missing[stage.name] = memory.n_trials - finished
        _survey(crew, opened, listen)
    return SearchOutcome(run, missing)


def _tell_settled(
    study: StudyFile,
    stages: Sequence[Stage],
    storage: RDBStorage,
    run: str,
    listen: events.Listener,
) -> None:
    for stage in stages:
        if stage.narrow_from is not None:
            trials = StageTrials.open(storage, run, stage.name)
            narrowed = narrowed_space(study, stage, storage, run, trials)
            listen(announcement(stage, narrowed))
            trials.update_facts(narrowed={stage.name: narrowed})
        listen(events.StageStarted(stage.name, stage.trials, stage.trials, {}))


def _must_wait(stage: Stage, missing: Mapping[str, int], deadline: float | None) -> bool:
    """Tell whether the time ended before the stage that this one narrows had its trials.

    Those still to come there decide what is searched here.
    """
    is_late = deadline is not None and time.monotonic() >= deadline
    sources = [stage.narrow_from.stage] if stage.narrow_from else []
    sources += stage.retrain.stages if stage.retrain else []
    return is_late and any(name in missing for name in sources)


def _begin(
    study: StudyFile,
    stage: Stage,
    facts: StudyFacts,
    storage: RDBStorage,
    run: str,
    begun: StageTrials | None,
    listen: events.Listener,
) -> tuple[Stage, StageTrials]:
    """Return a stage with the space that is searched, and its part of the storage."""
    if stage.narrow_from is not None:
        narrowed = narrowed_space(study, stage, storage, run, begun)
        listen(announcement(stage, narrowed))
        facts = replace(facts, narrowed={stage.name: narrowed})
        stage = stage.model_copy(update={"space": narrowed.space})
    if begun is None:
        with_notes = replace(facts, notes=_notes(stage))
        return stage, StageTrials.create(storage, run, stage.name, with_notes)
    begun.update_facts(study=facts.study, versions=facts.versions, narrowed=facts.narrowed)
    return stage, begun


def _is_settled(storage: RDBStorage, earlier: StudyRun, stages: Sequence[Stage]) -> bool:
    """Tell whether nothing is left to do, so that no worker need load TensorFlow."""
    for stage in stages:
        if stage.name not in earlier.stages:
            return False
        trials = StageTrials.open(storage, earlier.name, stage.name)
        done = {record.trial for record in trials.records() if is_done(record)}
        chosen = trials.facts.finalists.get(stage.name)
        repeats = stage.retrain.n_repeats if stage.retrain else 1
        wanted = stage.trials if chosen is None else min(stage.trials, len(chosen) * repeats)
        if trials.facts.reference is None or not done.issuperset(range(wanted)):
            return False
    return True


def _latest(held: Sequence[StudyRun], study: str) -> StudyRun | None:
    matching = [run for run in held if run.study == study]
    return max(matching, key=lambda run: run.number, default=None)


def _check_same_study(earlier: StudyRun, study: StudyFile) -> None:
    """Refuse to go on with a study whose file would now give other results."""
    before = studyfile.parse(earlier.facts[-1].study, f"the stored study {earlier.name}")
    changes = studyfile.difference(before, study)
    if changes:
        raise UserError(
            f"study {study.name!r} is not the one that run {earlier.name!r} began with: "
            f"{'; '.join(changes)}. Change it back to go on, or begin a new run with --new"
        )


def _check_same_images(earlier: StudyRun, images: Dataset) -> None:
    """Refuse to compare trials on other images than the first ones were trained on."""
    facts = earlier.facts[-1]
    if facts.data_fingerprint == images.fingerprint:
        return
    before, now = sum(facts.split_sizes.values()), len(images.images)
    raise UserError(
        f"{images.source}: the images are not those that run {earlier.name!r} began with "
        f"({before:,} images then, {now:,} now, fingerprint {facts.data_fingerprint[:8]} then, "
        f"{images.fingerprint[:8]} now). Put them back to go on, or begin a new run with --new"
    )


def _prepare(
    crew: Crew,
    study: StudyFile,
    options: SearchOptions,
    images: Dataset,
    listen: events.Listener,
) -> messages.Prepared:
    table = images.images
    order = messages.Prepare(
        images=messages.Images(
            paths=tuple(table["path"]),
            content_hashes=tuple(table["content_hash"]),
            labels=np.searchsorted(np.asarray(images.classes), table["label"]).astype(np.int32),
            splits=table["split"].to_numpy(dtype=str),
            groups=tuple(table["group"].astype(object).where(table["group"].notna(), None)),
            classes=images.classes,
        ),
        backbone=study.backbone,
        cache_dir=options.cache_dir,
        seed=study.seed,
    )
    prepared = crew.prepare(order, listen)
    listen(events.FeaturesReady(prepared.extracted, prepared.dimension, prepared.seconds))
    return prepared


def _survey(crew: Crew, opened: Sequence[StageTrials], listen: events.Listener) -> None:
    """Train the reference and compare the splits, once a run; store them with each stage."""
    known = next((trials.facts for trials in opened if trials.facts.reference), None)
    if known is None:
        worker = crew.workers[0]
        crew.order(worker, messages.Survey())
        match worker.receive():
            case messages.Surveyed() as surveyed:
                reference, found = surveyed.reference, surveyed.warnings
                listen(surveyed)
            case messages.Failed() as failed:
                raise_failure(failed)
    else:
        assert known.reference is not None
        reference, found = known.reference, known.warnings
    for trials in opened:
        if trials.facts.reference is None:
            warnings = tuple(dict.fromkeys([*trials.facts.warnings, *found]))
            trials.update_facts(reference=reference, warnings=warnings)


def _data_read(images: Dataset) -> events.DataRead:
    return events.DataRead(
        source=images.source,
        images=_split_sizes(images),
        classes=images.classes,
        skipped=len(images.ledger.skipped),
        warnings=_data_warnings(images),
    )


def _data_warnings(images: Dataset) -> tuple[str, ...]:
    table = images.images
    return tuple(
        overlap.identical(list(table["content_hash"]), list(table["split"])).warnings(
            list(table["path"])
        )
    )


def _split_sizes(images: Dataset) -> dict[str, int]:
    counts = images.images["split"].value_counts()
    return {split: int(counts.get(split, 0)) for split in ("train", "validation", "test")}


def _facts(study: StudyFile, images: Dataset, prepared: messages.Prepared) -> StudyFacts:
    own = {"automl-cv": __version__, "python": platform.python_version()}
    packages = {name: version(name) for name in ("optuna", "scikit-learn", "pillow")}
    return StudyFacts(
        study=study.as_toml_data(),
        digest=study.digest(),
        seed=study.seed,
        versions={**own, **packages, **prepared.versions},
        data_source=images.source,
        data_fingerprint=images.fingerprint,
        class_names=images.classes,
        split_sizes=_split_sizes(images),
        ledger=images.ledger.to_json(),
        warnings=_data_warnings(images),
    )


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
