"""A search, from its study file to its last stage."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
from optuna.storages import RDBStorage

from automl_cv import __version__
from automl_cv.catalog.metrics import METRICS
from automl_cv.data import dataset, overlap
from automl_cv.data.dataset import Dataset
from automl_cv.drawing.samplers import check_sampler
from automl_cv.errors import AutomlError, UserError
from automl_cv.orders import messages
from automl_cv.orders.crew import Crew, raise_failure
from automl_cv.orders.images import images_of
from automl_cv.scoring import figure
from automl_cv.search import events
from automl_cv.search.budget import Budget
from automl_cv.search.completeness import is_settled, tell_settled
from automl_cv.search.run_choice import expected_run, take_run
from automl_cv.search.stages import StageSequence
from automl_cv.store.database import open_storage
from automl_cv.store.records import StudyFacts
from automl_cv.store.runs import StudyRun, claim, release, runs, shown_name
from automl_cv.store.trials import StageTrials
from automl_cv.study.studyfile import StudyFile
from automl_cv.words import listed


@dataclass(frozen=True)
class SearchOptions:
    """What a search takes beside its study.

    Args:
        storage: address of the database.
        cache_dir: folder of features and built-in data.
        stage: only this stage; None for all of them.
        timeout: seconds after which the search ends; None for never.
        workers: processes that train at the same time, from 1.
        new: begin a new run where the database holds one of this study on these images.
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
        run: name of the run, as `report` takes it: "quickstart@1" where there is a later one.
        shortfalls: what is missing, by stage: "4 of 10 trials (the time ended)"; empty where
            every stage has its trials.
    """

    run: str
    shortfalls: Mapping[str, str]


def search(study: StudyFile, options: SearchOptions, listen: events.Listener) -> SearchOutcome:
    """Search a study: read the images, extract features, run every missing trial.

    Args:
        study: a checked study that names its data.
        options: where to store, and how much to do.
        listen: is told everything that happens.

    Raises:
        UserError: the study, the data or the storage does not allow the search, or the
            validation images do not determine the metric.
        SearchBroken: trials fail one after the other.
        AutomlError: a stage has no trial with a result that the next one could narrow from, or
            another process searches the run.
    """
    stages = [study.stage(options.stage)] if options.stage else list(study.stages)
    budget = Budget(study, stages, options.timeout, options.workers)
    for stage in stages:
        check_sampler(stage)
    if study.data.source is None:
        raise UserError(f"study {study.name!r} names no data; give a folder with --data PATH")
    storage = open_storage(options.storage, create=True)
    held = [] if options.new else runs(storage, with_planned=True)
    expected = expected_run(held, study, stages)
    settled = expected is not None and is_settled(storage, expected, stages)
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
        _check_metric(study.metric, images)
        facts = _facts(study, images)
        name, other = take_run(storage, study, stages, facts, new=options.new)
        try:
            listen(_data_read(images))
            if other is not None:
                listen(events.OtherImages(name, other.exact_name))
            earlier = next((run for run in runs(storage) if run.name == name), None)
            if earlier is not None:
                _note_place(storage, earlier, images.source)
            if earlier is not None and is_settled(storage, earlier, stages):
                tell_settled(study, stages, storage, name, listen)
                return SearchOutcome(shown_name(storage, name), {})
            crew.hire(options.workers)
            prepared = _prepare(crew, study, options, images, listen)
            versions = {**facts.versions, **prepared.versions}
            facts = replace(facts, versions=versions, started=datetime.now(UTC))
            begun = earlier.stages if earlier else ()
            sequence = StageSequence(
                study, storage, name, begun, facts, crew, budget, listen, options.cache_dir
            )
            for stage in stages:
                # Where nobody can see whether this process lives, its claim must be young.
                if not claim(storage, name, stage.name, facts):
                    raise AutomlError(f"another search has taken {name} over; it goes on with it")
                sequence.run(stage)
            sequence.note_waiting()
            _survey(crew, sequence.opened, listen)
        finally:
            release(storage, name)
    return SearchOutcome(shown_name(storage, name), sequence.shortfalls)


def _note_place(storage: RDBStorage, run: StudyRun, source: str) -> None:
    """Store where the images lie now, for `fit` to read them there."""
    for stage, facts in zip(run.stages, run.facts, strict=True):
        if facts.data_source != source:
            StageTrials.open(storage, run.name, stage).update_facts(data_source=source)


def _check_metric(name: str, images: Dataset) -> None:
    """Refuse a metric that the validation images are of too few classes for.

    Folds need no check: each holds images of every class.
    """
    metric, n_classes = METRICS[name], len(images.classes)
    present = np.unique(images.labels("validation"))
    # One image a class tells, whatever the probabilities.
    alike = np.full((len(present), n_classes), 1 / n_classes, np.float32)
    if metric.of_epoch is not None or figure(name, present.astype(np.intp), alike) is not None:
        return
    absent = [repr(label) for number, label in enumerate(images.classes) if number not in present]
    raise UserError(
        f"metric: {name!r} can't be measured: {images.source} has no validation images of "
        f"{listed(absent)}; add some, or choose another metric or another split"
    )


def _prepare(
    crew: Crew,
    study: StudyFile,
    options: SearchOptions,
    images: Dataset,
    listen: events.Listener,
) -> messages.Prepared:
    order = messages.Prepare(
        images=images_of(images),
        backbone=study.backbone,
        metric=study.metric,
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


def _facts(study: StudyFile, images: Dataset) -> StudyFacts:
    own = {"automl-cv": __version__, "python": platform.python_version()}
    packages = {name: version(name) for name in ("optuna", "scikit-learn", "pillow")}
    return StudyFacts(
        study=study.as_toml_data(),
        digest=study.digest(),
        seed=study.seed,
        versions={**own, **packages},
        data_source=images.source,
        data_fingerprint=images.fingerprint,
        class_names=images.classes,
        split_sizes=_split_sizes(images),
        ledger=images.ledger.to_json(),
        warnings=_data_warnings(images),
    )
