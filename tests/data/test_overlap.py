from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from automl_cv.catalog.datasets import materialise
from automl_cv.data import images, overlap
from automl_cv.data.overlap import Overlap, Twin, identical, near_duplicates


def test_identical_images_are_counted_for_each_pair_of_splits():
    contents = ["a", "b", "c", "a", "a", "d", "b", "d"]
    splits = ["train"] * 3 + ["validation"] * 3 + ["test"] * 2
    found = identical(contents, splits)
    assert found == Overlap(
        counts={
            ("validation", "train"): 2,
            ("test", "train"): 1,
            ("test", "validation"): 1,
        },
        sizes={"train": 3, "validation": 3, "test": 2},
        examples={
            ("validation", "train"): (Twin(3, 0, 1.0), Twin(4, 0, 1.0)),
            ("test", "train"): (Twin(6, 1, 1.0),),
            ("test", "validation"): (Twin(7, 5, 1.0),),
        },
    )
    assert found.warnings([f"{number}.png" for number in range(8)]) == [
        "2 validation images of 3 are identical to one in train, so scores on validation come "
        "out too high; first 3.png and 0.png",
        "1 test image of 2 is identical to one in train, so scores on test come out too high; "
        "first 6.png and 1.png",
        "1 test image of 2 is identical to one in validation, so scores on test come out too "
        "high; first 7.png and 5.png",
    ]


def test_copies_within_a_split_are_no_overlap():
    found = identical(["a", "a", "b"], ["train", "train", "validation"])
    assert found.counts == {}
    assert found.warnings(["x"] * 3) == []


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    folder = materialise("digits", tmp_path_factory.mktemp("cache"))
    return [images.decode(path) for path in sorted(folder.rglob("*.png"))[::3]]


def pixels(pictures):
    return np.stack([picture[..., 0].ravel() for picture in pictures]).astype(np.float32)


def recompressed(picture):
    buffer = BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=90)
    return images.decode(buffer.getvalue())


@pytest.mark.slow
def test_recompressed_copies_are_found_and_other_digits_are_not(digits):
    draw = np.random.default_rng(0).permutation(len(digits))
    train, others = draw[:400], draw[400:]
    copied = train[:10]
    pictures = [
        *(digits[row] for row in train),
        *(digits[row] for row in others),
        *(recompressed(digits[row]) for row in copied),
    ]
    splits = ["train"] * 400 + ["validation"] * len(others) + ["test"] * 10
    found = near_duplicates(pixels(pictures), splits)
    assert found.counts["test", "train"] == 10
    # Raw pixels tell digits apart less well than a backbone's features do.
    assert found.counts.get(("validation", "train"), 0) <= 0.01 * len(others)
    first = len(pictures) - 10
    examples = found.examples["test", "train"]
    assert {pair.row - pair.twin for pair in examples} == {first}
    assert len(examples) == 5
    assert examples[0].similarity >= examples[4].similarity >= 0.9
    assert found.warnings([str(row) for row in range(len(pictures))])[-1] == (
        "10 test images of 10 are nearly identical to one in train, so scores on test come out "
        f"too high; first {examples[0].row} and {examples[0].twin}"
    )


def test_blocks_do_not_change_what_is_found(monkeypatch):
    features = np.random.default_rng(0).random((300, 16), dtype=np.float32)
    features[250] = features[3] + 0.001
    splits = np.array(["train"] * 200 + ["validation"] * 60 + ["test"] * 40)
    whole = near_duplicates(features, splits)
    assert whole.counts == {("validation", "train"): 1}
    monkeypatch.setattr(overlap, "BLOCK", 7)
    parts = near_duplicates(features, splits)
    assert parts.counts == whole.counts
    assert [(pair.row, pair.twin) for pair in parts.examples["validation", "train"]] == [(250, 3)]


def shown(found):
    return [(pair.row, pair.twin) for pair in found.examples["test", "train"]]


def test_twins_lie_near_the_same_places(monkeypatch):
    draw = np.random.default_rng(0)
    kinds = draw.normal(size=(20, 24))
    features = np.maximum(kinds[draw.integers(0, 20, 3000)] + draw.normal(size=(3000, 24)), 0)
    splits = np.array(["train"] * 2000 + ["validation"] * 600 + ["test"] * 400)
    for copy in range(2000, 3000, 10):
        features[copy] = features[copy - 2000] + 0.02 * draw.normal(size=24)
    every = near_duplicates(features, splits)
    assert every.counts[("validation", "train")] >= 60
    monkeypatch.setattr(overlap, "ALL_PAIRS", 0)
    monkeypatch.setattr(overlap, "BLOCK", 50)
    assert near_duplicates(features, splits).counts == every.counts
    monkeypatch.setattr(overlap, "PLACES", 3)
    found = near_duplicates(features, splits)
    assert shown(found) == shown(every)
    assert found.counts[("validation", "train")] >= 58  # a few are near another place


def test_a_common_offset_and_scale_of_features_does_not_matter():
    features = np.random.default_rng(0).random((200, 8), dtype=np.float32)
    splits = ["train"] * 150 + ["test"] * 50
    plain = near_duplicates(features, splits, threshold=0.8)
    altered = features * 50 + 100
    assert near_duplicates(altered, splits, threshold=0.8).counts == plain.counts


def test_fewer_images_than_channels():
    features = np.random.default_rng(0).random((30, 200)).astype(np.float16)
    features[25] = features[4]
    found = near_duplicates(features, ["train"] * 20 + ["validation"] * 10)
    assert found.examples["validation", "train"] == (Twin(25, 4, pytest.approx(1, abs=1e-3)),)


def test_features_that_are_all_the_same_are_like_nothing():
    found = near_duplicates(np.ones((10, 4), np.float32), ["train"] * 5 + ["test"] * 5)
    assert found.counts == {}


def test_splits_that_are_missing():
    features = np.random.default_rng(0).random((6, 3), dtype=np.float32)
    assert near_duplicates(features, ["validation"] * 6).counts == {}
    assert near_duplicates(features, ["train"] * 6).counts == {}
