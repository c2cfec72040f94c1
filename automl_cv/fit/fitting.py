"""Fits the winner of a search on train and validation images, and saves it as a folder."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from automl_cv.catalog.datasets import DATASETS
from automl_cv.data import dataset, sources
from automl_cv.data.dataset import Dataset
from automl_cv.drawing.origins import StoredRun, origin_of
from automl_cv.drawing.seeds import derived_seed
from automl_cv.errors import UserError
from automl_cv.features import FeatureCache, recipe, weightfile
from automl_cv.fit.winner import Winner, choose
from automl_cv.history import Epoch
from automl_cv.orders import messages
from automl_cv.orders.checkpoint_paths import fit_checkpoints_path
from automl_cv.orders.crew import Worker, raise_failure
from automl_cv.orders.images import images_of
from automl_cv.results.leaderboard import RunTrials
from automl_cv.saved import card, folder
from automl_cv.saved.facts import FORMATS, Data, Fitting, Manifest
from automl_cv.scoring import wilson
from automl_cv.store.database import open_storage
from automl_cv.study import reference, studyfile
from automl_cv.study.stage import Stage, head_stage
from automl_cv.study.studyfile import Backbone, StudyFile
from automl_cv.study.trial import Trial, plan

Listener = Callable[[str, int, int], None]
"""Is told (what is done now, how much of it is done, how much there is)."""


@dataclass(frozen=True)
class FitOptions:
    """What to fit, and where to.

    Args:
        study: name of a run, as `report` takes it.
        out: the folder to write; an older model there is replaced.
        storage: address of the database.
        cache_dir: folder of features and built-in data.
        command: is given run and trial; returns the command that fits them again.
        trial: "stage/number" in place of the winner.
        repeats: trainings whose logits are averaged.
        data: where the images are now, in place of where they were.
        calibrate: divide the logits by a temperature, fitted on the validation images with
            trainings on the training images alone.
    """

    study: str
    out: Path
    storage: str
    cache_dir: Path
    command: Callable[[str, str], str]
    trial: str | None = None
    repeats: int = 1
    data: str | None = None
    calibrate: bool = False


def fit(options: FitOptions, listen: Listener) -> Manifest:
    """Train the winner of a search on train and validation images, and write a saved classifier.

    It is trained for as many epochs as the search found best. The schedule is the search's,
    laid out over the search's epochs; one that goes by validation loss goes by the search's.
    Networks and fine-tuned blocks leave a checkpoint each epoch, until the folder is written.

    Args:
        options: what to fit.
        listen: is told how far it is.

    Raises:
        UserError: there is no such run or trial, the images are not those of the search, or the
            folder can't be written.
        AutomlError: no trial has a result, or training diverged.
    """
    started = time.perf_counter()
    folder.check_target(options.out)
    read, winner = choose(options.storage, options.study, options.trial)
    study = studyfile.parse(read.facts.study, f"the stored study {read.run.name}")
    weightfile.check_network(study.backbone, "fit")
    named = winner.facts.stage
    stage = reference.STAGE if named == reference.NAME else study.stage(named)
    worker = Worker(0)  # loads TensorFlow while this process reads the images
    try:
        images = _load(study, read, options, listen)
        # The network that is written computes in float32: its heads learn from such features.
        full, storage = study.in_float32(), open_storage(options.storage, create=False)
        run = StoredRun(full, storage, read.run.name)
        trials = _trials(run, stage, winner, options.repeats)
        seeds = tuple(trial.task.seed for trial in trials)
        backbone = trials[0].backbone if stage.training.learns_from == "features" else None
        checkpoints = fit_checkpoints_path(
            options.cache_dir, images.fingerprint, study.seed, stage.name, winner.facts.parameters
        )
        with folder.replacing(options.out) as temporary:
            worker.send(
                messages.Fit(
                    given=messages.Prepare(
                        images=images_of(images).kept(options.cache_dir),
                        backbone=full.backbone,
                        cache_dir=options.cache_dir.absolute(),
                        seed=study.seed,
                        metric=study.metric,
                        folds=study.validating_folds,
                    ),
                    trials=trials,
                    replay=winner.replay,
                    path=temporary.absolute() / folder.NETWORK,
                    calibrate=options.calibrate,
                    checkpoints=checkpoints if stage.training.is_long else None,
                    promised=_promised(read, winner),
                )
            )
            task = "decoding images" if backbone is None else "extracting features"
            trainings = len(seeds) * (2 if options.calibrate else 1)
            fitted = _await(worker, len(winner.replay) * trainings, task, listen)
            backbone = None if backbone is None else _as_made(backbone, options.cache_dir)
            manifest = Manifest(
                format=FORMATS[0] if fitted.foreign is None else FORMATS[1],
                kind=stage.kind.name,
                image_size=fitted.image_size,
                backbone=None if backbone is None else backbone.model_dump(mode="json"),
                weights_licence=None if backbone is None else weightfile.licence_of(backbone),
                data=_data(images, options.out),
                study=study.as_toml_data(),
                winner=winner.facts,
                fitting=Fitting(
                    images=len(images.images) - len(images.rows("test")),
                    epochs=len(winner.replay),
                    seeds=fitted.seeds,
                    accuracy=fitted.accuracy,
                    note=fitted.note,
                    command=options.command(f"{read.run.study}@{read.run.number}", winner.slot),
                    seconds=time.perf_counter() - started,
                ),
                calibration=fitted.calibration,
                foreign=fitted.foreign,
                versions={**read.facts.versions, **fitted.versions},
                created=datetime.now(UTC),
            )
            text = card.compose(
                manifest,
                images.classes,
                folder=str(options.out),
                searched=winner.replay,
                fitted=fitted.histories,
                weights=fitted.weights,
            )
            table = images.images
            known = table.loc[table["split"] != "test", "content_hash"]
            folder.complete(temporary, manifest, images.classes, text, known)
        # Only now: a fit killed before would have to train all of it again.
        shutil.rmtree(checkpoints, ignore_errors=True)
    finally:
        worker.close()
    return manifest


def _as_made(backbone: Backbone, cache_dir: Path) -> Backbone:
    """Return a backbone with the engine that its features were made by, after all."""
    made = FeatureCache(cache_dir).kept(recipe(backbone))
    return backbone.model_copy(update={"engine": made.engine, "precision": made.precision})


def _promised(read: RunTrials, winner: Winner) -> float:
    """Return the low end of what the search lets one expect on other images, accuracy; or 0."""
    validation, images = winner.facts.validation, read.facts.n_validation
    if validation.corrected is not None and validation.metric is None:
        return validation.corrected.low
    return wilson(validation.accuracy, images)[0] if images else 0.0


def _load(study: StudyFile, read: RunTrials, options: FitOptions, listen: Listener) -> Dataset:
    """Read the images, which must be those of the search."""
    ledger = read.facts.ledger
    source = options.data or sources.as_stored(read.facts.data_source, ledger)
    was_at = sources.was_at(source, ledger)
    try:
        images = dataset.load_for(
            study,
            source,
            cache_dir=options.cache_dir,
            ledger=ledger,
            on_progress=listen,
        )
    except UserError as error:
        if source in DATASETS:
            raise
        raise UserError(
            f"{error}; {read.run.name} was searched on it{was_at}: name where it is now with --data"
        ) from None
    if images.fingerprint != read.facts.data_fingerprint:
        before, now = sum(read.facts.split_sizes.values()), len(images.images)
        raise UserError(
            f"{source}: the images are not those that {read.run.name} was searched on "
            f"({before:,} images then, {now:,} now, fingerprint "
            f"{read.facts.data_fingerprint[:8]} then, {images.fingerprint[:8]} now){was_at}. Put "
            "them back, name where they are with --data, or search again with --new"
        )
    return images


def _trials(run: StoredRun, stage: Stage, winner: Winner, repeats: int) -> tuple[Trial, ...]:
    """Return the trial with its own seed, then with those of its repeats, as the study validates.

    The seeds are those that stages which retrain give it.
    """
    study, (searched, number) = run.study, winner.searched
    purposes = ["training", *(f"training, repeat {repeat}" for repeat in range(1, repeats))]
    seeds = [derived_seed(study.seed, searched, number, purpose) for purpose in purposes]
    trial = plan(
        study,
        stage,
        number,
        winner.facts.parameters,
        seed=seeds[0],
        head_stage=head_stage(stage, {one.name: one for one in study.stages}, searched),
        members=origin_of(stage).members(stage, run, winner.facts.parameters),
    ).over(study.validating_folds)
    return tuple(trial.of_seed(seed) for seed in seeds)


def _await(worker: Worker, epochs: int, before: str, listen: Listener) -> messages.Fitted:
    done = 0
    while True:
        match worker.receive():
            case messages.Extracting(done=images, total=total):
                listen(before, images, total)
            case Epoch():
                done += 1
                listen("training", done, max(done, epochs))
            case messages.Fitted() as fitted:
                return fitted
            case messages.Failed() as failed:
                raise_failure(failed)


def _data(images: Dataset, out: Path) -> Data:
    # The folder is handed on, and with it what the ledger says of this machine.
    ledger = sources.shared(images.ledger, images.images["path"], out)
    return Data(
        source=images.source,
        fingerprint=images.fingerprint,
        split_sizes={split: len(images.rows(split)) for split in images.splits},
        ledger=ledger.to_json(),
        licence=DATASETS[images.source].licence if images.source in DATASETS else None,
    )
