"""The contact sheet of suspects: each image beside those that are most like it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from automl_cv.data.images import DamagedImage, Window, decode
from automl_cv.pictures.canvas import (
    BLACK,
    GREY,
    MARGIN,
    SMALL,
    TEXT,
    TITLE,
    Lettering,
    Sheet,
    fitted,
)
from automl_cv.pictures.colours import Pixels
from automl_cv.results.suspects import NEIGHBOURS, Suspect
from automl_cv.words import counted

SHOWN = 36  # suspects on a sheet
COLUMNS = 3
TILE, GAP, BETWEEN = 96, 8, 34
APART = 10  # further from an image to its neighbours
RED = (203, 24, 29)
LINES = 3  # of text below a picture


def contact_sheet(
    suspects: Sequence[Suspect], about: str, window: Window | None = None, most: int = SHOWN
) -> Sheet:
    """Draw the first suspects, each with its label, the likely one, and its neighbours'.

    Args:
        suspects: the most doubted first; may be none.
        about: the source and what judged it.
        window: which values of deep greys become black and white, see `data.images.decode`.
        most: how many are drawn.
    """
    shown = suspects[:most]
    names = [
        name
        for one in shown
        for name in (one.label, one.likely, *(near.label for near in one.neighbours), one.path)
    ]
    lettering = Lettering((about, *names))
    title = "No label is doubted" if not suspects else counted(len(suspects), "suspect")
    if len(shown) < len(suspects):
        title = f"The first {len(shown)} of {len(suspects):,} suspects"
    with_neighbours = any(one.neighbours for one in shown)
    tiles = 1 + NEIGHBOURS if with_neighbours else 1
    entry = tiles * (TILE + GAP) - GAP + (APART if with_neighbours else 0)
    columns = max(1, min(COLUMNS if with_neighbours else 2 * COLUMNS, len(shown)))
    top = MARGIN + TITLE + 2 * TEXT + 38
    step = TILE + LINES * (TEXT + 3) + 2 * GAP
    explained = "left: the image, its label and the likely one; right: those that look most alike"
    widest = max(
        lettering.width(title, TITLE), *(lettering.width(one, TEXT) for one in (about, explained))
    )
    width = 2 * MARGIN + max(columns * (entry + BETWEEN) - BETWEEN, widest)
    sheet = Sheet(width, top + math.ceil(len(shown) / columns) * step + MARGIN, lettering)
    sheet.write(MARGIN, MARGIN, title, TITLE)
    sheet.write(MARGIN, MARGIN + TITLE + 8, about, TEXT, GREY)
    if with_neighbours:
        sheet.write(MARGIN, MARGIN + TITLE + TEXT + 14, explained, TEXT, GREY)
    for place, one in enumerate(shown):
        x, y = MARGIN + place % columns * (entry + BETWEEN), top + place // columns * step
        _draw(sheet, x, y, one, window)
    return sheet


def _draw(sheet: Sheet, x: int, y: int, one: Suspect, window: Window | None) -> None:
    """Draw one suspect and its neighbours, the upper left corner at (x, y)."""
    below = y + TILE + 4
    sheet.place(x, y, _tile(one.path, window), frame=True)
    doubt = f"  {one.doubt:.3f}"
    room = TILE - sheet.lettering.width(doubt, TEXT)
    likely = sheet.lettering.shortened(one.likely, TEXT, room)
    sheet.write(x, below, f"is {one.label}", TEXT, within=TILE)
    sheet.write(x, below + TEXT + 3, f"{likely}{doubt}", TEXT, RED)
    name = Path(one.path).name if one.split != "test" else f"test: {Path(one.path).name}"
    sheet.write(x, below + 2 * (TEXT + 3), name, SMALL, GREY, within=TILE)
    for place, near in enumerate(one.neighbours, start=1):
        left = x + place * (TILE + GAP) + APART
        sheet.place(left, y, _tile(near.path, window), frame=True)
        colour = RED if near.label == one.likely else BLACK
        sheet.write(left, below, near.label, TEXT, colour, within=TILE)
        sheet.write(left, below + TEXT + 3, f"{near.likeness:.3f}", SMALL, GREY)


def _tile(path: str, window: Window | None) -> Pixels:
    try:
        return fitted(decode(Path(path), window), TILE)
    except DamagedImage:  # it went away since it was read
        return np.full((TILE, TILE, 3), 230, np.uint8)
