"""A white sheet with text, tiles and scales on it, saved as PNG."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from automl_cv.pictures.colours import Pixels, Scale

BLACK, GREY, LINE = (20, 20, 20), (90, 90, 90), (190, 190, 190)
TITLE, TEXT, SMALL = 17, 13, 11  # heights of letters, in pixels
MARGIN = 16
# Pillow's own, of ASCII letters, the same on every machine; then what most machines have.
FONTS = (None, "DejaVuSans.ttf", "Arial.ttf", "Arial Unicode.ttf", "NotoSansCJK-Regular.ttc")
SPACE = 0.35  # of the letters' size; Pillow's own font has 0.2, hardly seen in small text

Colour = tuple[int, int, int]


class Lettering:
    """The one font of a picture: the first that has the letters of all its names.

    Where none has them all it is that which lacks fewest; there accents fall off, and other
    letters become "?".

    Args:
        names: what is written besides plain ASCII text.
    """

    def __init__(self, names: Iterable[str]) -> None:
        letters = set(unicodedata.normalize("NFC", "".join(names)))
        found = [name for name in FONTS if _font(name, TEXT) is not None]
        self._name = min(
            found, key=lambda name: sum(not _has(self._of(name, TEXT), one) for one in letters)
        )

    def width(self, text: str, size: int) -> int:
        """Return the width of a line, in pixels."""
        words, space = self._words(text, size)
        font = self._of(self._name, size)
        return round(sum(map(font.getlength, words)) + space * (len(words) - 1))

    def shortened(self, text: str, size: int, within: int) -> str:
        """Return a text at most `within` pixels wide; its middle gives way to "…"."""
        if self.width(text, size) <= within:
            return text
        for kept in range(len(text) - 1, 1, -1):
            line = f"{text[: kept - kept // 2]}…{text[len(text) - kept // 2 :]}"
            if self.width(line, size) <= within:
                return line
        return "…"

    def draw(
        self, canvas: ImageDraw.ImageDraw, x: int, y: int, text: str, size: int, *, colour: Colour
    ) -> None:
        """Write one line with its upper left corner at (x, y)."""
        words, space = self._words(text, size)
        font, begin = self._of(self._name, size), float(x)
        for word in words:
            canvas.text((round(begin), y), word, colour, font)
            begin += font.getlength(word) + space

    def writable(self, text: str) -> str:
        """Return a text as the font can write it."""
        font = self._of(self._name, TEXT)
        plain = "".join(
            one if _has(font, one) else unicodedata.normalize("NFKD", one)
            for one in unicodedata.normalize("NFC", text)
        )
        kept = (one for one in plain if _has(font, one) or not unicodedata.combining(one))
        return "".join(one if _has(font, one) else "?" for one in kept)

    def _words(self, text: str, size: int) -> tuple[list[str], int]:
        """Return what is drawn at once, and the space between: only Pillow's font needs that.

        Lines in other fonts stay whole; some scripts are written from right to left.
        """
        line = self.writable(text)
        return (line.split(" "), round(SPACE * size)) if self._name is None else ([line], 0)

    @staticmethod
    def _of(name: str | None, size: int) -> ImageFont.FreeTypeFont:
        font = _font(name, size)
        assert font is not None  # it was found in one size
        return font


class Sheet:
    """A picture in the making.

    Args:
        width: in pixels.
        height: in pixels.
        lettering: what its text is written in.
    """

    def __init__(self, width: int, height: int, lettering: Lettering) -> None:
        self.lettering = lettering
        self._image = Image.new("RGB", (width, height), "white")
        self._draw = ImageDraw.Draw(self._image)

    def write(
        self,
        x: int,
        y: int,
        text: str,
        size: int = TEXT,
        colour: Colour = BLACK,
        *,
        within: int | None = None,
        anchor: Literal["left", "right", "middle"] = "left",
    ) -> None:
        """Write one line.

        Args:
            x: where it begins (or ends, or has its middle: see `anchor`), in pixels.
            y: the line's top.
            text: the line.
            size: of the letters.
            colour: red, green, blue.
            within: pixels it must not exceed; the middle of a longer text gives way to "…".
            anchor: what of the line stands at x.
        """
        line = text if within is None else self.lettering.shortened(text, size, within)
        width = self.lettering.width(line, size)
        begin = x - {"left": 0, "right": width, "middle": width // 2}[anchor]
        self.lettering.draw(self._draw, begin, y, line, size, colour=colour)

    def place(self, x: int, y: int, pixels: Pixels, frame: bool = False) -> None:
        """Put a picture down with its upper left corner at (x, y); a frame goes around it."""
        self._image.paste(Image.fromarray(pixels), (x, y))
        if frame:
            height, width = pixels.shape[:2]
            self._draw.rectangle((x - 1, y - 1, x + width, y + height), outline=LINE)

    def explain(self, x: int, y: int, width: int, scale: Scale, ends: tuple[str, str]) -> None:
        """Draw a scale, 10 pixels high, with the texts of its two ends to its left and right."""
        left = x + self.lettering.width(ends[0], SMALL) + 6
        right = x + width - self.lettering.width(ends[1], SMALL) - 6
        ramp = np.linspace(scale.low, scale.high, right - left)
        self.place(left, y, scale.paint(np.tile(ramp, (10, 1))), frame=True)
        self.write(x, y - 1, ends[0], SMALL, GREY)
        self.write(x + width, y - 1, ends[1], SMALL, GREY, anchor="right")

    def save(self, path: Path) -> Path:
        """Write the picture as PNG and return its path."""
        path.write_bytes(self.png())
        return path

    def png(self) -> bytes:
        """Return the picture as the content of a PNG file."""
        written = BytesIO()
        self._image.save(written, "PNG", optimize=True)
        return written.getvalue()


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


def fitted(pixels: Pixels, side: int) -> Pixels:
    """Fit a picture into a square, its proportions kept, on white.

    Args:
        pixels: uint8, shape (height, width, 3).
        side: in pixels.
    """
    height, width = pixels.shape[:2]
    factor = side / max(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    method = Image.Resampling.BOX if factor < 1 else Image.Resampling.NEAREST
    small = Image.fromarray(pixels).resize(size, method)
    square = Image.new("RGB", (side, side), "white")
    square.paste(small, ((side - size[0]) // 2, (side - size[1]) // 2))
    return np.asarray(square)


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
