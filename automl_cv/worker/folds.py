"""Which images train a trial and which validate it: the splits, or folds of both."""

from __future__ import annotations

import numpy as np

from automl_cv.data import splitting
from automl_cv.orders.images import Images


def division(
    images: Images, of_fold: np.ndarray | None, fold: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows that train and those that validate, int64.

    Args:
        images: all images.
        of_fold: the fold of each train and validation image, in their order; None for the splits.
        fold: which of them validates.
    """
    if of_fold is None:
        train, validation = (
            np.flatnonzero(images.splits == split) for split in ("train", "validation")
        )
        return train, validation
    both = np.flatnonzero(np.isin(images.splits, ("train", "validation")))
    return both[of_fold != fold], both[of_fold == fold]


def fold_numbers(images: Images, rows: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Divide images into folds of equal size, stratified, groups and copies kept together.

    Args:
        images: all images.
        rows: those to divide, shape (n,).
        folds: how many folds.
        seed: another seed gives other folds.

    Returns:
        The number of each image's fold, from 0, shape (n,).

    Raises:
        UserError: a class has fewer images than there are folds.
    """
    names = splitting.assign(
        [images.classes[images.labels[row]] for row in rows],
        [images.content_hashes[row] for row in rows],
        [images.group(row) for row in rows],
        {str(number): 1 / folds for number in range(folds)},
        seed,
    )
    return np.asarray([int(name) for name in names])
