"""Sketches: an image as 16 by 16 greys, from which near copies of it are told.

What is compared of two sketches is what pHash looks at, the low frequencies of the cosine transform
(https://www.hackerfactor.com/blog/index.php?/archives/432-Looks-Like-It.html), as numbers rather
than as their signs. The hashes of libraries were measured before (docs/benchmarks.md): at one
false alarm in 1,000 those of ImageHash 4.3 and pdqhash 0.2, 64 to 256 bits, find 0 to 70 % of
digits of 8x8 pixels that were stored as JPEG of quality 75, and 0 to 72 % of clothes of half size;
sketches find 98 % and 97 %. imagededup brings PyTorch, ImageHash PyWavelets, and its pHash takes
five times as long.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
from PIL import Image

SIDE = 16  # of a sketch, in pixels
BAND = 6  # frequencies compared each way; half of an image of 28 pixels still holds them

# Images of more than so many times a sketch's side are first averaged down to that, which is
# faster; earlier, one of 255 pixels would differ from one of 256.
REDUCED = 16.0

# Grey levels below which contrast counts for nothing: rounding and JPEG's noise are of that size.
# Without it flat surfaces would never be copies of themselves.
NOISE = 4.0
# Programs that shrink images round up or down: the mean may move by as many levels.
ROUNDING = 0.75

AT_ONCE = 4096  # sketches that are transformed together

Greys = npt.NDArray[np.uint8]
Coefficients = npt.NDArray[np.float32]


def draw(pixels: Greys) -> bytes:
    """Return the sketch of an image: its SIDE x SIDE greys, row by row.

    Args:
        pixels: uint8, (height, width, 3).
    """
    return of_grey(Image.fromarray(pixels).convert("L"))


def of_grey(grey: Image.Image) -> bytes:
    """Return the sketch of a grey picture.

    Args:
        grey: of mode "L".
    """
    small = grey.resize((SIDE, SIDE), Image.Resampling.LANCZOS, reducing_gap=REDUCED)
    return small.tobytes()


def coefficients(greys: Greys, rows: npt.NDArray[np.intp] | None = None) -> Coefficients:
    """Return the low frequencies of sketches, (images, BAND, BAND), in grey levels.

    Their squares sum up to the mean square of what they stand for; the first is the mean grey.

    Args:
        greys: (images, SIDE, SIDE).
        rows: of those that are wanted; None for all.
    """
    wanted = np.arange(len(greys)) if rows is None else rows
    return _transformed(greys, wanted, _cosines(), _cosines())


def cropped(
    greys: Greys, size: tuple[int, int], left: int, top: int, crop: tuple[int, int]
) -> Coefficients:
    """Return what `coefficients` would return of the images less some of their edges.

    Args:
        greys: sketches of images of one size.
        size: of the pictures: width, height.
        left: pixels cut off there.
        top: pixels cut off there.
        crop: pixels cut off in all: of the width, of the height.
    """
    across = _cosines() @ _window(size[0], left, crop[0] - left).T
    down = _cosines() @ _window(size[1], top, crop[1] - top).T
    return _transformed(greys, np.arange(len(greys)), down, across)


def mirrored(found: Coefficients) -> Coefficients:
    """Return what `coefficients` would return of the images mirrored left to right."""
    signs = np.where(np.arange(BAND) % 2, -1, 1).astype(np.float32)
    return found * signs


def contrast(found: Coefficients) -> npt.NDArray[np.float32]:
    """Return the contrast of sketches in grey levels, (images,), without that of noise."""
    flat = found.reshape(len(found), BAND**2)[:, 1:]
    result: npt.NDArray[np.float32] = np.sqrt((flat**2).sum(axis=1))
    return result


def distances(ones: Coefficients, others: Coefficients) -> npt.NDArray[np.float32]:
    """Return how far images are from one another, pair by pair: 0 for alike.

    The root of the mean squared difference, as a share of the lesser contrast.

    Args:
        ones: (pairs, BAND, BAND).
        others: the same.
    """
    apart = (ones - others).reshape(len(ones), BAND**2)
    apart[:, 0] = np.maximum(np.abs(apart[:, 0]) - ROUNDING, 0)
    lesser = np.minimum(contrast(ones), contrast(others))
    result: npt.NDArray[np.float32] = np.sqrt((apart**2).sum(axis=1) / (lesser**2 + NOISE**2))
    return result


def all_distances(ones: Coefficients, others: Coefficients) -> npt.NDArray[np.float32]:
    """Return how far each image is from each other one, (ones, others), see `distances`.

    Args:
        ones: (ones, BAND, BAND).
        others: (others, BAND, BAND).
    """
    first, second = (found.reshape(len(found), -1) for found in (ones, others))
    means = np.abs(first[:, :1] - second[:, 0]) - ROUNDING
    squares = -2 * first[:, 1:] @ second[:, 1:].T
    own, other = contrast(ones)[:, None], contrast(others)
    squares += own**2 + other**2 + np.maximum(means, 0) ** 2
    lesser = np.minimum(own, other)
    result: npt.NDArray[np.float32] = np.sqrt(np.maximum(squares, 0) / (lesser**2 + NOISE**2))
    return result


def shapes(found: Coefficients) -> Coefficients:
    """Return sketches without their mean, by their contrast, (images, BAND, BAND).

    No two of these are further apart than `distances` says.
    """
    lengths = np.sqrt(contrast(found) ** 2 + NOISE**2)
    shape: Coefficients = (found / lengths[:, None, None]).astype(np.float32)
    shape[:, 0, 0] = 0
    return shape


def _transformed(
    greys: Greys,
    rows: npt.NDArray[np.intp],
    down: npt.NDArray[np.float32],
    across: npt.NDArray[np.float32],
) -> Coefficients:
    result = np.empty((len(rows), len(down), len(across)), np.float32)
    for start in range(0, len(rows), AT_ONCE):  # as floats they are four times as large
        some = slice(start, start + AT_ONCE)
        result[some] = down @ greys[rows[some]].astype(np.float32) @ across.T / SIDE
    return result


@cache
def _cosines() -> npt.NDArray[np.float32]:
    """Return the rows of the orthonormal cosine transform (DCT-II), (BAND, SIDE)."""
    places, frequencies = np.arange(SIDE) + 0.5, np.arange(BAND)[:, None]
    rows = np.cos(np.pi * frequencies * places / SIDE) * np.sqrt(2 / SIDE)
    rows[0] /= np.sqrt(2)
    result: npt.NDArray[np.float32] = rows.astype(np.float32)
    return result


@cache
def _window(length: int, before: int, after: int) -> npt.NDArray[np.float32]:
    """Return what takes a row of a sketch to that of an image less its ends, (SIDE, SIDE)."""
    unit = SIDE / length
    box = (before * unit, 0, SIDE - after * unit, SIDE)
    identity = Image.fromarray(np.eye(SIDE, dtype=np.float32))
    return np.asarray(identity.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box=box))
