"""Images that Python code holds, as arrays or paths: checked, and written as files with a list."""

from __future__ import annotations

import csv
import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from automl_cv.data.decoding import is_deep
from automl_cv.data.images import DamagedImage, content_hash, from_pillow

Picture = Path | npt.NDArray[np.uint8] | Image.Image
"""A file; pixels: uint8, shape (height, width, 3); or an image of deep greys, whose range only
all of them tell."""

EXPECTED = (
    "expected images: an array of shape (images, height, width) or (images, height, width, 3), "
    "uint8 or floats from 0 to 1, or a list of paths, of Pillow's images or of such arrays"
)


def pictures(images: Any) -> Iterator[Picture]:
    """Yield images one by one, each as a file's path or as pixels.

    Args:
        images: see EXPECTED. Whole numbers other than uint8 and floats beyond 0 and 1 are
            refused: nothing says where their white is.

    Raises:
        ValueError: it holds something else; one line.
    """
    kind = type(images)
    dimensions = getattr(images, "ndim", 1)  # of arrays, and of tables and sparse matrices
    if dimensions not in (1, 3, 4):
        hint = "; rows of pixels want their height and width back" if dimensions == 2 else ""
        raise ValueError(
            f"{EXPECTED}; got {kind.__module__}.{kind.__name__} of shape {images.shape}{hint}"
        )
    if kind.__module__.startswith("tensorflow"):
        raise ValueError(
            f"{EXPECTED}; got a data set of TensorFlow, which may have no end and no order: take "
            "images and labels out of it, such as [image for image, _ in data.as_numpy_iterator()]"
        )
    if isinstance(images, str | bytes | Path | Image.Image) or not isinstance(images, Iterable):
        raise ValueError(f"{EXPECTED}; got one {kind.__name__}")
    for number, image in enumerate(images):
        yield _picture(image, f"image {number}")


def _picture(image: Any, where: str) -> Picture:
    if isinstance(image, str | Path):
        return Path(image).expanduser().absolute()
    if isinstance(image, Image.Image):
        if is_deep(image):
            return image
        try:
            return from_pillow(image)
        except DamagedImage as damage:
            raise ValueError(f"{where}: {damage}") from None
    pixels = np.asarray(image)
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 3) or 0 in pixels.shape:
        raise ValueError(
            f"{where}: expected a path, an image of Pillow, or an array of shape (height, width) "
            f"or (height, width, 3), got {type(image).__name__} of shape {np.shape(image)}"
        )
    if pixels.dtype.kind == "f":
        # Not-a-number fails both comparisons.
        if not (pixels.min() >= 0 and pixels.max() <= 1):
            raise ValueError(
                f"{where}: floats must lie from 0 (black) to 1 (white), these go from "
                f"{pixels.min():g} to {pixels.max():g}; divide by the value of white"
            )
        pixels = np.rint(pixels * 255).astype(np.uint8)
    if pixels.dtype != np.uint8:
        raise ValueError(
            f"{where}: expected uint8, 0 to 255, or floats from 0 to 1, got {pixels.dtype}"
        )
    return np.broadcast_to(pixels, (*pixels.shape[:2], 3)) if pixels.shape[2] == 1 else pixels


def write(images: Iterable[Picture], labels: Sequence[str], folder: Path) -> tuple[str, str]:
    """Write pixels as files named by their content, and a manifest of all images.

    Files that are there already are left alone, so the same images are written once.

    Args:
        images: paths are listed as they are.
        labels: name of each image's class.
        folder: pixels go to its sub-folder `images`, the manifest beside it.

    Returns:
        Path of the manifest, and 16 hexadecimal digits that tell these images with these labels,
        in whatever order, from others.
    """
    target = folder / "images"
    target.mkdir(parents=True, exist_ok=True)
    copies: Counter[str] = Counter()
    rows: list[tuple[str, str]] = []
    for image, label in zip(images, labels, strict=True):
        if isinstance(image, Path):
            rows.append((str(image), label))
            continue
        deep, pixels = isinstance(image, Image.Image), np.asarray(image)
        name = content_hash(pixels)
        copies[name] += 1
        # An image that is given twice counts twice, as it does in an array.
        again = f"-{copies[name]}" if copies[name] > 1 else ""
        path = target / f"{name}{again}{'.tif' if deep else '.png'}"
        if not path.exists():
            unfinished = path.with_suffix(f".{os.getpid()}.part")
            plain = Image.fromarray(np.ascontiguousarray(pixels))
            plain.save(unfinished, format="TIFF" if deep else "PNG")
            unfinished.replace(path)
        rows.append((str(path.absolute()), label))
    digest = hashlib.blake2b(repr(sorted(rows)).encode(), digest_size=8).hexdigest()
    manifest = folder / f"{digest}.csv"
    with manifest.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("path", "label"), *rows])
    return str(manifest.absolute()), digest
