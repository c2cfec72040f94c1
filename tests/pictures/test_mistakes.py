"""The contact sheet of an evaluation: nothing cut off."""

from __future__ import annotations

import numpy as np
import pytest

from automl_cv.pictures import mistakes as pictures
from automl_cv.pictures.mistakes import Mistake
from tests.pictures.test_pages import LONG, assert_nothing_is_cut_off, drawn

ABOUT = "model, digits: held-out test split, 359 images of 10 classes"


def count(page: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int((page == colour).all(axis=-1).sum())


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
