"""The pixel cache: images decoded and resized once, for networks that train on pixels.

    CACHE/pixels/KEY/
        index.json      image size, content hashes of the images, a checksum
        pixels.npy      uint8 (images, size, size, 3)

The key is a hash of the size and of the images' content in the order asked for. The array is
memory-mapped, so that processes share it, and checked before it is used (see `arrays`).
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from automl_cv.errors import AutomlError, warn
from automl_cv.features import arrays
from automl_cv.features.recipes import FORMAT

Pixels = NDArray[np.uint8]
FILE_NAME = "pixels.npy"


@dataclass(frozen=True)
class PixelEntry:
    """What the cache holds for one set of images.

    Args:
        key: name of its folder.
        image_size: height and width in pixels; None where the entry is damaged.
        n_images: how many.
        n_bytes: size on disk.
        written: local time.
    """

    key: str
    image_size: int | None
    n_images: int
    n_bytes: int
    written: datetime


class PixelCache:
    """Pixels on disk; see the module's text for the layout.

    Args:
        folder: the cache folder, which may not exist yet; pixels go to `pixels` in it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "pixels"

    def find(self, content_hashes: Sequence[str], image_size: int) -> Pixels | None:
        """Return the pixels of images, in the order asked for; None where they aren't there.

        Damaged ones are removed, with a warning.

        Args:
            content_hashes: of the images.
            image_size: height and width, in pixels.

        Returns:
            uint8 (images, image_size, image_size, 3), memory-mapped and read-only.
        """
        folder = self.folder / _key(content_hashes, image_size)
        if not folder.is_dir():
            return None
        try:
            array: Pixels = arrays.open_array(folder / FILE_NAME, arrays.read_index(folder))
            return array
        except arrays.Damaged as damage:
            warn(f"cached pixels are damaged ({damage}); the images are decoded again")
            shutil.rmtree(folder, ignore_errors=True)
            return None

    def write(
        self, content_hashes: Sequence[str], image_size: int, batches: Iterable[Pixels]
    ) -> Pixels:
        """Write the pixels of images, all of them or none, and return them as `find` does.

        Args:
            content_hashes: of the images, at least one.
            image_size: height and width, in pixels.
            batches: together uint8 (images, image_size, image_size, 3), in that order.
        """
        n_images = len(content_hashes)
        if not n_images:
            raise ValueError("pixels of no images were asked for")
        folder = self.folder / _key(content_hashes, image_size)
        temporary = arrays.temporary_folder(self.folder)
        arrays.remove_abandoned(self.folder)
        try:
            shape = (n_images, image_size, image_size, 3)
            whole = np.lib.format.open_memmap(temporary / FILE_NAME, "w+", np.uint8, shape)
            done = 0
            for batch in batches:
                whole[done : done + len(batch)] = batch
                done += len(batch)
            if done != n_images:
                raise ValueError(f"pixels of {done} images came for {n_images}")
            whole.flush()
            index = {"image_size": image_size, "content_hashes": list(content_hashes)}
            arrays.publish(temporary, folder, index)
        except BaseException:  # Ctrl-C too: gigabytes would lie there for a day
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        found = self.find(content_hashes, image_size)
        if found is None:
            raise AutomlError(f"{folder}: damaged as soon as it was written; check the disk")
        return found

    def entries(self) -> list[PixelEntry]:
        """Return what the cache holds, one entry a set of images, sorted by key."""
        folders = sorted(self.folder.glob("*/")) if self.folder.is_dir() else []
        unfinished = arrays.TEMPORARY_PREFIX
        return [_describe(path) for path in folders if not path.name.startswith(unfinished)]

    def clear(self) -> int:
        """Remove everything, leftovers of killed processes too; return the bytes freed."""
        return arrays.remove_folder(self.folder)


def _key(content_hashes: Sequence[str], image_size: int) -> str:
    text = json.dumps([FORMAT, image_size, *content_hashes])
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _describe(folder: Path) -> PixelEntry:
    image_size, hashes = None, []
    try:
        index = arrays.read_index(folder)
        image_size, hashes = index["image_size"], index["content_hashes"]
    except (arrays.Damaged, KeyError):
        pass  # listed with its size; what asks for it next removes it
    return PixelEntry(
        key=folder.name,
        image_size=image_size,
        n_images=len(hashes),
        n_bytes=arrays.folder_size(folder),
        written=datetime.fromtimestamp(folder.stat().st_mtime),
    )
