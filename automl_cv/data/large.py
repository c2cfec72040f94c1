"""Pictures of so many pixels that they are held once, as Pillow has them, and seen in parts.

An array of a drawing of 169 million pixels beside Pillow's own copy, and what is worked out on
the way from one to the other, took 4.4 GB. Parts give the same pixels, and so the same hash.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image

from automl_cv.data.decoding import deep_part, depth_of, in_window, is_deep, rgb

LEAST = 2**25
"""Pixels from which a picture is seen in parts: 134 MB as Pillow holds it."""

PART = 2**20
"""Pixels of a part, about: larger ones take more memory, and save no time."""

Box = tuple[int, int, int, int]
"""Left, top, right and bottom, in pixels."""


class Window(NamedTuple):
    """Which values of deep greys, of more than 8 bits, become 0 and 255; beyond they are cut.

    Args:
        low: black.
        high: white, above `low`.
    """

    low: float
    high: float


class Large:
    """A picture in parts.

    Args:
        image: all of it, loaded.
        format: as of `images.Picture`.
        window: of deep greys; None takes the whole range of 16 bits.
    """

    def __init__(self, image: Image.Image, format: str, window: Window | None = None) -> None:
        self.format = format
        self.window = window
        self.depth, self._is_unsigned = depth_of(image) if is_deep(image) else ("", False)
        self._turn = _turn(image)
        self._image = image
        width, height = image.size
        self.size = (height, width) if self._turn in _ON_ITS_SIDE else (width, height)

    def close(self) -> None:
        """Let go of its pixels, whoever still holds it."""
        self._image = Image.new("1", (1, 1))

    def pixels(self, box: Box) -> npt.NDArray[np.uint8]:
        """Return a part, (height, width, 3), as `images.decode` gives the whole.

        Raises:
            UndefinedRange: see `decoding.in_window`.
        """
        if self.depth:
            return in_window(self.values(box), self.window)
        return rgb(self._part(box))

    def values(self, box: Box) -> npt.NDArray[Any]:
        """Return a part of deep greys, (height, width)."""
        return deep_part(self._part(box), self._is_unsigned)

    def rows(self) -> Iterator[Box]:
        """Yield parts of the whole width, from top to bottom."""
        width, height = self.size
        step = max(PART // width, 1)
        for top in range(0, height, step):
            yield 0, top, width, min(top + step, height)

    def columns(self) -> Iterator[Box]:
        """Yield parts of the whole height, from left to right."""
        width, height = self.size
        step = max(PART // height, 1)
        for left in range(0, width, step):
            yield left, 0, min(left + step, width), height

    def whole(self) -> npt.NDArray[np.uint8]:
        """Return all of it; read-only."""
        width, height = self.size
        found = np.empty((height, width, 3), np.uint8)
        for box in self.rows():
            found[box[1] : box[3]] = self.pixels(box)
        found.flags.writeable = False
        return found

    def _part(self, box: Box) -> Image.Image:
        if self._turn is None:
            return self._image.crop(box)
        left, top, right, bottom = box
        width, height = self._image.size
        if self._turn in _ON_ITS_SIDE:
            left, top, right, bottom = top, left, bottom, right
        if self._turn in _FROM_THE_RIGHT:
            left, right = width - right, width - left
        if self._turn in _FROM_BELOW:
            top, bottom = height - bottom, height - top
        return self._image.crop((left, top, right, bottom)).transpose(self._turn)


_TURNS = Image.Transpose
_BY_ORIENTATION = {
    2: _TURNS.FLIP_LEFT_RIGHT,
    3: _TURNS.ROTATE_180,
    4: _TURNS.FLIP_TOP_BOTTOM,
    5: _TURNS.TRANSPOSE,
    6: _TURNS.ROTATE_270,
    7: _TURNS.TRANSVERSE,
    8: _TURNS.ROTATE_90,
}
_ON_ITS_SIDE = (_TURNS.TRANSPOSE, _TURNS.ROTATE_270, _TURNS.TRANSVERSE, _TURNS.ROTATE_90)
_FROM_THE_RIGHT = (
    *(_TURNS.FLIP_LEFT_RIGHT, _TURNS.ROTATE_180),
    *(_TURNS.TRANSVERSE, _TURNS.ROTATE_90),
)
_FROM_BELOW = (
    *(_TURNS.ROTATE_180, _TURNS.FLIP_TOP_BOTTOM),
    *(_TURNS.ROTATE_270, _TURNS.TRANSVERSE),
)


def _turn(image: Image.Image) -> Image.Transpose | None:
    """Return what puts a picture upright, as `ImageOps.exif_transpose` does."""
    try:
        return _BY_ORIENTATION.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # a broken EXIF block, see `decoding.upright`
        return None


class InFlight:
    """Bounds the pixels that all threads together hold; one picture may always be held.

    Args:
        most: pixels.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._left = most
        self._change = threading.Condition()
        self._own = threading.local()

    @contextmanager
    def holding(self, pixels: int) -> Iterator[None]:
        """Wait until so many pixels more may be held.

        A thread that holds some already waits for nothing: it might wait for itself.
        """
        if getattr(self._own, "holds", False):
            yield
            return
        wanted = min(pixels, self._most)
        with self._change:
            self._change.wait_for(lambda: self._left >= wanted)
            self._left -= wanted
        self._own.holds = True
        try:
            yield
        finally:
            self._own.holds = False
            with self._change:
                self._left += wanted
                self._change.notify_all()
