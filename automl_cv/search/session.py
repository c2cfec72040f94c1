"""A search, from its study file to its last stage."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from optuna.storages import RDBStorage

from automl_cv.data.dataset import Dataset
from automl_cv.drawing.origins import StoredRun
from automl_cv.drawing.samplers import check_sampler
from automl_cv.orders import messages
from automl_cv.orders.cluster import ClusterCrew, scheduler_address
from automl_cv.orders.crew import Crew, raise_failure
from automl_cv.orders.images import Images, images_of
from automl_cv.orders.messages import PrepareFeatures
from automl_cv.results.ranking import in_order_on_sample
from automl_cv.search import events
from automl_cv.search.budget import Budget
from automl_cv.search.completeness import is_settled, tell_settled
from automl_cv.search.context import SearchContext
from automl_cv.search.engine_choice import on_engine, tell_refusal
from automl_cv.search.first_loaded import first_loaded
from automl_cv.search.run_choice import expected_run, taken_run
from automl_cv.search.stages import StageSequence
from automl_cv.search.study_data import (
    check_findings,
    check_source,
    data_read,
    decided,
    read_images,
    study_facts,
)
from automl_cv.store.claims import Claim
from automl_cv.store.database import open_storage
from automl_cv.store.labels import write_labels
from automl_cv.store.runs import StudyRun, runs, shown_name
from automl_cv.store.trials import StageTrials
from automl_cv.study.at_hand import resolved
from automl_cv.study.parameters import BACKBONE_PARAMETERS
from automl_cv.study.space import Value
from automl_cv.study.stage import Stage
from automl_cv.study.studyfile import StudyFile, drawn_backbone


@dataclass(frozen=True)
class SearchOptions:
    """What a search takes beside its study.

    Args:
        storage: address of the database.
        cache_dir: folder of features and built-in data.
        stage: only this stage; None for all of them.
        timeout: seconds after which the search ends; None for never.
        workers: processes that train at the same time, from 1; None for one, and on a cluster
            for one on each of its workers, those that join included.
        cluster: address of a Dask scheduler, on whose workers they stand; None for this machine.
        new: begin a new run where the database holds one of this study on these images.
        strict: refuse a source that holds damaged images.
        despite_findings: search images too that results of are worth nothing.
    """

    storage: str
    cache_dir: Path
    stage: str | None = None
    timeout: float | None = None
    workers: int | None = None
    cluster: str | None = None
    new: bool = False
    strict: bool = False
    despite_findings: bool = False


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
    study, found = resolved(study)
    if found is not None:
        listen(events.BackbonesAtHand(str(found), found.names, found.downloads))
    stages = [study.stage(options.stage)] if options.stage else list(study.stages)
    budget = Budget(study, stages, options.timeout, options.workers or 1)
    _check(study, stages, options)
    storage = open_storage(options.storage, create=True)
    shortfalls: Mapping[str, str] = {}
    held = [] if options.new else runs(storage, with_planned=True)
    expected = expected_run(held, study, stages)
    count = _first_workers(study, stages, storage, options, expected)
    with _crew(count, options, first_loaded(study, stages, options.cache_dir)) as crew:
        images = read_images(
            study,
            cache_dir=options.cache_dir,
            strict=options.strict,
            ledger=None if expected is None else expected.facts[-1].ledger,
            listen=listen,
        )
        if not options.despite_findings:
            check_findings(images)
        study = on_engine(
            decided(study, images), images, storage, options.cache_dir, new=options.new
        )
        facts = study_facts(study, images)
        with taken_run(storage, study, stages, facts, new=options.new) as (run, taken, other):
            listen = _while_held(taken, listen)
            _tell_data(run, other, images, listen)
            begun = _begun(run, images.source)
            _keep_labels(run, study, images)
            if is_settled(run, begun, stages):
                tell_settled(run, stages, listen)
            else:
                crew.hire(options.workers or 1)
                given = images_of(images).kept(options.cache_dir)
                versions = _prepare(crew, study, options, given, listen)
                facts = replace(facts, versions={**facts.versions, **versions})
                context = SearchContext(
                    run=run,
                    claim=taken,
                    facts=facts,
                    crew=crew,
                    budget=budget,
                    listen=listen,
                    cache_dir=options.cache_dir,
                    images=given,
                )
                sequence = _run_stages(context, stages, begun)
                _survey(context, sequence.opened)
                shortfalls = sequence.shortfalls
    return SearchOutcome(shown_name(storage, run.name), shortfalls)


def _while_held(taken: Claim, listen: events.Listener) -> events.Listener:
    """Return a listener that ends a search whose run was taken over.

    While features are extracted nothing is written that would show it; how far it is, is told.
    """

    def tell(event: events.Event) -> None:
        taken.check()
        listen(event)

    return tell


def _check(study: StudyFile, stages: Sequence[Stage], options: SearchOptions) -> None:
    """Refuse what can be seen to be wrong before anything is opened or read."""
    if options.cluster is not None:
        scheduler_address(options.cluster)
    for stage in stages:
        check_sampler(stage)
    check_source(study)


def _first_workers(
    study: StudyFile,
    stages: Sequence[Stage],
    storage: RDBStorage,
    options: SearchOptions,
    expected: StudyRun | None,
) -> int:
    """Return how many workers to start at once: none where all seems to be done already."""
    count = options.workers or 1
    if expected is None:
        return count
    run = StoredRun(study, storage, expected.name)
    return 0 if is_settled(run, expected.stages, stages) else count


def _crew(count: int, options: SearchOptions, loads: Callable[[int], Sequence[str]]) -> Crew:
    """Return the workers, on this machine or on a cluster."""
    if options.cluster is None:
        return Crew(count, loads=loads)
    return ClusterCrew(
        count, options.cluster, cache_dir=options.cache_dir, loads=loads, limit=options.workers
    )


def _tell_data(
    run: StoredRun, other: StudyRun | None, images: Dataset, listen: events.Listener
) -> None:
    """Tell what the images are, which run it is, and of an earlier one that has others."""
    listen(data_read(images, run.study.backbone))
    listen(events.RunChosen(run.name, run.study.as_toml_data()))
    if other is not None:
        listen(events.OtherImages(run.name, other.exact_name))


def _begun(run: StoredRun, source: str) -> tuple[str, ...]:
    """Return the stages that earlier searches began; store with each where the images lie now."""
    earlier = next((one for one in runs(run.storage) if one.name == run.name), None)
    if earlier is None:
        return ()
    for stage, facts in zip(earlier.stages, earlier.facts, strict=True):
        if facts.data_source != source:
            run.open(stage).update_facts(data_source=source)  # `fit` reads them there
    return earlier.stages


def _keep_labels(run: StoredRun, study: StudyFile, images: Dataset) -> None:
    """Store what the images that validate are, in the order in which trials speak of them."""
    splits = ("validation",) if study.validating_folds is None else ("train", "validation")
    known = images_of(images)
    rows = np.flatnonzero(np.isin(known.splits, splits))
    write_labels(run.storage, run.name, known.labels[rows], [known.group(row) for row in rows])


def _prepare(
    crew: Crew,
    study: StudyFile,
    options: SearchOptions,
    images: Images,
    listen: events.Listener,
) -> Mapping[str, str]:
    """Have the study's own features extracted; return the versions of what decides numbers.

    Where the first stage has yet to find out which are worth it, none are.
    """
    order = messages.Prepare(
        images=images,
        backbone=study.backbone,
        metric=study.metric,
        folds=study.validating_folds,
        cache_dir=options.cache_dir.absolute(),
        seed=study.seed,
        extracts=study.stages[0].images is None,
    )
    prepared = crew.prepare(order, listen)
    if order.extracts:
        listen(events.FeaturesReady(prepared.extracted, prepared.dimension, prepared.seconds))
    if prepared.extracted:
        tell_refusal(study.backbone, options.cache_dir)
    return prepared.versions


def _run_stages(
    context: SearchContext, stages: Sequence[Stage], begun: tuple[str, ...]
) -> StageSequence:
    """Run the stages one after the other; return how far each came."""
    sequence = StageSequence(context, begun)
    for stage in stages:
        sequence.run(stage)
    sequence.note_waiting()
    return sequence


def _survey(context: SearchContext, opened: Sequence[StageTrials]) -> None:
    """Train the reference and compare the splits, once a run; store them with each stage.

    Not where all that ran saw a sample: the features of all images may not be worth it.
    """
    known = next((trials.facts for trials in opened if trials.facts.reference), None)
    if known is None and all(trials.stage_facts.sample for trials in opened):
        return
    found = _surveyed(context, _handed_on(opened)) if known is None else known
    for trials in opened:
        if trials.facts.reference is None:
            warnings = tuple(dict.fromkeys([*trials.facts.warnings, *found.warnings]))
            trials.update_facts(reference=found.reference, warnings=warnings)


def _handed_on(opened: Sequence[StageTrials]) -> dict[str, Value]:
    """Return what the last stage on a sample found the backbone to be; nothing without one."""
    screened = [trials for trials in opened if trials.stage_facts.sample]
    for trials in reversed(screened):
        sample = trials.stage_facts.sample
        for best in in_order_on_sample(trials.records(), trials.facts, sample)[:1]:
            own = best.parameters
            return {name: own[name] for name in BACKBONE_PARAMETERS if name in own}
    return {}


def _surveyed(context: SearchContext, parameters: Mapping[str, Value]) -> messages.Surveyed:
    """Have a worker train the reference and compare the splits.

    Args:
        context: of the search.
        parameters: what of the backbone is other than the study's own.
    """
    context.listen(events.Surveying())
    backbone = drawn_backbone(context.run.study.backbone, parameters)
    if context.crew.made(PrepareFeatures(backbone)) is None:
        context.crew.prepare(PrepareFeatures(backbone), context.listen)
    answer = context.crew.ask(messages.Survey(backbone if parameters else None))
    if isinstance(answer, messages.Failed):
        raise_failure(answer)
    assert isinstance(answer, messages.Surveyed), "the only other answer to a survey"
    if parameters:
        own = {**answer.reference, "parameters": dict(parameters)}
        answer = replace(answer, reference=own)
    context.listen(answer)
    return answer
