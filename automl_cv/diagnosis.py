"""A data set's labels looked at: features made ready, suspects found, before or after a search."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from automl_cv.catalog.backbones import BACKBONES
from automl_cv.catalog.metrics import ACCURACY
from automl_cv.data import dataset, sources
from automl_cv.data.dataset import Dataset
from automl_cv.errors import UserError, suggest
from automl_cv.features import FeatureCache, recipe, weightfile
from automl_cv.orders import messages
from automl_cv.orders.crew import Worker, raise_failure
from automl_cv.orders.images import images_of
from automl_cv.results import cleaning, suspects
from automl_cv.results.cleaning import Cleaned
from automl_cv.results.leaderboard import RunTrials
from automl_cv.results.said import first_said
from automl_cv.results.suspects import Suspects
from automl_cv.search.study_data import of_backbone
from automl_cv.solving.out_of_fold import out_of_fold
from automl_cv.study import library, studyfile
from automl_cv.study.studyfile import Backbone

Listener = Callable[[str, int, int], None]
"""Is told (what is done now, how much of it is done, how much there is)."""

SMALL, PHOTOGRAPHS = "quickstart", "photos"
"""Studies whose backbones are taken: their features are what searches leave in the cache."""


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """What was found of the labels of images.

    Args:
        images: all of them.
        suspects: those whose labels are doubted.
        cleaned: heads with proposed labels against the same without; None if nobody asked.
        notes: lines on how it was found.
    """

    images: Dataset
    suspects: Suspects
    cleaned: Cleaned | None = None
    notes: tuple[str, ...] = ()


def choose_backbone(images: Dataset, name: str | None) -> tuple[Backbone, tuple[str, ...]]:
    """Return what makes features of images, and notes on it.

    Args:
        images: all of them; large ones are taken for photographs.
        name: of an entry, or a saved `.keras` model; None to choose.

    Raises:
        UserError: there is no such backbone.
    """
    if name is not None:
        if name not in BACKBONES and not name.endswith(".keras"):
            raise UserError(
                f"--backbone: unknown backbone {name!r}: {suggest(name, BACKBONES.names)}"
            )
        return Backbone(name=name, features="all"), ()
    small = library.load(SMALL).backbone
    if not of_backbone(small, images.ledger.sizes):
        return small, ()
    large = library.load(PHOTOGRAPHS).backbone
    try:
        weightfile.path_of(large)
    except UserError as error:
        return small, (f"judged by {small.name}, which has never seen photographs: {error}",)
    return large, ()


def diagnose(
    images: Dataset,
    backbone: Backbone,
    *,
    cache_dir: Path,
    compare: bool,
    listen: Listener,
    notes: tuple[str, ...] = (),
) -> Diagnosis:
    """Find the suspects of images, by heads on a backbone's features.

    Args:
        images: all of them.
        backbone: what makes the features.
        cache_dir: where they are kept.
        compare: compare heads with and without the proposed labels, too.
        listen: is told how far it is.
        notes: lines to hand on.

    Raises:
        UserError: the backbone or its weights can't be had.
        AutomlError: a file can't be read any more.
    """
    features = features_of(images, backbone, cache_dir=cache_dir, listen=listen)
    labels, folds = suspects.class_numbers(images), suspects.fold_numbers(images)
    logits = out_of_fold(features, labels, len(images.classes), folds)
    rows = np.flatnonzero(suspects.is_judged(labels, folds))
    by = f"heads on features of {backbone.name}"
    found = suspects.find(images, logits[rows], rows, by=by, features=features)
    cleaned = cleaning.compare(images, features, found) if compare else None
    return Diagnosis(images, found, cleaned, notes)


def features_of(
    images: Dataset, backbone: Backbone, *, cache_dir: Path, listen: Listener
) -> np.ndarray:
    """Return the features of all images; a worker extracts them, unless they are cached.

    Args:
        images: all of them.
        backbone: see `diagnose`.
        cache_dir: see `diagnose`.
        listen: see `diagnose`.

    Returns:
        float32 (images, features), memory-mapped.

    Raises:
        UserError: see `diagnose`.
        AutomlError: see `diagnose`.
    """
    found = _cached(images, backbone, cache_dir)
    if found is not None:
        return found
    worker = Worker(0)
    try:
        worker.send(
            messages.Prepare(
                images=images_of(images).kept(cache_dir),
                backbone=backbone,
                cache_dir=cache_dir.absolute(),
                seed=0,
                metric=ACCURACY,
            )
        )
        while not isinstance(answer := worker.receive(), messages.Prepared):
            match answer:
                case messages.Extracting(done=done, total=total):
                    listen("extracting features", done, total)
                case messages.Failed():
                    raise_failure(answer)
    finally:
        worker.close()
    found = _cached(images, backbone, cache_dir)
    assert found is not None, "a worker has just extracted them"
    return found


def diagnose_run(read: RunTrials, *, cache_dir: Path, listen: Listener) -> Diagnosis:
    """Find the suspects of the images of a search, by what is stored of it.

    That is what its first trial said of each image out of fold; where trials were validated on a
    split, features in the cache; without these, what it said of the validation images. Nothing is
    extracted.

    Args:
        read: the trials of the run.
        cache_dir: where features are kept.
        listen: is told how far it is.

    Raises:
        UserError: the images are not those of the search, or nothing was kept of them.
    """
    images = _images_of(read, cache_dir, listen)
    backbone = studyfile.parse(read.facts.study, f"the stored study {read.run.name}").backbone
    features = _cached(images, backbone, cache_dir)
    said = _said(read, images)
    if features is not None and (said is None or not read.facts.is_over_folds):
        return diagnose(images, backbone, cache_dir=cache_dir, compare=False, listen=listen)
    if said is None:
        raise UserError(
            f"{read.run.name}: neither did its first trial keep what it said of the images, nor "
            f"are features of {backbone.name} in the cache; run "
            f"`automl-cv data {images.source} --suspects`"
        )
    name, rows, logits = said
    found = suspects.find(images, logits, rows, by=f"{name}, out of fold", features=features)
    return Diagnosis(images, found)


def _images_of(read: RunTrials, cache_dir: Path, listen: Listener) -> Dataset:
    study = studyfile.parse(read.facts.study, f"the stored study {read.run.name}")
    ledger = read.facts.ledger
    source = sources.as_stored(read.facts.data_source, ledger)
    images = dataset.load_for(
        study,
        source,
        cache_dir=cache_dir,
        ledger=ledger,
        on_progress=listen,
    )
    if images.fingerprint != read.facts.data_fingerprint:
        raise UserError(
            f"{source}: the images are not those that {read.run.name} was searched on; look at "
            f"those that are there with `automl-cv data {source} --suspects`"
        )
    return images


def _said(read: RunTrials, images: Dataset) -> tuple[str, np.ndarray, np.ndarray] | None:
    """Return the first trial, the rows of the images that validated it, and their logits."""
    found = first_said(read.storage, read.run, read.ranked)
    if found is None:
        return None
    kept, labels = found
    validating = ("train", "validation") if read.facts.is_over_folds else ("validation",)
    rows = np.flatnonzero(images.images["split"].isin(validating))
    if len(rows) != len(labels.classes):
        return None
    return read.ranked[0].name, rows[:: kept.every], np.log(kept.probabilities)


def _cached(images: Dataset, backbone: Backbone, cache_dir: Path) -> np.ndarray | None:
    """Return the features of all images; None if some are not in the cache."""
    cache, hashes = FeatureCache(cache_dir), images.images["content_hash"].tolist()
    try:
        wanted = recipe(backbone)
    except UserError:
        return None  # who extracts says what is missing
    if cache.missing(wanted, hashes, backbone.features):
        return None
    return cache.open(wanted, hashes, backbone.features).array
