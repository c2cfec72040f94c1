"""The images of a search or a fit, as a worker process needs to know them."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from automl_cv.data import splitting
from automl_cv.data.texts import Texts
from automl_cv.features import arrays

if TYPE_CHECKING:
    from automl_cv.data.dataset import Dataset
    from automl_cv.data.images import Window


FOLDER = "image-lists"
"""In the cache folder: what workers are told of images, a folder for each set of them. Nobody's own
folder there is likely to be called so, as `cache --clear` removes it."""


@dataclass(frozen=True, eq=False)
class Images:
    """The images of a search, split by split; texts may be given in any sequence.

    Args:
        paths: files to read, one a row.
        content_hashes: hash of each image's pixels.
        labels: class indices, int32, shape (rows,).
        splits: "train", "validation" or "test", shape (rows,).
        groups: images of one name stay in one fold; "" or None for those of no group.
        classes: names of the classes.
        window: which values of deep greys become black and white, see `data.images.decode`.
        folder: where their arrays lie, memory-mapped; None where they are in memory.
    """

    paths: Texts
    content_hashes: Texts
    labels: np.ndarray
    splits: np.ndarray
    groups: Texts
    classes: tuple[str, ...]
    window: Window | None = None
    folder: Path | None = None

    def __post_init__(self) -> None:
        for name in _TEXTS:
            object.__setattr__(self, name, Texts.of(getattr(self, name)))

    def __reduce__(self) -> tuple[Any, ...]:
        # An order says where they lie: ten million images are 1.5 GB.
        if self.folder is not None:
            return _opened, (self.folder, self.classes, self.window)
        own = (self.labels, self.splits, self.groups, self.classes, self.window)
        return Images, (self.paths, self.content_hashes, *own)

    @property
    def split_sizes(self) -> dict[str, int]:
        """Number of images by split."""
        return {split: int((self.splits == split).sum()) for split in splitting.SPLITS}

    def only(self, rows: np.ndarray) -> Images:
        """Return some of the images, in this order."""
        return replace(
            self,
            paths=self.paths.take(rows),
            content_hashes=self.content_hashes.take(rows),
            labels=self.labels[rows],
            splits=self.splits[rows],
            groups=self.groups.take(rows),
            folder=None,
        )

    def group(self, row: int | np.integer[Any]) -> str | None:
        """Return the name of an image's group; None where it has none."""
        return self.groups[row] or None

    def kept(self, cache_dir: Path) -> Images:
        """Return the same from files that all workers map; as they are where none can be written.

        Args:
            cache_dir: the cache folder.
        """
        own, digest = _arrays(self), hashlib.blake2b(digest_size=8)
        for array in own.values():
            digest.update(f"{array.dtype} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).view(np.uint8).data)
        folder = cache_dir.absolute() / FOLDER / digest.hexdigest()
        try:
            if folder.is_dir():
                try:
                    return _opened(folder, self.classes, self.window)
                except arrays.Damaged:
                    shutil.rmtree(folder)
            temporary = arrays.temporary_folder(folder.parent)
            arrays.remove_abandoned(folder.parent)
            for name, array in own.items():
                np.save(temporary / f"{name}.npy", array)
            arrays.publish(temporary, folder, {})
        except OSError:
            return self
        return _opened(folder, self.classes, self.window)


def _arrays(images: Images) -> dict[str, np.ndarray]:
    """Return what images are made of, by name."""
    texts = {name: getattr(images, name) for name in _TEXTS}
    return {
        "labels": images.labels,
        "splits": images.splits,
        **{f"{name}_characters": one.characters for name, one in texts.items()},
        **{f"{name}_ends": one.ends for name, one in texts.items()},
    }


def _opened(folder: Path, classes: tuple[str, ...], window: Window | None) -> Images:
    """Return the images whose arrays lie in a folder, memory-mapped.

    Raises:
        Damaged: they are not what was written.
    """
    index = arrays.read_index(folder)

    def array(name: str) -> np.ndarray:
        return arrays.open_array(folder / f"{name}.npy", index)

    texts = {name: Texts(array(f"{name}_characters"), array(f"{name}_ends")) for name in _TEXTS}
    labels, splits = array("labels"), array("splits")
    return Images(
        labels=labels, splits=splits, classes=classes, window=window, folder=folder, **texts
    )


_TEXTS = ("paths", "content_hashes", "groups")


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
                [images.group(row) for row in part],
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
        paths=Texts.of(table["path"]),
        content_hashes=Texts.of(table["content_hash"]),
        labels=np.searchsorted(np.asarray(images.classes), table["label"]).astype(np.int32),
        splits=table["split"].to_numpy(dtype=str),
        groups=Texts.of(table["group"].fillna("")),
        classes=images.classes,
        window=images.window,
    )
