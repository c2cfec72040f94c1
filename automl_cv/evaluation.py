"""Evaluates a saved classifier: on the test images of its study, or on other images."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from automl_cv import scoring
from automl_cv.catalog.datasets import DATASETS
from automl_cv.catalog.metrics import METRICS
from automl_cv.data import dataset, sources
from automl_cv.data.dataset import Dataset
from automl_cv.data.inspection import OnStep
from automl_cv.data.ledger import Skipped
from automl_cv.errors import UserError
from automl_cv.measures import Labels, Probabilities, cross_entropies
from automl_cv.saved import looks
from automl_cv.saved.evaluation import ALL, HELD_OUT, OWN_TEST, Evaluation
from automl_cv.saved.folder import NETWORK, TRAINED_ON, SavedClassifier
from automl_cv.saved.looks import Look
from automl_cv.study import studyfile
from automl_cv.study.sections import Reading
from automl_cv.study.studyfile import StudyFile
from automl_cv.words import counted, listed

if TYPE_CHECKING:
    import pandas as pd

    from automl_cv.engine.prediction import Predictor

AS_IN_STUDY = {"path_column", "label_column", "class_level"}  # how other images are read too

Listener = Callable[[str, int, int], None]
"""Is told (what is done now, how much of it is done, how much there is)."""


@dataclass(frozen=True, eq=False)
class Subject:
    """Images to be evaluated on.

    Args:
        source: where they are, as the user named it.
        part: HELD_OUT, OWN_TEST or ALL.
        images: columns of `Dataset.images`.
        skipped: files of the source that are no images of a class.
        warnings: why figures of them would not be what they seem.
    """

    source: str
    part: str
    images: pd.DataFrame
    skipped: tuple[Skipped, ...]
    warnings: tuple[str, ...] = ()


def choose(
    saved: SavedClassifier,
    data: str | None,
    *,
    cache_dir: Path,
    reading: Reading,
    listen: Listener,
) -> Subject:
    """Find the images to evaluate a classifier on. Loads no TensorFlow.

    Args:
        saved: the classifier.
        data: None takes the test split of the images that it was fitted on. Otherwise a folder,
            manifest or built-in name: where that holds the very images of the study, their test
            split; else its own test split; else all of its images.
        cache_dir: where built-in data and what inspection found are kept.
        reading: how `data` is read; what it does not say is as in the study, but for the root.
        listen: is told how far it is.

    Raises:
        UserError: the images are not there, not those of the study, or of classes that the
            classifier does not know; the study has no test split.
    """
    study = studyfile.parse(saved.manifest.study, f"{saved.folder}: the stored study")

    if data is None:
        return _held_out(saved, _own_images(saved, study, cache_dir, listen))
    said = {**study.data.model_dump(include=AS_IN_STUDY), **reading.model_dump()}
    undivided = dataset.load_undivided(
        data,
        cache_dir=cache_dir,
        reading=Reading(**said),
        ledger=saved.manifest.data.ledger,
        on_progress=listen,
    )
    same = _if_of_study(saved, study, data, cache_dir)
    if same is not None:
        return _held_out(saved, same)
    tested = undivided.images[undivided.images["split"] == "test"]
    images, part = (undivided.images, ALL) if tested.empty else (tested, OWN_TEST)
    unknown = sorted(set(images["label"]) - set(saved.classes))
    if unknown:
        raise UserError(
            f"{data}: {'class' if len(unknown) == 1 else 'classes'} "
            f"{listed([repr(name) for name in unknown])} unknown to {saved.folder}, which tells "
            f"apart {listed([repr(name) for name in saved.classes])}; rename or remove "
            f"{'it' if len(unknown) == 1 else 'them'}"
        )
    warnings = _warn_trained_on(saved, images)
    return Subject(data, part, images.reset_index(drop=True), undivided.ledger.skipped, warnings)


def load_predictor(saved: SavedClassifier) -> Predictor:
    """Load a classifier's network, and TensorFlow with it.

    Raises:
        UserError: it can't be loaded.
    """
    from automl_cv.engine import saved_network
    from automl_cv.engine.prediction import Predictor

    manifest = saved.manifest
    model = saved_network.load_whole(saved)
    return Predictor(model, window=manifest.data.window, engine=manifest.engine)


def evaluate(
    saved: SavedClassifier,
    predictor: Predictor,
    subject: Subject,
    *,
    model: str,
    seed: int,
    listen: Listener,
) -> Evaluation:
    """Classify images, measure, and record the look in the classifier's folder.

    Args:
        saved: the classifier.
        predictor: its network, see `load_predictor`.
        subject: what to evaluate it on.
        model: the classifier's folder, as the user named it.
        seed: of the resamples behind the intervals.
        listen: is told how far it is.

    Raises:
        UserError: no image can be read, or the record of earlier looks is damaged.
    """
    before = looks.read(saved.folder)
    paths = subject.images["path"].tolist()
    probabilities, logits, distances, reasons = _predict(predictor, paths, listen)
    kept = [row for row, reason in enumerate(reasons) if reason is None]
    names = _short(paths)
    damaged = [
        Skipped(name, reason)
        for name, reason in zip(names, reasons, strict=True)
        if reason is not None
    ]
    if not kept:
        raise UserError(
            f"{subject.source}: none of its images can be read; "
            f"the first is {damaged[0].path} ({damaged[0].reason})"
        )
    images = subject.images.iloc[kept]
    numbers = {name: number for number, name in enumerate(saved.classes)}
    labels: Labels = np.array([numbers[label] for label in images["label"]], dtype=np.intp)
    losses = cross_entropies(labels, logits)
    scores = scoring.score(labels, probabilities, losses=losses, seed=seed)
    look = Look(
        time=datetime.now(UTC),
        fingerprint=dataset.fingerprint(images.assign(split="")),
        source=subject.source,
        part=subject.part,
        images=len(labels),
        network=saved.manifest.files[NETWORK],
        metrics=scores.metrics,
    )
    try:
        taken, recorded = looks.append(saved.folder, look), True
    except OSError:
        taken, recorded = looks.same_images([*before, look], look.fingerprint), False
    return Evaluation(
        model=model,
        source=subject.source,
        part=subject.part,
        fingerprint=look.fingerprint,
        classes=saved.classes,
        paths=tuple(paths[row] for row in kept),
        names=tuple(names[row] for row in kept),
        labels=labels,
        probabilities=probabilities,
        skipped=(*subject.skipped, *damaged),
        warnings=subject.warnings,
        notes=(
            *_note_images(images, labels, saved.classes, scores),
            *_note_foreign(saved, distances, [names[row] for row in kept]),
        ),
        scores=scores,
        looks=taken,
        recorded=recorded,
        window=saved.manifest.data.window,
    )


def _own_images(
    saved: SavedClassifier, study: StudyFile, cache_dir: Path, listen: OnStep
) -> Dataset:
    """Read the images that a classifier was fitted on; they must be the same still."""
    data = saved.manifest.data
    source = sources.as_stored(data.source, data.ledger, saved.folder)
    was_at = sources.was_at(source, data.ledger, saved.folder)
    try:
        images = dataset.load_for(
            study, source, cache_dir=cache_dir, ledger=data.ledger, on_progress=listen
        )
    except UserError as error:
        if data.source in DATASETS:
            raise
        raise UserError(
            f"{error}; {saved.folder} was fitted on it{was_at}: name where it is now with --data"
        ) from None
    if images.fingerprint != data.fingerprint:
        raise UserError(
            f"{data.source}: the images are not those that {saved.folder} was fitted on "
            f"({sum(data.split_sizes.values()):,} images then, {len(images.images):,} now, "
            f"fingerprint {data.fingerprint[:8]} then, {images.fingerprint[:8]} now), so its test "
            f"split is lost{was_at}; put them back, or name where they are with --data"
        )
    return images


def _if_of_study(
    saved: SavedClassifier, study: StudyFile, source: str, cache_dir: Path
) -> Dataset | None:
    """Return the images of a source if a classifier was fitted on them, else None."""
    try:
        ledger = saved.manifest.data.ledger
        images = dataset.load_for(study, source, cache_dir=cache_dir, ledger=ledger)
    except UserError:  # too few images to be divided: they can't be those
        return None
    return images if images.fingerprint == saved.manifest.data.fingerprint else None


def _held_out(saved: SavedClassifier, images: Dataset) -> Subject:
    tested = images.rows("test")
    if tested.empty:
        raise UserError(
            f"{images.source}: {saved.folder} was fitted without a test split, so none of these "
            "images is new to it; name other images with --data"
        )
    return Subject(images.source, HELD_OUT, tested, images.ledger.skipped)


def _warn_trained_on(saved: SavedClassifier, images: pd.DataFrame) -> tuple[str, ...]:
    """Say how many images the classifier was trained on, as far as that can be told."""
    trained = saved.trained_on()
    if trained is None:
        return (
            "whether it was trained on some of these images can't be told: its folder has no "
            f"{TRAINED_ON}, which `automl-cv fit` writes now; fit it again",
        )
    known = images[images["content_hash"].isin(trained)]
    if known.empty:
        return ()
    return (
        f"{counted(len(known), 'image')} of {len(images):,} "
        f"{'is' if len(known) == 1 else 'are'} identical to one it was trained on, so the figures "
        f"are too good; first {known['path'].iloc[0]}",
    )


def _note_images(
    images: pd.DataFrame, labels: Labels, classes: Sequence[str], scores: scoring.Scores
) -> list[str]:
    """Say what keeps the figures, or their intervals, from being what they seem."""
    notes = []
    sizes = np.bincount(labels, minlength=len(classes))
    absent = [repr(name) for name, size in zip(classes, sizes, strict=True) if size == 0]
    if absent:
        notes.append(
            f"no image of {counted(len(absent), 'class', 'classes')} ({listed(absent)}): means "
            f"over classes are over the other {len(classes) - len(absent):,}"
        )
    notes += [
        f"{METRICS[name].about} needs {METRICS[name].needs}"
        for name, measured in scores.metrics.items()
        if measured is None
    ]
    single = [repr(name) for name, size in zip(classes, sizes, strict=True) if size == 1]
    if single:
        notes.append(
            f"one image of {listed(single)}: resamples always hold it, so their intervals are too "
            "narrow"
        )
    if images["group"].notna().any():
        notes.append(
            "images count one by one, those of a group too, so the intervals are too narrow"
        )
    return notes


def _note_foreign(
    saved: SavedClassifier, distances: NDArray[np.float32], names: Sequence[str]
) -> list[str]:
    """Say how many images are unlike all that a classifier was trained on, the farthest first."""
    foreign = np.flatnonzero(distances > 1)
    if saved.manifest.foreign is None or len(foreign) == 0:
        return []
    farthest = foreign[np.argsort(-distances[foreign], kind="stable")]
    share = len(foreign) / len(distances)
    return [
        f"{len(foreign):,} of {counted(len(distances), 'image')} foreign ({share:.1%}), unlike "
        f"what it was trained on: {listed([names[row] for row in farthest])}; of new images of "
        f"the same kind {saved.manifest.foreign.share:.1%} are"
    ]


def _predict(
    predictor: Predictor, paths: Sequence[str], listen: Listener
) -> tuple[Probabilities, NDArray[np.float32], NDArray[np.float32], list[str | None]]:
    """Return probabilities, logits, distances of files that could be read, why others could not.

    Distances are none of a classifier that can't tell foreign images.
    """
    found: list[Probabilities] = []
    distances = [np.empty(0, np.float32)]
    logits: list[NDArray[np.float32]] = []
    reasons: list[str | None] = []
    for predicted in predictor.predict(map(Path, paths), len(paths)):
        found.append(predicted.probabilities)
        logits.append(predicted.logits)
        if predicted.distances is not None:
            distances.append(predicted.distances)
        reasons += predicted.reasons
        listen("classifying images", len(reasons), len(paths))
    return np.concatenate(found), np.concatenate(logits), np.concatenate(distances), reasons


def _short(paths: Sequence[str]) -> list[str]:
    """Return paths relative to the folder that they share."""
    folder = os.path.commonpath([os.path.dirname(path) for path in paths])
    return [Path(os.path.relpath(path, folder)).as_posix() for path in paths]
