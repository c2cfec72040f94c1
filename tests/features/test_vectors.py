"""Vectors of another tool go into the cache, by path or by hash; what does not fit is a line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from automl_cv.errors import UserError
from automl_cv.features import FeatureCache, recipe, vectors
from automl_cv.study import library
from automl_cv.study.studyfile import Backbone, parse

PATHS = [Path("/photos/cats/1.png"), Path("/photos/dogs/1.png"), Path("/photos/dogs/2.png")]
HASHES = ["aa", "bb", "cc"]
VECTORS = np.arange(8, dtype=np.float64).reshape(4, 2)
BY_PATH = "path\n./dogs/2.png\ncats/1.png\ndogs/1.png\nother.png\n"
EXACT = {"name": "exact", "exact": "lda", "trials": 1}


@pytest.fixture
def written(tmp_path):
    def write(ids=BY_PATH, array=VECTORS):
        np.save(tmp_path / "v.npy", array)
        (tmp_path / "ids.csv").write_text(ids)
        raw = {"features": f"{tmp_path}/v.npy", "ids": f"{tmp_path}/ids.csv"}
        backbone = Backbone.model_validate(raw)
        cache = FeatureCache(tmp_path / "cache")
        return backbone, cache

    return write


def filled(backbone, cache):
    made = recipe(backbone)
    count = vectors.fill(backbone, PATHS, HASHES, cache, made)
    return count, cache.open(made, HASHES, backbone.features).array


@pytest.mark.parametrize("ids", [BY_PATH, "content_hash\ncc\naa\nbb\ndd\n"])
def test_each_image_has_the_vector_of_its_row(written, ids):
    backbone, cache = written(ids)
    count, found = filled(backbone, cache)
    assert count == 3
    np.testing.assert_array_equal(found, VECTORS[[1, 2, 0]])
    assert filled(backbone, cache)[0] == 0, "they are there"
    other, _ = written(ids, VECTORS + 1)
    np.testing.assert_array_equal(filled(other, cache)[1], VECTORS[[1, 2, 0]] + 1)


@pytest.mark.parametrize(
    ("ids", "array", "told"),
    [
        (BY_PATH, VECTORS[:3], "has 4 rows, and backbone.features 3; expected as many"),
        (BY_PATH, VECTORS[0], "expected numbers, a row an image"),
        (BY_PATH, VECTORS * np.nan, "holds numbers that are not finite"),
        (BY_PATH, np.array([["a"]]), "expected numbers, a row an image"),
        ("file\nx\n", VECTORS, "has no column path or content_hash"),
        (BY_PATH.replace("other.png", "dogs/1.png"), VECTORS, "names dogs/1.png twice"),
        (BY_PATH.replace("cats", "birds"), VECTORS, "1 of 3 images have no row in"),
    ],
)
def test_what_does_not_fit_is_told(written, ids, array, told):
    with pytest.raises(UserError) as error:
        filled(*written(ids, array))
    assert told in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("backbone", "stage", "told"),
    [
        ({"features": "v.npy"}, {}, "both or neither"),
        ({"ids": "ids.csv"}, {}, "both or neither"),
        ({"features": "v.npy", "ids": "i.csv", "image_size": 32}, {}, "leave image_size out"),
        (
            {"features": "v.npy", "ids": "i.csv"},
            {"space": {"image_size": [24, 32]}},
            "stage.exact.space.image_size: v.npy is vectors of images, and what made them is not",
        ),
    ],
)
def test_a_study_that_wants_the_network_is_refused(backbone, stage, told):
    with pytest.raises(UserError) as error:
        parse({"name": "s", "backbone": backbone, "stage": [{**EXACT, **stage}]}, "s.toml")
    assert told in str(error.value)


def test_a_study_of_vectors_is_written_as_it_is_read():
    raw = {"name": "s", "backbone": {"features": "v.npy", "ids": "i.csv"}, "stage": [EXACT]}
    study = parse(raw, "s.toml")
    assert parse(study.as_toml_data(), "again") == study
    plain = parse({**raw, "backbone": {}}, "s.toml")
    assert "ids" not in plain.as_toml_data()["backbone"]


def test_they_take_the_place_of_the_name_in_a_study_that_is_extended(tmp_path):
    path = tmp_path / "mine.toml"
    own = 'extends = "quickstart"\nname = "mine"\n[backbone]\nfeatures = "v.npy"\nids = "i.csv"\n'
    path.write_text(own)
    assert library.load(str(path)).backbone.name == "v.npy"
