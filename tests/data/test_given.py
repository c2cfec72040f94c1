"""Images given in Python: what is one, what is none, and the files that are written of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from automl_cv.data.given import pictures, write
from automl_cv.data.images import decode
from automl_cv.data.manifest import list_manifest
from tests.later import later

with later():
    from scipy.sparse import csr_matrix

GREY = np.arange(2 * 4 * 5, dtype=np.uint8).reshape(2, 4, 5)
COLOUR = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3)


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (GREY, np.repeat(GREY[..., None], 3, axis=-1)),
        (GREY[..., None], np.repeat(GREY[..., None], 3, axis=-1)),
        (COLOUR, COLOUR),
        (COLOUR / 255, COLOUR),
        (np.float32(COLOUR / 255), COLOUR),
        ([Image.fromarray(one) for one in COLOUR], COLOUR),
        (np.asfortranarray(COLOUR), COLOUR),
    ],
)
def test_all_forms_give_the_same_pixels(images, expected):
    found = list(pictures(images))
    np.testing.assert_array_equal(np.stack(found), expected)
    assert {one.dtype for one in found} == {np.dtype(np.uint8)}


def test_sizes_may_differ_and_paths_be_among_them(tmp_path):
    paths = [str(tmp_path / "a.png"), tmp_path / "b.png"]
    assert list(pictures(paths)) == list(map(Path, paths))
    assert list(pictures(np.array(list(map(str, paths))))) == list(map(Path, paths))
    assert list(pictures(pd.Series(list(map(str, paths))))) == list(map(Path, paths))
    mixed = list(pictures([paths[0], GREY[0], COLOUR[0, :2]]))
    assert [one.shape for one in mixed[1:]] == [(4, 5, 3), (2, 5, 3)]


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (GREY.reshape(2, 20), r"numpy.ndarray of shape \(2, 20\); rows of pixels"),
        (pd.DataFrame({"path": ["a.png"]}), r"DataFrame of shape \(1, 1\)"),
        ("a.png", "got one str"),
        (Image.new("L", (2, 2)), "got one Image"),
        (7, "got one int"),
        (np.arange(3.0), r"image 0: .*float64 of shape \(\)"),
        (GREY / 16, "image 0: floats must lie from 0 .* divide by the value of white"),
        (np.full((1, 2, 2), np.nan), "image 0: floats must lie"),
        (-(COLOUR / 255), "image 0: floats must lie"),
        (GREY.astype(int), "image 0: expected uint8, 0 to 255, .*got int64"),
        (np.zeros((1, 4, 4, 4), np.uint8), "image 0: expected a path"),
        ([GREY[0], np.zeros((0, 4), np.uint8)], "image 1: expected a path"),
    ],
)
def test_what_is_no_image_is_one_line(images, message):
    with pytest.raises(ValueError, match=message) as refused:
        list(pictures(images))
    assert "\n" not in str(refused.value)


def test_a_sparse_table_is_no_image():
    with pytest.raises(ValueError, match="sparse") as refused:
        list(pictures(csr_matrix(GREY[0])))
    assert "\n" not in str(refused.value)


def test_files_hold_the_pixels_and_are_written_once(tmp_path):
    source, digest = write(pictures(COLOUR), ["b", "a"], tmp_path)
    listed = list_manifest(Path(source)).candidates
    found = {one.label: decode(Path(one.path)) for one in listed}
    np.testing.assert_array_equal(found["b"], COLOUR[0])
    np.testing.assert_array_equal(found["a"], COLOUR[1])
    times = {one.path: Path(one.path).stat().st_mtime_ns for one in listed}
    assert write(pictures(COLOUR[::-1]), ["a", "b"], tmp_path)[1] == digest, "whatever the order"
    assert write(pictures(COLOUR), ["a", "b"], tmp_path)[1] != digest
    assert times == {path: Path(path).stat().st_mtime_ns for path in times}
    assert len(list((tmp_path / "images").iterdir())) == 2


def test_an_image_given_twice_counts_twice(tmp_path):
    source, _ = write(pictures(GREY[[0, 0, 1]]), ["a", "b", "a"], tmp_path)
    labels = sorted(str(one.label) for one in list_manifest(Path(source)).candidates)
    assert labels == ["a", "a", "b"]
