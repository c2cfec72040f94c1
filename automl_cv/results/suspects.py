"""Suspects: images whose label heads doubt that did not learn from them.

How much is told by `results.doubts`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from automl_cv.data import splitting
from automl_cv.data.dataset import Dataset
from automl_cv.errors import UserError
from automl_cv.results.doubts import PROPOSED, doubt_of, doubts
from automl_cv.solving.out_of_fold import FOLDS, NO_FOLD
from automl_cv.solving.scaling import formed
from automl_cv.solving.threads import one_thread

NEIGHBOURS = 3
MOST_WITH_NEIGHBOURS = 1000  # suspects; those further down the list are not looked at beside others
IMAGES_AT_ONCE = 4096
TEST = "test"


@dataclass(frozen=True)
class Neighbour:
    """An image that looks alike.

    Args:
        path: its file.
        label: as it is given.
        likeness: cosine of the square roots of features, at most 1.
    """

    path: str
    label: str
    likeness: float


@dataclass(frozen=True)
class Suspect:
    """An image whose label is doubted.

    Args:
        row: its place among all images.
        path: its file.
        split: of the image; labels of test images are only reported.
        label: as it is given.
        likely: the likeliest other class.
        doubt: above 0.5, at most 1.
        neighbours: the images most like it among those that train and validate, the most alike
            first; none where there are no features, or too many suspects.
    """

    row: int
    path: str
    split: str
    label: str
    likely: str
    doubt: float
    neighbours: tuple[Neighbour, ...] = ()

    @property
    def is_proposed(self) -> bool:
        """Whether the likely label is proposed in place of the given one."""
        return self.split != TEST and self.doubt >= PROPOSED


@dataclass(frozen=True)
class Suspects:
    """The images of a source whose labels are doubted, the most doubted first.

    Args:
        judged: images that were judged, by split.
        by: what judged them, in words.
        found: the suspects.
        unjudged: classes that stand in one fold alone, so that no head could know them.
    """

    judged: Mapping[str, int]
    by: str
    found: tuple[Suspect, ...]
    unjudged: tuple[str, ...] = ()

    @property
    def proposed(self) -> tuple[Suspect, ...]:
        """Those that another label is proposed for."""
        return tuple(one for one in self.found if one.is_proposed)


def class_numbers(images: Dataset) -> np.ndarray:
    """Return the class number of each image, int64 (images,)."""
    return np.searchsorted(np.asarray(images.classes), images.images["label"]).astype(np.int64)


def fold_numbers(images: Dataset, seed: int = 0) -> np.ndarray:
    """Divide train and validation images into folds, stratified, groups and copies together.

    Args:
        images: all images.
        seed: another seed gives other folds.

    Returns:
        The number of each image's fold, int64 (images,); NO_FOLD for test images. A class of
        fewer images than there are folds is in as many as it can.

    Raises:
        UserError: all images are of one group.
    """
    known = images.images[images.images["split"] != TEST]
    names = splitting.assign(
        known["label"].tolist(),
        known["content_hash"].tolist(),
        known["group"].astype(object).where(known["group"].notna(), None).tolist(),
        {str(number): 1 / FOLDS for number in range(FOLDS)},
        seed,
        everywhere=False,
    )
    if len(set(names)) < 2:
        raise UserError(
            f"{images.source}: all images are of one group, so none can judge another; give "
            "groups of fewer images"
        )
    folds = np.full(len(images.images), NO_FOLD)
    folds[known.index] = [int(name) for name in names]
    return folds


def is_judged(labels: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """Tell of each image whether heads that did not learn from it know its class, bool.

    Args:
        labels: class numbers.
        folds: see `fold_numbers`.
    """
    known = folds != NO_FOLD
    table = np.zeros((int(labels.max()) + 1, int(folds.max()) + 1), bool)
    table[labels[known], folds[known]] = True
    enough: np.ndarray = table.sum(axis=1)[labels] >= np.where(known, 2, 1)
    return enough


def find(
    images: Dataset,
    logits: np.ndarray,
    rows: np.ndarray,
    *,
    by: str,
    features: np.ndarray | None = None,
) -> Suspects:
    """Rank the images whose label is doubted.

    Args:
        images: all images.
        logits: what was said out of fold of those that are judged, (judged, classes).
        rows: which of the images these are, rising.
        by: who said it.
        features: of all images; None where they are not known: then there are no neighbours.
    """
    labels, table = class_numbers(images), images.images
    strength, likely = doubts(logits, labels[rows])
    order = np.argsort(-strength, kind="stable")
    order = order[strength[order] > 0]
    near = _neighbours(table, features, rows[order[:MOST_WITH_NEIGHBOURS]])
    paths, splits = table["path"].to_numpy(), table["split"].to_numpy()
    found = tuple(
        Suspect(
            row=int(rows[place]),
            path=str(paths[rows[place]]),
            split=str(splits[rows[place]]),
            label=images.classes[labels[rows[place]]],
            likely=images.classes[likely[place]],
            doubt=doubt_of(strength[place]),
            neighbours=near.get(int(rows[place]), ()),
        )
        for place in order
    )
    judged = pd.Series(splits[rows]).value_counts()
    of_splits = {name: int(judged[name]) for name in splitting.SPLITS if name in judged}
    unseen = np.setdiff1d(labels, labels[rows])
    unjudged = tuple(images.classes[number] for number in unseen)
    return Suspects(judged=of_splits, by=by, found=found, unjudged=unjudged)


def _neighbours(
    table: pd.DataFrame, features: np.ndarray | None, rows: np.ndarray
) -> dict[int, tuple[Neighbour, ...]]:
    """Return the train and validation images most like others, by their rows."""
    if features is None or not len(rows):
        return {}
    known = np.flatnonzero(table["split"] != TEST)
    asked = formed("root", features[rows]).astype(np.float32)
    likeness = np.empty((len(rows), len(known)), np.float32)
    with one_thread():
        for start in range(0, len(known), IMAGES_AT_ONCE):
            block = formed("root", features[known[start : start + IMAGES_AT_ONCE]])
            part = asked @ block.astype(np.float32).T
            likeness[:, start : start + IMAGES_AT_ONCE] = part
    likeness[rows[:, None] == known] = -2  # an image is no neighbour of its own
    nearest = np.argsort(-likeness, axis=1, kind="stable")[:, : min(NEIGHBOURS, len(known) - 1)]
    paths, labels = table["path"].to_numpy(), table["label"].to_numpy()

    def neighbour(place: int, one: np.intp) -> Neighbour:
        # Rounded: the last digits depend on how many images are asked at once.
        own = round(float(likeness[place, one]), 5)
        return Neighbour(str(paths[known[one]]), str(labels[known[one]]), own)

    return {
        int(row): tuple(neighbour(place, one) for one in nearest[place])
        for place, row in enumerate(rows)
    }


def frame(suspects: Suspects) -> pd.DataFrame:
    """Return suspects as a table.

    Returns:
        One row a suspect, the most doubted first: rank, path, label, likely_label, doubt, split,
        proposed; neighbour_1, neighbour_1_label and so on, missing where there is none.
    """
    found = suspects.found
    columns: dict[str, pd.Series] = {
        "rank": pd.Series(range(1, len(found) + 1), dtype="Int64"),
        "path": pd.Series([one.path for one in found], dtype="str"),
        "label": pd.Series([one.label for one in found], dtype="str"),
        "likely_label": pd.Series([one.likely for one in found], dtype="str"),
        "doubt": pd.Series([one.doubt for one in found], dtype="float64"),
        "split": pd.Series([one.split for one in found], dtype="str"),
        "proposed": pd.Series([one.is_proposed for one in found], dtype="boolean"),
    }
    for place in range(NEIGHBOURS):
        own = [one.neighbours[place] if place < len(one.neighbours) else None for one in found]
        name = f"neighbour_{place + 1}"
        columns[name] = pd.Series([one and one.path for one in own], dtype="str")
        columns[f"{name}_label"] = pd.Series([one and one.label for one in own], dtype="str")
    return pd.DataFrame(columns)
