"""The contact sheet of `automl-cv evaluate`: its worst mistakes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from automl_cv.data.images import decode
from automl_cv.pictures.canvas import (
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
from automl_cv.saved.evaluation import Evaluation

RED = (203, 24, 29)
TILE, GAP = 152, 14  # of the contact sheet
COLUMNS = 6


@dataclass(frozen=True)
class Mistake:
    """An image that was classified wrong.

    Args:
        pixels: uint8, shape (height, width, 3).
        name: what the file is called.
        true: its class.
        predicted: what it was taken for.
        probability: of the predicted class.
    """

    pixels: Pixels
    name: str
    true: str
    predicted: str
    probability: float


def worst_mistakes(evaluation: Evaluation) -> Sheet:
    """Draw the contact sheet of an evaluation."""
    mistakes = [
        Mistake(
            pixels=decode(Path(evaluation.paths[row]), evaluation.window),
            name=evaluation.names[row],
            true=evaluation.true(row),
            predicted=evaluation.predicted(row),
            probability=evaluation.confidence(row),
        )
        for row in evaluation.worst
    ]
    return contact_sheet(mistakes, evaluation.n_wrong, evaluation.about)


def contact_sheet(mistakes: Sequence[Mistake], n_wrong: int, about: str) -> Sheet:
    """Draw the most confidently wrong images, each with what it is and what it was taken for.

    Args:
        mistakes: to be shown, in order; may be none.
        n_wrong: how many there are in all.
        about: the model and the images.
    """
    names = (name for one in mistakes for name in (one.name, one.true, one.predicted))
    lettering = Lettering((about, *names))
    columns = max(1, min(COLUMNS, len(mistakes)))
    rows = math.ceil(len(mistakes) / columns)
    top, step = MARGIN + TITLE + TEXT + 26, TILE + 3 * (TEXT + 3) + GAP
    if n_wrong > len(mistakes):
        title = f"Most confidently wrong: {len(mistakes)} of {n_wrong:,}"
    elif n_wrong > 1:
        title = f"All {n_wrong:,} wrong images, the most confident first"
    else:
        title = "The one wrong image" if mistakes else "No image is wrong"
    wide = 2 * MARGIN + columns * (TILE + GAP) - GAP
    width = max(wide, 2 * MARGIN + _widest(lettering, title, about))
    sheet = Sheet(width, top + rows * step + MARGIN, lettering)
    _title(sheet, title, about)
    for place, one in enumerate(mistakes):
        x, y = MARGIN + place % columns * (TILE + GAP), top + place // columns * step
        sheet.place(x, y, fitted(one.pixels, TILE), frame=True)
        probability = f"  {one.probability:.3f}"
        room = TILE - lettering.width(f"said {probability}", TEXT)
        said = f"said {lettering.shortened(one.predicted, TEXT, room)}"
        below = y + TILE + 4
        sheet.write(x, below, f"is {one.true}", TEXT, within=TILE)
        sheet.write(x, below + TEXT + 3, f"{said}{probability}", TEXT, RED)
        sheet.write(x, below + 2 * (TEXT + 3), one.name, SMALL, GREY, within=TILE)
    return sheet


def _title(sheet: Sheet, title: str, about: str) -> None:
    sheet.write(MARGIN, MARGIN, title, TITLE)
    sheet.write(MARGIN, MARGIN + TITLE + 8, about, TEXT, GREY)


def _widest(lettering: Lettering, title: str, below: str) -> int:
    return max(lettering.width(title, TITLE), lettering.width(below, TEXT))
