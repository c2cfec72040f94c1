"""A white sheet with text, tiles and scales on it, saved as PNG."""

from __future__ import annotations

import unicodedata
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from automl_cv.pictures.colours import Pixels, Scale

BLACK, GREY, LINE = (20, 20, 20), (90, 90, 90), (190, 190, 190)
TITLE, TEXT, SMALL = 17, 13, 11  # heights of letters, in pixels
MARGIN = 16
# Pillow's own, then what most machines have, for letters that it lacks.
FONTS = (None, "DejaVuSans.ttf", "Arial.ttf", "Arial Unicode.ttf", "NotoSansCJK-Regular.ttc")

Point = tuple[int, int]


class Sheet:
    """A picture in the making.

    Args:
        width: in pixels.
        height: in pixels.
    """

    def __init__(self, width: int, height: int) -> None:
        self._image = Image.new("RGB", (width, height), "white")
        self._draw = ImageDraw.Draw(self._image)

    def write(
        self,
        x: int,
        y: int,
        text: str,
        size: int = TEXT,
        colour: tuple[int, int, int] = BLACK,
        within: int | None = None,
        anchor: str = "la",
    ) -> None:
        """Write one line.

        Args:
            x: where it begins (or ends, or has its middle: see `anchor`), in pixels.
            y: the line's top.
            text: the line.
            size: of the letters.
            colour: red, green, blue.
            within: pixels it must not exceed; the middle of a longer text gives way to "…".
            anchor: Pillow's: "la" begins at x, "ra" ends there, "ma" has its middle there.
        """
        line = text if within is None else shortened(text, size, within)
        font, writable = _font_for(line, size)
        self._draw.text((x, y), writable, colour, font, anchor=anchor)

    def write_upright(self, x: int, y: int, text: str, size: int = TEXT) -> None:
        """Write one line from below upwards, with its end, its upper corner, at (x, y)."""
        font, writable = _font_for(text, size)
        line = Image.new("L", (max(1, text_width(text, size)), size + 5), 255)
        ImageDraw.Draw(line).text((0, 0), writable, BLACK[0], font)
        self._image.paste(line.transpose(Image.Transpose.ROTATE_90).convert("RGB"), (x, y))

    def line(self, start: Point, end: Point, colour: tuple[int, int, int]) -> None:
        """Draw a line one pixel wide."""
        self._draw.line((start, end), colour)

    def box(self, corners: tuple[int, int, int, int], colour: tuple[int, int, int]) -> None:
        """Fill a rectangle, given its left, upper, right and lower end, all of them in it."""
        self._draw.rectangle(corners, colour)

    def place(self, x: int, y: int, pixels: Pixels, frame: bool = False) -> None:
        """Put a picture down with its upper left corner at (x, y); a frame goes around it."""
        self._image.paste(Image.fromarray(pixels), (x, y))
        if frame:
            height, width = pixels.shape[:2]
            self._draw.rectangle((x - 1, y - 1, x + width, y + height), outline=LINE)

    def explain(self, x: int, y: int, width: int, scale: Scale, ends: tuple[str, str]) -> None:
        """Draw a scale, 10 pixels high, with the texts of its two ends to its left and right."""
        left = x + text_width(ends[0], SMALL) + 6
        right = x + width - text_width(ends[1], SMALL) - 6
        ramp = np.linspace(scale.low, scale.high, right - left)
        self.place(left, y, scale.paint(np.tile(ramp, (10, 1))), frame=True)
        self.write(x, y - 1, ends[0], SMALL, GREY)
        self.write(x + width, y - 1, ends[1], SMALL, GREY, anchor="ra")

    def save(self, path: Path) -> Path:
        """Write the picture as PNG and return its path."""
        self._image.save(path, "PNG", optimize=True)
        return path


def ends_of(scale: Scale) -> tuple[str, str]:
    """Return the texts of a scale's ends: "0" and ">= 3.2"; unequal where numbers lie beyond."""
    low, high = f"{scale.low:.3g}", f"{scale.high:.3g}"
    if not scale.cut:
        return low, high
    return (f"<= {low}" if scale.low < 0 else low), f">= {high}"


def enlarged(pixels: Pixels, side: int) -> Pixels:
    """Bring a picture to a height and width, its own pixels staying visible as squares.

    Args:
        pixels: uint8, shape (height, width, 3).
        side: in pixels.
    """
    image = Image.fromarray(pixels)
    smaller = max(image.size) > side
    method = Image.Resampling.BOX if smaller else Image.Resampling.NEAREST
    return np.asarray(image.resize((side, side), method))


def resampled(values: NDArray[np.floating], side: int, smooth: bool = False) -> NDArray[np.float32]:
    """Bring numbers to a height and width.

    Args:
        values: shape (height, width).
        side: of the result.
        smooth: interpolate rather than repeat each number as a square. Larger maps are averaged.

    Returns:
        float32, shape (side, side).
    """
    image = Image.fromarray(values.astype(np.float32))
    if max(image.size) > side:
        method = Image.Resampling.BOX
    else:
        method = Image.Resampling.BILINEAR if smooth else Image.Resampling.NEAREST
    return np.asarray(image.resize((side, side), method))


def shortened(text: str, size: int, within: int) -> str:
    """Return a text that is at most `within` pixels wide; its middle gives way to "…"."""
    if text_width(text, size) <= within:
        return text
    for kept in range(len(text) - 1, 1, -1):
        line = f"{text[: kept - kept // 2]}…{text[len(text) - kept // 2 :]}"
        if text_width(line, size) <= within:
            return line
    return "…"


def text_width(text: str, size: int) -> int:
    """Return the width of a line, in pixels."""
    font, writable = _font_for(text, size)
    return round(font.getlength(writable))


def _font_for(text: str, size: int) -> tuple[ImageFont.FreeTypeFont, str]:
    """Return a font that has a text's letters, and the text as that font can write it.

    Pillow's own font writes plain ASCII, the same on every machine. Names of classes may need
    one of the machine's; without any, accents fall off and other letters become "?".
    """
    fonts = [font for name in FONTS if (font := _font(name, size)) is not None]
    for font in fonts:
        if all(_has(font, letter) for letter in text):
            return font, text
    plain = unicodedata.normalize("NFKD", text)
    kept = (letter for letter in plain if not unicodedata.combining(letter))
    return fonts[0], "".join(letter if _has(fonts[0], letter) else "?" for letter in kept)


@cache
def _font(name: str | None, size: int) -> ImageFont.FreeTypeFont | None:
    try:
        return ImageFont.truetype(name, size) if name else _own_font(size)
    except OSError:
        return None


def _own_font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)  # it is, given a size
    return font


@cache
def _has(font: ImageFont.FreeTypeFont, letter: str) -> bool:
    missing = bytes(font.getmask("\uffff"))
    return letter.isspace() or bytes(font.getmask(letter)) != missing
