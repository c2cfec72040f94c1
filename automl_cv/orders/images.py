"""The images of a search or a fit, as a worker process needs to know them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

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
