"""The one decoder: a file's bytes become red, green and blue pixels, or a damaged image.

Inspection and training both decode here, so that a file which passes inspection
can't stop a training an hour later. What is done to pixels stands in `decoding`, which exported
classifiers take along.
"""

from __future__ import annotations

import hashlib
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from automl_cv.data.decoding import FORMATS, UndefinedRange, as_rgb, deep_values, in_window, is_deep
from automl_cv.data.large import LEAST, Box, InFlight, Large
from automl_cv.data.large import Window as Window
from automl_cv.errors import AutomlError
from automl_cv.processors import cores

_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF", b"II*\0", b"MM\0*", b"BM")


# Of all threads, as many as four photographs of 16 megapixels, and more where there are more cores;
# a picture takes up to ten bytes a pixel on its way.
IN_FLIGHT = InFlight(max(2**26, cores() * 2**24))
COUNTED = 2**18  # pixels below which a picture is not worth counting


class DamagedImage(AutomlError):
    """A file can't be decoded as a whole image; the message is a short reason without a path."""


Pixels = npt.NDArray[np.uint8]


class Picture(NamedTuple):
    """A decoded file.

    Args:
        pixels: uint8, (height, width, 3), red, green, blue; read-only.
        format: Pillow's name of the file's format by its content, "JPEG" or "PNG".
    """

    pixels: npt.NDArray[np.uint8]
    format: str


class Deep(NamedTuple):
    """A decoded file of greys of more than 8 bits, whose range only its data set tells.

    Args:
        values: integers or floats, (height, width).
        format: as of `Picture`.
        depth: "16-bit", "signed 16-bit", "32-bit" or "float".
    """

    values: npt.NDArray[np.generic]
    format: str
    depth: str

    def picture(self, window: Window | None) -> Picture:
        """Return the image of 8 bits.

        Args:
            window: None takes the whole range of 16 bits.

        Raises:
            DamagedImage: without a window, of values beyond 16 bits.
        """
        try:
            return Picture(in_window(self.values, window), self.format)
        except UndefinedRange as error:
            raise DamagedImage(str(error)) from None


def decode(source: Path | bytes, window: Window | None = None) -> npt.NDArray[np.uint8]:
    """Decode an image file as every part of automl-cv sees it.

    Grey images give three equal channels; greys of more than 8 bits are scaled from `window`;
    transparent pixels are laid on white; a camera's EXIF orientation is applied; of an animation
    the first frame counts.

    Args:
        source: the path of a file, or a file's content.
        window: of the data set; None takes the whole range of 16 bits, so that 65535 becomes 255.

    Returns:
        uint8, (height, width, 3); read-only.

    Raises:
        DamagedImage: the file is empty, truncated, no image, too large to be one (above
            Pillow's limit of about 179 million pixels), or holds 32-bit values, which have
            no defined range, and there is no window.
    """
    return read(source, window).pixels


def read(source: Path | bytes, window: Window | None = None) -> Picture:
    """Decode an image file as `decode` does, and name its format.

    Args:
        source: the path of a file, or a file's content.
        window: as in `decode`.

    Raises:
        DamagedImage: see `decode`.
    """
    with looking(source) as found:
        if isinstance(found, Large):
            return Picture(_whole(found, window), found.format)
        return found if isinstance(found, Picture) else found.picture(window)


@contextmanager
def held(source: Path | bytes, window: Window | None = None) -> Iterator[Pixels | Large]:
    """Decode an image file as `decode` does, one of very many pixels to be seen in parts.

    Until the block ends, its pixels count among those that all threads may hold.

    Args:
        source: the path of a file, or a file's content.
        window: as in `decode`.

    Raises:
        DamagedImage: see `decode`.
    """
    with looking(source) as found:
        if isinstance(found, Large):
            found.window = window
            if found.depth and window is None:
                for box in found.rows():  # here, where it can be told of the file
                    _part(found, box)
            yield found
        else:
            yield (found if isinstance(found, Picture) else found.picture(window)).pixels


@contextmanager
def looking(source: Path | bytes) -> Iterator[Picture | Deep | Large]:
    """Decode an image file; deep greys stay as they are. See `held`.

    Args:
        source: the path of a file, or a file's content.

    Raises:
        DamagedImage: see `decode`.
    """
    try:
        content = source if isinstance(source, bytes) else source.read_bytes()
    except OSError as error:
        raise DamagedImage(f"can't be read: {error.strerror}") from error
    if not content:
        raise DamagedImage("empty file")
    with ExitStack() as stack:
        try:
            found = _look(content, stack)
        except DamagedImage:
            raise
        except Exception as error:  # Pillow's plug-ins raise anything from KeyError to struct.error
            raise DamagedImage(_reason(error, content)) from error
        if isinstance(found, Large):
            stack.callback(found.close)
        yield found


def _look(content: bytes, stack: ExitStack) -> Picture | Deep | Large:
    with _silence(), Image.open(BytesIO(content), formats=FORMATS) as image:
        n_pixels = image.width * image.height
        if n_pixels >= COUNTED:
            stack.enter_context(IN_FLIGHT.holding(n_pixels))
        name = "JPEG" if image.format == "MPO" else str(image.format)
        image.load()
        return Large(image, name) if n_pixels >= LEAST else _decoded(image, name)


def _whole(found: Large, window: Window | None) -> Pixels:
    found.window = window
    try:
        return found.whole()
    except UndefinedRange as error:
        raise DamagedImage(str(error)) from None


def _part(found: Large, box: Box) -> Pixels:
    try:
        return found.pixels(box)
    except UndefinedRange as error:
        raise DamagedImage(str(error)) from None


def from_pillow(image: Image.Image, window: Window | None = None) -> npt.NDArray[np.uint8]:
    """Return the pixels of an opened image as `decode` would return them.

    Args:
        image: of any mode.
        window: as in `decode`.

    Raises:
        DamagedImage: see `decode`.
    """
    try:
        with _silence():
            image.load()
            found = _decoded(image, str(image.format))
            return (found if isinstance(found, Picture) else found.picture(window)).pixels
    except DamagedImage:
        raise
    except Exception as error:  # as in `read`
        raise DamagedImage(_reason(error, b"")) from error


def content_hash(pixels: Pixels | Large) -> str:
    """Return 32 hexadecimal digits that are equal for equal pixels, whatever the file's format.

    Args:
        pixels: uint8, (height, width, 3), as `decode` returns them; or as `held` gives them.
    """
    if isinstance(pixels, Large):
        digest = new_hash(pixels.size)
        for box in pixels.rows():
            digest.update(np.ascontiguousarray(pixels.pixels(box)).data)
        return digest.hexdigest()
    height, width, _ = pixels.shape
    digest = new_hash((width, height))
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


def new_hash(size: tuple[int, int]) -> hashlib.blake2b:
    """Return the hash of a picture of a width and height, without any of its pixels."""
    return hashlib.blake2b(repr((size[1], size[0], 3)).encode(), digest_size=16)


def _decoded(image: Image.Image, name: str) -> Picture | Deep:
    if not is_deep(image):
        return Picture(as_rgb(image), name)
    values, depth = deep_values(image)
    return Deep(values, name, depth)


def _reason(error: Exception, content: bytes) -> str:
    text = str(error)
    if isinstance(error, UnidentifiedImageError):
        known = content.startswith(_SIGNATURES)
        return f"damaged header ({len(content)} bytes)" if known else "not an image"
    if isinstance(error, Image.DecompressionBombError):
        return f"decompression bomb: {text.split(',')[0].removeprefix('Image size ')}"
    if "truncated" in text.lower() or isinstance(error, EOFError):
        return f"truncated after {len(content)} bytes"
    return f"damaged: {text or type(error).__name__}"


_decoding = threading.Lock()
_n_decoding = 0
_filters = ExitStack()


@contextmanager
def _silence() -> Iterator[None]:
    """Hold back Pillow's warnings while any thread decodes; there's nothing to act on in them.

    `warnings.catch_warnings` alone is not safe here: filters belong to the process before
    Python 3.14, and threads that leave in another order than they came would leave them behind.
    """
    global _n_decoding
    with _decoding:
        if _n_decoding == 0:
            _filters.enter_context(warnings.catch_warnings())
            warnings.filterwarnings("ignore", module=r"PIL\.")
        _n_decoding += 1
    try:
        yield
    finally:
        with _decoding:
            _n_decoding -= 1
            if _n_decoding == 0:
                _filters.close()
