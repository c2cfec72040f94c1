"""Pictures of an evaluation: what stands where, nothing cut off."""

from __future__ import annotations

import numpy as np
import pytest

from automl_cv.pictures import evaluation as pictures
from automl_cv.pictures.evaluation import Mistake
from automl_cv.scoring import Bin
from tests.pictures.test_pages import LONG, assert_nothing_is_cut_off, drawn

ABOUT = "model, digits: held-out test split, 359 images of 10 classes"


def count(page: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int((page == colour).all(axis=-1).sum())


@pytest.mark.slow
@pytest.mark.parametrize("n_classes", [2, 10, 50, 300])
@pytest.mark.parametrize("name", ["{}", LONG + "{}"], ids=["short", "long"])
def test_nothing_of_a_confusion_matrix_is_cut_off(n_classes, name, tmp_path):
    matrix = np.full((n_classes, n_classes), 123456, np.int64)
    names = [name.format(number) for number in range(n_classes)]
    assert_nothing_is_cut_off(drawn(pictures.confusion(matrix, names, ABOUT), tmp_path))


def test_colours_of_a_confusion_matrix_are_shares_of_the_true_class(tmp_path):
    # An absent class is white; 1 of 1 is as dark as 90 of 90.
    matrix = np.array([[90, 0, 0], [0, 1, 0], [0, 0, 0]])
    page = drawn(pictures.confusion(matrix, ["a", "b", "c"], ABOUT), tmp_path)
    darkest = tuple(bytes.fromhex(pictures.BLUES[-1]))
    dark = (page == darkest).all(axis=-1)
    rows, columns = np.nonzero(dark[:-60])  # the scale below has that colour too
    cell = pictures.LARGEST_CELL
    assert np.ptp(rows) == np.ptp(columns) == 2 * cell - 1
    assert not dark[rows.min() : rows.min() + cell, columns.min() + cell :].any()


def test_bars_are_as_high_as_the_accuracy_and_lines_stand_at_the_probability(tmp_path):
    empty = [Bin(place / 4, (place + 1) / 4, 0, 0, 0) for place in range(3)]
    page = drawn(pictures.reliability([*empty, Bin(0.75, 1, 8, 0.95, 0.5)], 0.45, ABOUT), tmp_path)
    assert_nothing_is_cut_off(page)
    blue = (page == pictures.BLUE).all(axis=-1)
    column = blue[:, np.flatnonzero(blue.any(axis=0))[-1]]
    assert np.ptp(np.flatnonzero(column)) == pytest.approx(pictures.PLOT / 2, abs=2)
    red = (page == pictures.RED).all(axis=-1)
    line = np.flatnonzero(red[:, np.flatnonzero(red.any(axis=0))[-1]]).mean()
    bottom = np.flatnonzero(column).max()
    assert bottom - line == pytest.approx(0.95 * pictures.PLOT, abs=2)


def test_a_bin_where_all_are_wrong_has_a_bar(tmp_path):
    empty = pictures.reliability([Bin(0, 1, 0, 0, 0)], 0, ABOUT)
    key = count(drawn(empty, tmp_path), pictures.BLUE)
    bins = [Bin(0, 0.5, 0, 0, 0), Bin(0.5, 1, 3, 0.7, 0.0)]
    page = drawn(pictures.reliability(bins, 0.7, ABOUT), tmp_path)
    assert count(page, pictures.BLUE) - key > pictures.PLOT / 2


@pytest.mark.slow
@pytest.mark.parametrize("n_shown", [0, 1, 7, 24])
@pytest.mark.parametrize("name", ["cat", LONG])
def test_nothing_of_a_contact_sheet_is_cut_off(n_shown, name, tmp_path):
    pixels = np.zeros((30, 50, 3), np.uint8)
    shown = [Mistake(pixels, name, name, name, 0.987)] * n_shown
    page = drawn(pictures.contact_sheet(shown, n_shown + 3 * bool(n_shown), ABOUT), tmp_path)
    assert_nothing_is_cut_off(page)
    wide, high = pictures.TILE, round(pictures.TILE * 0.6)
    assert count(page, (0, 0, 0)) == n_shown * wide * high, "in their own proportions"
