"""Confusion and calibration as plots: what is as dark or as high as what, nothing cut off."""

import io
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.collections import PathCollection, QuadMesh
from PIL import Image

from automl_cv.report.page.plot import as_png
from automl_cv.report.page.scored import calibration, confusion
from automl_cv.scoring import Bin, score

SCORES = score(np.array([0, 1]), np.eye(2), resamples=1)
LONG = "a class whose name is much longer than any cell of a confusion matrix is wide " * 2
HEADING = ("Confusion matrix", f"{LONG}, its own test images", "true classes down")


def matrix(counts):
    return replace(SCORES, confusion=np.asarray(counts))


def shades(plot):
    (mesh,) = (one for one in plot.figure.axes[0].collections if isinstance(one, QuadMesh))
    return mesh.get_array()


def texts(plot):
    return [one.get_text() for one in plot.figure.axes[0].texts]


@pytest.mark.slow
@pytest.mark.parametrize("n_classes", [2, 50, 300])
@pytest.mark.parametrize("name", ["{}", "{}" + LONG], ids=["short", "long"])
def test_nothing_of_a_sheet_is_cut_off(n_classes, name):
    counts = np.full((n_classes, n_classes), 123456)
    plot = confusion([name.format(number) for number in range(n_classes)], matrix(counts))
    page = np.asarray(Image.open(io.BytesIO(as_png(plot, HEADING))).convert("L"))
    for edge in (page[:3], page[-3:], page[:, :3], page[:, -3:]):
        assert (edge == 255).all()
    assert (page < 128).any()


def test_colours_are_shares_of_the_true_class_and_numbers_are_images():
    plot = confusion(["a", "b", "c"], matrix([[90, 10, 0], [0, 1, 0], [0, 0, 0]]))
    assert shades(plot).tolist() == [[0.9, 0.1, 0], [0, 1, 0], [0, 0, 0]]
    assert texts(plot) == ["90", "10", "1"]
    assert plot.told.endswith("most often a is taken for b, 10 times")


def test_a_page_has_the_most_confused_classes_and_a_sheet_all():
    counts = np.diag(np.full(40, 5))
    counts[3, 7] = 2
    names = [f"c{number}" for number in range(40)]
    page, sheet = confusion(names, matrix(counts), most=30), confusion(names, matrix(counts))
    assert (shades(page).shape, shades(sheet).shape) == ((30, 30), (40, 40))
    labels = [one.get_text() for one in page.figure.axes[0].get_yticklabels()]
    assert {"c3", "c7"} < set(labels)
    assert "the 30 most confused of 40 classes" in page.note
    many = confusion(names * 10, matrix(np.eye(400, dtype=int)))
    assert "too many classes to be named here" in many.note
    assert many.told.endswith("no image is taken for another class")


def test_a_dot_stands_where_a_bin_is_sure_and_right_as_large_as_its_images():
    empty = [Bin(place / 4, (place + 1) / 4, 0, 0, 0) for place in range(2)]
    bins = (*empty, Bin(0.5, 0.75, 2, 0.6, 0.0), Bin(0.75, 1, 8, 0.95, 0.5))
    plot = calibration(replace(SCORES, bins=bins))
    (dots,) = (one for one in plot.figure.axes[0].collections if isinstance(one, PathCollection))
    assert dots.get_offsets().tolist() == [[0.6, 0.0], [0.95, 0.5]]
    assert dots.get_sizes().tolist() == [40, 130]


def test_letters_that_no_font_has_are_no_warning():
    plot = confusion(["猫", "\U0001f980"], matrix([[1, 0], [0, 1]]))
    assert as_png(plot, ("猫",)).startswith(b"\x89PNG")
