"""The pictures of `automl-cv evaluate`: confusion matrix, reliability, the worst mistakes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from automl_cv.data.images import decode
from automl_cv.pictures.canvas import (
    BLACK,
    GREY,
    LINE,
    MARGIN,
    SMALL,
    TEXT,
    TITLE,
    Lettering,
    Sheet,
    fitted,
)
from automl_cv.pictures.colours import Pixels, Scale
from automl_cv.saved.evaluation import Evaluation
from automl_cv.scoring import Bin

# ColorBrewer's "Blues" (Apache-2.0), from white.
BLUES = ("ffffff", "deebf7", "c6dbef", "9ecae1", "6baed6", "4292c6", "2171b5", "08519c", "08306b")
BLUE, RED = (158, 202, 225), (203, 24, 29)
LARGEST_CELL, SMALLEST_CELL = 52, 1  # of the confusion matrix, in pixels
MATRIX_SIDE = 900  # its greatest side, as long as cells can be that small
NAMED_CELL, COUNTED_CELL = 14, 24  # smaller cells have no names, or no numbers
NAME_WIDTH = 160
DARK = 0.5  # shares above it are written in white
PLOT, HISTOGRAM = 360, 90  # of the reliability picture
LEAST_BAR = 3
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


def draw(evaluation: Evaluation) -> dict[str, Sheet]:
    """Draw all pictures of an evaluation, by the names of their files."""
    scores, about = evaluation.scores, evaluation.about
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
    return {
        "confusion.png": confusion(scores.confusion, evaluation.classes, about),
        "reliability.png": reliability(scores.bins, scores.calibration_error, about),
        "wrong.png": contact_sheet(mistakes, evaluation.n_wrong, about),
    }


def confusion(matrix: NDArray[np.int64], classes: Sequence[str], about: str) -> Sheet:
    """Draw a confusion matrix: colours are shares of the true class, numbers are images.

    Args:
        matrix: images by (true class, predicted class).
        classes: names, in order.
        about: the model and the images.
    """
    lettering, count = Lettering((*classes, about)), len(classes)
    cell = int(np.clip(MATRIX_SIDE // count, SMALLEST_CELL, LARGEST_CELL))
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    scale = Scale(0.0, 1.0, BLUES)
    named = cell >= NAMED_CELL
    order = "" if named else "; named in this order in confusion.csv"
    size = TEXT if cell >= COUNTED_CELL else SMALL
    label = min(NAME_WIDTH, max(lettering.width(name, size) for name in classes)) if named else 0
    side = cell * count
    left, top = MARGIN + TEXT + 12 + label + 6, MARGIN + TITLE + TEXT + 22 + TEXT + 8
    # Upright names stand below the matrix, at the feet of their columns.
    widest = MARGIN + _widest(lettering, "Confusion matrix", about)
    width = max(left + side, left + 300, widest) + MARGIN
    height = top + side + 6 + label + 48 + MARGIN
    sheet = Sheet(width, height, lettering)
    _title(sheet, "Confusion matrix", about)
    sheet.write(left, top - TEXT - 8, "predicted class across, true class down" + order, TEXT, GREY)
    pixels = np.repeat(np.repeat(scale.paint(shares), cell, axis=0), cell, axis=1)
    sheet.place(left, top, pixels, frame=True)
    middle = (cell - size) // 2
    for row, name in enumerate(classes):
        if not named:
            break
        y = top + row * cell + middle - 1
        text = lettering.shortened(name, size, label)
        sheet.write(left - 8, y, text, size, anchor="right")
        sheet.write_upright(left + row * cell + middle - 1, top + side + 7, text, size)
    if cell >= COUNTED_CELL:
        _counts(sheet, matrix, shares, cell, (left, top))
    ends = ("0", "1, share of the true class")
    sheet.explain(left, top + side + label + 24, max(side, 260), scale, ends)
    return sheet


def reliability(bins: Sequence[Bin], error: float, about: str) -> Sheet:
    """Draw how often images are right, by how sure the classifier is.

    Args:
        bins: from 0 to 1, of equal width.
        error: expected calibration error.
        about: the model and the images.
    """
    lettering = Lettering([about])
    title = f"Reliability: expected calibration error {error:.4f}"
    left, top = MARGIN + 60, MARGIN + TITLE + TEXT + 30
    bottom = top + PLOT
    low, high = bottom + 34, bottom + 34 + HISTOGRAM  # of the histogram
    width = max(left + PLOT, MARGIN + _widest(lettering, title, about), left + 380) + MARGIN
    sheet = Sheet(width, high + 2 * TEXT + 26 + SMALL + MARGIN, lettering)
    _title(sheet, title, about)
    for part in range(6):
        x, y = left + PLOT * part // 5, bottom - PLOT * part // 5
        sheet.line((left, y), (left + PLOT, y), LINE)
        sheet.line((x, bottom), (x, bottom + 4), GREY)
        sheet.line((x, high), (x, high + 4), GREY)
        sheet.write(left - 6, y - 6, f"{part / 5:.1f}", SMALL, GREY, anchor="right")
        sheet.write(x, high + 6, f"{part / 5:.1f}", SMALL, GREY, anchor="middle")
    most = max(one.images for one in bins)
    tallest = high - (HISTOGRAM - SMALL - 6)
    sheet.write(left - 6, tallest - 6, f"{most:,}", SMALL, GREY, anchor="right")
    for one in bins:
        begin, end = left + round(one.low * PLOT), left + round(one.high * PLOT)
        if not one.images:
            continue
        bar = max(LEAST_BAR, round(one.accuracy * PLOT))  # where all are wrong it is seen, too
        sheet.box((begin + 1, bottom - bar, end - 1, bottom), BLUE)
        sure = bottom - round(one.probability * PLOT)
        sheet.box((begin + 1, sure - 1, end - 1, sure + 1), RED)
        tall = max(1, round(one.images / most * (HISTOGRAM - SMALL - 6)))
        sheet.box((begin + 1, high - tall, end - 1, high), GREY)
        middle, number = (begin + end) // 2, f"{one.images:,}"
        if end - begin >= lettering.width(number, SMALL):
            sheet.write(middle, high - tall - SMALL - 4, number, SMALL, GREY, anchor="middle")
    sheet.line((left, bottom), (left + PLOT, top), BLACK)
    for y in (bottom, high):
        sheet.line((left, y), (left + PLOT, y), GREY)
    sheet.write_upright(MARGIN, top + PLOT // 2 - 90, "accuracy of the bin", TEXT)
    sheet.write_upright(MARGIN, low + 20, "images", TEXT)
    sheet.write(left, high + 22, "probability of the predicted class", TEXT)
    key, x = high + 22 + TEXT + 10, left
    sheet.box((x, key, x + 10, key + 10), BLUE)
    x = _explain(sheet, x, key, "accuracy")
    sheet.box((x, key + 4, x + 10, key + 6), RED)
    x = _explain(sheet, x, key, "mean probability")
    sheet.line((x, key + 10), (x + 10, key), BLACK)
    _explain(sheet, x, key, "where the two agree")
    return sheet


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


def _explain(sheet: Sheet, x: int, y: int, text: str) -> int:
    """Say what a sign at (x, y) means; return where the next one stands."""
    sheet.write(x + 16, y - 1, text, SMALL)
    return x + 16 + sheet.lettering.width(text, SMALL) + 18


def _title(sheet: Sheet, title: str, about: str) -> None:
    sheet.write(MARGIN, MARGIN, title, TITLE)
    sheet.write(MARGIN, MARGIN + TITLE + 8, about, TEXT, GREY)


def _widest(lettering: Lettering, title: str, below: str) -> int:
    return max(lettering.width(title, TITLE), lettering.width(below, TEXT))


def _counts(
    sheet: Sheet,
    matrix: NDArray[np.int64],
    shares: NDArray[np.float64],
    cell: int,
    corner: tuple[int, int],
) -> None:
    left, top = corner
    for row, column in zip(*np.nonzero(matrix), strict=True):
        text = f"{matrix[row, column]:,}"
        size = TEXT if sheet.lettering.width(text, TEXT) <= cell - 4 else SMALL
        if sheet.lettering.width(text, size) > cell:
            continue  # the colour still says it
        colour = (255, 255, 255) if shares[row, column] > DARK else BLACK
        x, y = left + column * cell + cell // 2, top + row * cell + (cell - size) // 2 - 1
        sheet.write(int(x), int(y), text, size, colour, anchor="middle")
