"""How a file becomes what a classifier is given; needs Pillow (11 or newer) and NumPy alone.

`automl-cv export` lays a copy of this file, preprocess.py, beside the graph that it writes, so
that every program opens a file as the classifier's own did. It reads export.json there:

    from preprocess import exported, preprocess

    batch = preprocess("photo.jpg")  # what the graph takes
    classes = exported()["classes"]  # in the order of the probabilities

Part of automl-cv, MIT licence.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageOps

Image.init()
# Formats of still images that a signature identifies beyond doubt. Pillow's others are left
# out: EPS would run Ghostscript on the user's data, TGA has no signature, PSD and FITS are not
# what a classifier is fed. AVIF is missing from Pillow before 11.3, hence the intersection.
FORMATS = tuple(
    name
    for name in (
        *("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"),
        *("JPEG2000", "PPM", "ICO", "MPO"),
    )
    if name in Image.OPEN
)

# A page, a logo's or a product's background: most transparent images are drawn for white.
# Dropping alpha instead would show whatever colour, mostly black, lies under a clear pixel.
BACKGROUND = (255, 255, 255)

WHOLE = 65535  # white of 16 bits, where nothing else is known


class UndefinedRange(ValueError):
    """Greys of more than 8 bits hold values of which nobody said what is black and white."""


def preprocess(path: str | Path, facts: dict[str, Any] | None = None) -> npt.NDArray[Any]:
    """Open a file as the exported classifier was taught, and return what its graph takes.

    Args:
        path: of an image.
        facts: content of an export.json; None takes that beside this file.

    Returns:
        One image, shape (1, height, width, 3), red, green, blue: uint8 in its own size, or
        float32 in [0, 255] in the graph's, as export.json says.

    Raises:
        UndefinedRange: see `in_window`.
        OSError: no whole image; and whatever else Pillow raises.
    """
    given = (exported() if facts is None else facts)["input"]
    # The first exports said nothing of decoding, those after them nothing of what lies beyond.
    decoding = given.get("decoding") or {}
    window: tuple[float, float] | None = tuple(decoding.get("greys", (0, WHOLE)))
    if (decoding.get("beyond") or ("refused" if window == (0, WHOLE) else "cut")) == "refused":
        window = None
    with Image.open(path, formats=FORMATS) as image:
        image.load()
        if is_deep(image):
            pixels = in_window(deep_values(image)[0], window)
        else:
            pixels = as_rgb(image, tuple(decoding.get("background", BACKGROUND)))
    if given.get("resize"):
        return resized(pixels, given["resize"]["height"], given["resize"]["width"])[None]
    return pixels.astype(given["dtype"])[None]


@functools.cache
def exported() -> dict[str, Any]:
    """Return the content of the export.json beside this file; read once."""
    text = Path(__file__).with_name("export.json").read_text(encoding="utf-8")
    facts: dict[str, Any] = json.loads(text)
    return facts


def resized(pixels: npt.NDArray[np.uint8], height: int, width: int) -> npt.NDArray[np.float32]:
    """Resize an image as the classifier's graph does: the triangle filter, antialiased.

    Of single channels of floats, Pillow's comes within 0.006 of TensorFlow's, of 255; of bytes it
    rounds.

    Args:
        pixels: (height, width, 3).
        height: of the result.
        width: of the result.

    Returns:
        In [0, 255], (height, width, 3).
    """
    channels = [Image.fromarray(pixels[..., channel]).convert("F") for channel in range(3)]
    size = (width, height)
    done = [channel.resize(size, Image.Resampling.BILINEAR) for channel in channels]
    return np.stack([np.asarray(channel) for channel in done], axis=-1)


def is_deep(image: Image.Image) -> bool:
    """Tell whether an image holds greys of more than 8 bits."""
    return image.mode.startswith("I") or image.mode == "F"


def deep_values(image: Image.Image) -> tuple[npt.NDArray[Any], str]:
    """Return greys of more than 8 bits upright, (height, width), and their depth in words."""
    depth, is_unsigned = depth_of(image)
    return deep_part(_upright(image), is_unsigned), depth


def deep_part(image: Image.Image, is_unsigned: bool) -> npt.NDArray[Any]:
    """Return greys of more than 8 bits as they stand in an image, (height, width).

    Args:
        image: upright, or a part of one.
        is_unsigned: what `depth_of` says of the whole.
    """
    values = np.asarray(image)
    return values.view(np.uint32) if is_unsigned else values


def in_window(
    values: npt.NDArray[Any], window: tuple[float, float] | None
) -> npt.NDArray[np.uint8]:
    """Scale greys to 8 bits; Pillow's own `convert` would clip everything above 255.

    Args:
        values: integers or floats, (height, width).
        window: what becomes 0 and 255; beyond, values are cut. None takes the whole of 16 bits.

    Returns:
        Three equal channels, (height, width, 3); read-only.

    Raises:
        UndefinedRange: without a window, of floats and of values beyond 16 bits.
    """
    if window is None:
        if values.dtype.kind == "f" or values.min() < 0 or values.max() > WHOLE:
            raise UndefinedRange(
                "32-bit pixel values without a defined range; save it as 8 or 16 bits"
            )
        grey = ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    else:
        low, high = window
        # What is not a number shows nothing, as a scanner's blank does.
        finite = np.nan_to_num(values.astype(np.float64), nan=low)
        grey = np.rint(255 * ((finite.clip(low, high) - low) / (high - low))).astype(np.uint8)
    rgb = np.repeat(grey[:, :, None], 3, axis=2)
    rgb.flags.writeable = False
    return rgb


def as_rgb(
    image: Image.Image, background: tuple[int, int, int] = BACKGROUND
) -> npt.NDArray[np.uint8]:
    """Return the pixels of an image of up to 8 bits upright, (height, width, 3); read-only.

    Args:
        image: its first frame.
        background: colour that transparent pixels are laid on.
    """
    return rgb(_upright(image), background)


def rgb(image: Image.Image, background: tuple[int, int, int] = BACKGROUND) -> npt.NDArray[np.uint8]:
    """Return the pixels of an image of up to 8 bits as it stands, (height, width, 3); read-only.

    Args:
        image: upright, or a part of one.
        background: colour that transparent pixels are laid on.
    """
    if image.has_transparency_data:
        # Palettes go through RGBA as well: their transparency is a table that RGB would drop.
        clear = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", clear.size, (*background, 255)), clear)
    # `convert` would copy what is RGB already, and `np.array` would copy once more.
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def _upright(image: Image.Image) -> Image.Image:
    try:
        # Most images stand upright, and of these `exif_transpose` would make a copy.
        is_turned = image.getexif().get(ExifTags.Base.Orientation, 1) != 1
        return ImageOps.exif_transpose(image) if is_turned else image
    except Exception:  # a broken EXIF block: the image itself is whole, and viewers show it
        return image


def depth_of(image: Image.Image) -> tuple[str, bool]:
    """Return the depth of greys, and whether Pillow gives unsigned 32 bits as signed ones.

    Mode "I" holds 32-bit integers, but Pillow also uses it for 16-bit PGM and signed TIFF.
    """
    if image.mode == "F":
        return "float", False
    tags = getattr(image, "tag_v2", None)
    if image.mode != "I" or tags is None:
        return ("32-bit" if image.mode == "I" and image.format is None else "16-bit"), False
    bits, is_signed = tags.get(258, (32,))[0], tags.get(339, (1,))[0] == 2
    if bits == 16:
        return ("signed 16-bit" if is_signed else "16-bit"), False
    return "32-bit", not is_signed
