"""Cleaned against not: what heads gain by the labels that are proposed, on other images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from automl_cv.data.dataset import Dataset
from automl_cv.results.doubts import PROPOSED_RATIO, doubts
from automl_cv.results.intervals import paired_right
from automl_cv.results.suspects import Suspects, class_numbers, fold_numbers
from automl_cv.solving.out_of_fold import NO_FOLD, Folds

PARTS = 5


@dataclass(frozen=True)
class Cleaned:
    """The same heads with proposed labels and with the given ones, on the same images.

    Args:
        images: that judged: train and validation images whose label nothing is proposed for.
        corrected: labels that were changed among those that trained, mean over the parts.
        cleaned: accuracy with proposed labels.
        given: accuracy with the given ones.
        low: lower end of the 95 % interval of `cleaned` - `given`, see
            `intervals.paired_right`.
        high: its upper end.
    """

    images: int
    corrected: float
    cleaned: float
    given: float
    low: float
    high: float


def compare(images: Dataset, features: np.ndarray, suspects: Suspects) -> Cleaned:
    """Compare heads with and without the labels that are proposed.

    Suspects are looked for anew in each four fifths of the images, so that no image has a part in
    what it judges; the last fifth keeps its labels, and of it those judge that no correction
    touches. Test images have no part in it.

    Args:
        images: all images.
        features: of all images, (images, features).
        suspects: of all images.
    """
    known = np.flatnonzero(images.images["split"] != "test")
    labels, parts = class_numbers(images)[known], fold_numbers(images)[known] % PARTS
    own = features[known]
    right = np.zeros((2, len(known)), bool)
    numbers = np.unique(parts)
    changed = 0
    for number in numbers:
        last = parts == number
        folds = Folds(own, np.where(last, NO_FOLD, parts))
        logits = folds.logits(labels, len(images.classes))
        strength, likely = doubts(logits, labels)
        doubted = (strength >= PROPOSED_RATIO) & ~last
        changed += int(doubted.sum())
        again = folds.logits(np.where(doubted, likely, labels), len(images.classes))
        for side, said in zip(right, (again, logits), strict=True):
            side[last] = said[last].argmax(axis=1) == labels[last]
    touched = np.isin(known, [one.row for one in suspects.proposed])
    cleaned, given = right[:, ~touched]
    n_images = int((~touched).sum())
    low, high = paired_right(cleaned, given)
    return Cleaned(
        images=n_images,
        corrected=changed / len(numbers),
        cleaned=float(cleaned.mean()),
        given=float(given.mean()),
        low=low,
        high=high,
    )
