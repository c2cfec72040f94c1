"""One image as files of every kind that programs open in different ways.

A camera's turn, transparency, palettes, inks, greys and sizes: who decodes files by itself is
shown by these whether it sees what `images.decode` sees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from automl_cv.data.decoding import WHOLE
from automl_cv.data.images import Window

MOST = 400  # pixels of the longer side: encoding photographs as they are would take minutes
SMALL = (7, 5)  # height and width, in pixels: smaller than what any network takes
LARGE = 700  # the longer side, in pixels: larger than what any does
CLEAR = 85  # greys from here to twice that are half or wholly clear in what has transparency

STORED = {
    3: Image.Transpose.ROTATE_180,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
}
"""How an image lies in a file that is turned upright by EXIF's orientation."""

Write = Callable[[Image.Image, Path, Window | None], None]
"""Writes an image (RGB) as a file, greys of more than 8 bits within a window."""


def write(picture: NDArray[np.uint8], folder: Path, window: Window | None) -> Iterator[str]:
    """Write an image as a file of each kind; the files are named by their kinds.

    Args:
        picture: (height, width, 3).
        folder: an empty one.
        window: of deep greys, see `images.decode`; None for the whole of 16 bits.

    Yields:
        The name of each file: "16-bit grey.png". Kinds whose values the window has none of are
        left out.
    """
    image = Image.fromarray(picture)
    image.thumbnail((MOST, MOST))
    for name, written in KINDS.items():
        written(image, folder / name, window)
        if (folder / name).exists():
            yield name


def _turned(image: Image.Image, path: Path, window: Window | None) -> None:
    orientation = int(path.name.removeprefix("turned ")[0])
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    image.transpose(STORED[orientation]).save(path, exif=exif)


def _grey(image: Image.Image, path: Path, window: Window | None) -> None:
    image.convert("L").save(path)


def _deep(image: Image.Image, path: Path, window: Window | None) -> None:
    values = np.rint(_spread(image, window))
    if values.min() >= 0 and values.max() <= WHOLE:
        Image.fromarray(values.astype(np.uint16)).save(path)


def _floats(image: Image.Image, path: Path, window: Window | None) -> None:
    if window is not None:
        Image.fromarray(_spread(image, window).astype(np.float32)).save(path)


def _spread(image: Image.Image, window: Window | None) -> NDArray[np.float64]:
    """Return greys over a window, a tenth of it beyond its ends where there are such values."""
    low, high = window or (0, WHOLE)
    beyond = 0.0 if window is None else 0.1
    shares = np.asarray(image.convert("L"), np.float64) / 255 * (1 + 2 * beyond) - beyond
    values = low + shares * (high - low)
    return values.clip(0, WHOLE) if low >= 0 and high <= WHOLE else values


def _clear(image: Image.Image, path: Path, window: Window | None) -> None:
    opacity = image.convert("L").point(lambda grey: min(255, max(0, 3 * (grey - CLEAR))))
    clear = image.convert("RGBA")
    clear.putalpha(opacity)
    clear.save(path)


def _clear_grey(image: Image.Image, path: Path, window: Window | None) -> None:
    grey = image.convert("LA")
    grey.putalpha(image.convert("L").point(lambda value: 255 - value))
    grey.save(path)


def _palette(image: Image.Image, path: Path, window: Window | None) -> None:
    image.quantize(16).save(path)


def _clear_palette(image: Image.Image, path: Path, window: Window | None) -> None:
    # A GIF has one clear colour, a PNG an opacity for each.
    opacities = 0 if path.suffix == ".gif" else bytes([0, 128])
    image.quantize(16).save(path, transparency=opacities)


def _inks(image: Image.Image, path: Path, window: Window | None) -> None:
    image.convert("CMYK").save(path)


def _small(image: Image.Image, path: Path, window: Window | None) -> None:
    image.resize(SMALL[::-1]).save(path)


def _large(image: Image.Image, path: Path, window: Window | None) -> None:
    scale = LARGE / max(image.size)
    width, height = (max(1, round(scale * side)) for side in image.size)
    image.resize((width, height)).save(path)


KINDS: dict[str, Write] = {
    "turned 3 by EXIF.jpg": _turned,
    "turned 6 by EXIF.jpg": _turned,
    "turned 7 by EXIF.png": _turned,
    "16-bit grey.png": _deep,
    "16-bit grey.tiff": _deep,
    "float grey.tiff": _floats,
    "grey.jpg": _grey,
    "grey with alpha.png": _clear_grey,
    "transparent.png": _clear,
    "palette.png": _palette,
    "transparent palette.png": _clear_palette,
    "transparent palette.gif": _clear_palette,
    "CMYK.jpg": _inks,
    "CMYK.tiff": _inks,
    "small.png": _small,
    "large.jpg": _large,
}
