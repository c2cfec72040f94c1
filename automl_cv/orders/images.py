"""The images of a search or a fit, as a worker process needs to know them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from automl_cv.data import splitting

if TYPE_CHECKING:
    from automl_cv.data.dataset import Dataset
    from automl_cv.data.images import Window


@dataclass(frozen=True)
class Images:
    """The images of a search, split by split.

    Args:
        paths: files to read, one a row.
        content_hashes: hash of each image's pixels.
        labels: class indices, int32, shape (rows,).
        splits: "train", "validation" or "test", shape (rows,).
        groups: images of one name stay in one fold; None for those of no group.
        classes: names of the classes.
        window: which values of deep greys become black and white, see `data.images.decode`.
    """

    paths: tuple[str, ...]
    content_hashes: tuple[str, ...]
    labels: np.ndarray
    splits: np.ndarray
    groups: tuple[str | None, ...]
    classes: tuple[str, ...]
    window: Window | None = None

    @property
    def split_sizes(self) -> dict[str, int]:
        """Number of images by split."""
        counts = Counter(self.splits.tolist())
        return {split: counts[split] for split in splitting.SPLITS}

    def only(self, rows: np.ndarray) -> Images:
        """Return some of the images, in this order."""
        return Images(
            paths=tuple(self.paths[row] for row in rows),
            content_hashes=tuple(self.content_hashes[row] for row in rows),
            labels=self.labels[rows],
            splits=self.splits[rows],
            groups=tuple(self.groups[row] for row in rows),
            classes=self.classes,
            window=self.window,
        )


def sampled(images: Images, count: int, folds: int | None, seed: int) -> Images:
    """Return some of the train and validation images, every class in its share.

    Copies and groups stay whole, and there are enough images of each class to validate it.

    Args:
        images: all of them.
        count: about how many; all train and validation images where there are no more.
        folds: how many folds of them validate; None for the validation images.
        seed: the study's.
    """
    known = np.flatnonzero(images.splits != "test")
    if len(known) <= count:
        return images.only(known)
    parts = [known] if folds else [np.flatnonzero(images.splits == one) for one in _KNOWN]
    chosen = [
        part[
            splitting.sample(
                [images.classes[images.labels[row]] for row in part],
                [images.content_hashes[row] for row in part],
                [images.groups[row] for row in part],
                count / len(known),
                seed,
                least=folds or 1,
            )
        ]
        for part in parts
    ]
    return images.only(np.sort(np.concatenate(chosen)))


_KNOWN = ("train", "validation")


def images_of(images: Dataset) -> Images:
    """Return what a worker needs to know of the images."""
    table = images.images
    return Images(
        paths=tuple(table["path"]),
        content_hashes=tuple(table["content_hash"]),
        labels=np.searchsorted(np.asarray(images.classes), table["label"]).astype(np.int32),
        splits=table["split"].to_numpy(dtype=str),
        groups=tuple(table["group"].astype(object).where(table["group"].notna(), None)),
        classes=images.classes,
        window=images.window,
    )
