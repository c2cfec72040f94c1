"""Where the winner is wrong: confusion, calibration and its worst mistakes, of kept predictions."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from automl_cv.errors import AutomlError
from automl_cv.report.columns import Column
from automl_cv.report.document import Grid, Report, Section
from automl_cv.report.page.plot import Plot
from automl_cv.report.page.scored import calibration, confusion
from automl_cv.report.page.sections import Content, Thumbnail
from automl_cv.results.leaderboard import RunTrials
from automl_cv.results.said import key, said_of
from automl_cv.scoring import Scores, most_confidently_wrong, score
from automl_cv.store.labels import Labels, read_labels
from automl_cv.store.records import TrialRecord
from automl_cv.words import counted, printable

MOST_CLASSES = 30  # of a drawn confusion matrix
CONFUSIONS = 12  # largest ones, as a table
WORST = 24
SIDE = 96  # pixels of a thumbnail: 24 of them are 200 kB as PNG files
MOST_IMAGES = 20_000  # of a source that is looked through for thumbnails
RESAMPLES = 100


def classes(report: Report) -> Content:
    """Show confusion, calibration and worst mistakes of the first row that kept what it said."""
    read = report.read
    found = None if read is None else _looked_at(read)
    if read is None or found is None:
        return Content()
    (record, probabilities, truth), names, n_images = found
    scores = score(truth.classes, probabilities, resamples=RESAMPLES)
    wrong = most_confidently_wrong(truth.classes, probabilities, len(truth.classes))
    told = _told(record, names, scores, len(wrong), len(truth.classes))
    thumbnails, notes = _worst(report, read, truth, probabilities, wrong[:WORST], n_images=n_images)
    return Content(
        lines=(printable(told),),
        plots=_plots(names, scores),
        thumbnails=thumbnails,
        grids=(_largest(names, scores), _worst_classes(names, scores)),
        notes=notes,
    )


def judged_plots(read: RunTrials) -> tuple[TrialRecord, tuple[Plot, ...]] | None:
    """Return the first row's trial that kept what it said, and its confusion and calibration."""
    found = _looked_at(read)
    if found is None:
        return None
    (record, probabilities, truth), names, _ = found
    return record, _plots(names, score(truth.classes, probabilities, resamples=RESAMPLES))


def _looked_at(
    read: RunTrials,
) -> tuple[tuple[TrialRecord, np.ndarray, Labels], list[str], int] | None:
    """Return what `_said` does, the names of the classes, and how many images validate."""
    if read.storage is None or not read.facts.class_names:
        return None
    labels = read_labels(read.storage, read.run.name)
    found = None if labels is None else _said(read, labels)
    if labels is None or found is None:
        return None
    return found, [printable(name) for name in read.facts.class_names], len(labels.classes)


def _plots(names: list[str], scores: Scores) -> tuple[Plot, ...]:
    return confusion(names, scores, most=MOST_CLASSES), calibration(scores)


def _said(read: RunTrials, labels: Labels) -> tuple[TrialRecord, np.ndarray, Labels] | None:
    """Return the first row's trial that kept predictions of the labelled images, and these."""
    assert read.storage is not None
    for row in read.rows[:5]:
        if row.folds:
            continue
        said, truth = said_of(read.storage, read.run, [row.record], labels)
        if key(row.record) in said:
            probabilities = said[key(row.record)].probabilities.astype(np.float64)
            probabilities /= probabilities.sum(axis=1, keepdims=True)  # kept as float16
            return row.record, probabilities, truth
    return None


def _told(
    record: TrialRecord, names: list[str], scores: Scores, n_wrong: int, n_images: int
) -> str:
    recalls = [(one.recall, name) for one, name in zip(scores.classes, names, strict=True)]
    known = [pair for pair in recalls if pair[0] is not None]
    text = f"{record.name} is wrong about {n_wrong:,} of {counted(n_images, 'validation image')}"
    if known and n_wrong:
        recall, name = min(known)
        text += f"; its worst class is {name}, of which it finds {recall:.1%}".replace("%", " %")
    return f"{text}. Expected calibration error {scores.calibration_error:.4f}."


def _text(heading: str) -> Column:
    return Column(name=heading, about=heading, heading=heading, align="left")


def _number(heading: str) -> Column:
    return Column(name=heading, about=heading, heading=heading)


def _largest(names: list[str], scores: Scores) -> Section:
    off = np.where(np.eye(len(names), dtype=bool), 0, scores.confusion).ravel()
    order = [int(place) for place in np.argsort(-off, kind="stable")[:CONFUSIONS] if off[place]]
    rows = (
        (names[place // len(names)], names[place % len(names)], f"{off[place]:,}")
        for place in order
    )
    columns = (_text("true"), _text("predicted"), _number("images"))
    return Section("most frequent confusions", Grid(columns, tuple(rows)))


def _worst_classes(names: list[str], scores: Scores) -> Section:
    pairs = [
        (one, name)
        for one, name in zip(scores.classes, names, strict=True)
        if one.recall is not None
    ]
    pairs.sort(key=lambda pair: pair[0].recall or 0.0)
    rows = (
        (
            name,
            f"{one.recall:.4f}",
            "–" if one.precision is None else f"{one.precision:.4f}",
            f"{one.images:,}",
        )
        for one, name in pairs[:CONFUSIONS]
    )
    columns = (_text("class"), _number("recall"), _number("precision"), _number("images"))
    return Section("classes of lowest recall", Grid(columns, tuple(rows)))


def _worst(
    report: Report,
    read: RunTrials,
    truth: Labels,
    probabilities: np.ndarray,
    wrong: list[int],
    *,
    n_images: int,
) -> tuple[tuple[Thumbnail, ...], tuple[str, ...]]:
    """Return the most confidently wrong images as thumbnails, or why there are none."""
    if not wrong or report.cache_dir is None:
        return (), ()
    if read.facts.ledger.get("n_read", 0) > MOST_IMAGES:
        return (), (f"no thumbnails of more than {MOST_IMAGES:,} images: `evaluate` has them",)
    try:
        images = _images(read, report.cache_dir, n_images)
    except (AutomlError, OSError, ValueError) as error:
        return (), (printable(f"no thumbnails of the worst mistakes: {error}"),)
    every = -(-n_images // len(truth.classes))
    paths, window = images
    thumbnails = []
    for row in wrong:
        path = paths[row * every]
        names = read.facts.class_names
        given, said = names[truth.classes[row]], names[int(probabilities[row].argmax())]
        try:
            png = _thumbnail(path, window)
        except AutomlError:
            continue
        lines = (f"{given}, taken for {said}", f"{probabilities[row].max():.2f}", Path(path).name)
        thumbnails.append(
            Thumbnail(png, printable(f"{lines[0]}: {lines[2]}"), tuple(map(printable, lines)))
        )
    notes = (f"thumbnails: the {len(thumbnails)} most confidently wrong, with the confidence",)
    return tuple(thumbnails), notes


def _images(read: RunTrials, cache_dir: Path, n_images: int) -> tuple[list[str], object]:
    """Return the paths of the images that validate, in the order of the labels."""
    from automl_cv.data import dataset
    from automl_cv.data.sources import as_stored
    from automl_cv.study.studyfile import StudyFile

    study = StudyFile.model_validate(dict(read.facts.study))
    source = as_stored(read.facts.data_source, read.facts.ledger)
    images = dataset.load_for(study, source, cache_dir=cache_dir, ledger=read.facts.ledger)
    if images.fingerprint != read.facts.data_fingerprint:
        raise ValueError("the images are no longer those of the search")
    splits = ["train", "validation"] if read.facts.is_over_folds else ["validation"]
    known = images.images[images.images["split"].isin(splits)]
    if len(known) != n_images:
        raise ValueError("the images are no longer those of the search")
    return known["path"].tolist(), images.window


def _thumbnail(path: str, window: object) -> bytes:
    from PIL import Image

    from automl_cv.data.images import decode

    picture = Image.fromarray(decode(Path(path), window))  # type: ignore[arg-type]
    picture.thumbnail((SIDE, SIDE))
    file = io.BytesIO()
    picture.quantize(64).save(file, "PNG", optimize=True)
    return file.getvalue()
