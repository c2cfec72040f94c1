"""What trials said of the images that validated them, beside the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from optuna.storages import RDBStorage

from automl_cv.store.labels import Labels, read_labels
from automl_cv.store.predictions import Predictions
from automl_cv.store.reading import read_predictions
from automl_cv.store.records import TrialRecord
from automl_cv.store.runs import StudyRun

Key = tuple[str, int]
"""Stage and slot of a trial."""
Right = NDArray[np.bool_]
"""Of each image that validates, whether a trial classified it right, shape (images,)."""


def key(record: TrialRecord) -> Key:
    """Return what tells a trial from all others of its run."""
    return record.stage, record.trial


def said_of(
    storage: RDBStorage, run: StudyRun, records: Sequence[TrialRecord], labels: Labels
) -> tuple[dict[Key, Predictions], Labels]:
    """Return what those trials said that kept it, and of which images: those that all kept.

    Args:
        storage: the database.
        run: that they belong to.
        records: the trials.
        labels: of the images that validate; trials that others validated are left out.
    """
    found: dict[Key, Predictions] = {}
    for stage, study_id in zip(run.stages, run.study_ids, strict=True):
        own = [record for record in records if record.stage == stage]
        if own:
            kept = read_predictions(storage, study_id, own)
            found |= {(stage, trial): one for trial, one in kept.items()}
    n_images, every = len(labels.classes), max((one.every for one in found.values()), default=1)
    common = {
        key: Predictions(every, one.probabilities[:: every // one.every])
        for key, one in found.items()
        # Others would be of other images.
        if len(one.probabilities) == -(-n_images // one.every) and every % one.every == 0
    }
    groups = None if labels.groups is None else labels.groups[::every]
    return common, Labels(labels.classes[::every], groups)


def right_of(
    storage: RDBStorage, run: StudyRun, records: Sequence[TrialRecord]
) -> Mapping[Key, Right]:
    """Return which images trials classified right, of those that kept what they said of all.

    Args:
        storage: the database.
        run: that they belong to.
        records: the trials.
    """
    labels = read_labels(storage, run.name) if records else None
    if labels is None:
        return {}
    found, _ = said_of(storage, run, records, labels)
    return {
        name: one.probabilities.argmax(axis=1) == labels.classes
        for name, one in found.items()
        if one.every == 1
    }


def first_said(
    storage: RDBStorage | None, run: StudyRun, ranked: Sequence[TrialRecord]
) -> tuple[Predictions, Labels] | None:
    """Return what the first trial of a run said of the images that validate, and of which.

    Args:
        storage: the database; None where there is none to ask.
        run: the run.
        ranked: its trials, best first.

    Returns:
        None where nothing was kept. Labels are of all images that validate.
    """
    labels = None if storage is None or not ranked else read_labels(storage, run.name)
    if labels is None or storage is None:
        return None
    said, _ = said_of(storage, run, ranked[:1], labels)
    kept = said.get(key(ranked[0]))
    return None if kept is None else (kept, labels)
