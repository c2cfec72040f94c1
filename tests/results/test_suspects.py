"""Suspects: planted mistakes are found, test labels only reported, tables read back by `search`."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from automl_cv.data import dataset
from automl_cv.data.dataset import Dataset
from automl_cv.data.ledger import Ledger
from automl_cv.errors import UserError
from tests.later import later

with later():
    from automl_cv.report.suspects import as_manifest
    from automl_cv.results import cleaning, suspects
    from automl_cv.solving.out_of_fold import NO_FOLD, out_of_fold

CLASSES = ("cat", "dog", "owl")


def drawn(n_images: int = 150, seed: int = 0) -> tuple[Dataset, np.ndarray, list[int]]:
    """Return images of three clusters, their features, and the rows whose labels are wrong."""
    generator = np.random.default_rng(seed)
    true = np.arange(n_images) % 3
    features = generator.normal(0, 1, (3, 20))[true] + generator.normal(0, 0.45, (n_images, 20))
    given = true.copy()
    wrong = sorted(generator.choice(n_images, 8, replace=False).tolist())
    given[wrong] = (true[wrong] + generator.integers(1, 3, 8)) % 3
    splits = np.where(np.arange(n_images) % 5 == 0, "test", "train")
    table = pd.DataFrame(
        {
            "path": [f"/photos/{row:03d}.png" for row in range(n_images)],
            "label": [CLASSES[number] for number in given],
            "split": splits,
            "content_hash": [f"{generator.integers(2**63):032x}" for _ in range(n_images)],
            "group": pd.Series([None] * n_images, dtype="str"),
        }
    ).astype({"split": "str"})
    images = Dataset("photos", table, CLASSES, Ledger(n_images), dataset.fingerprint(table))
    return images, features.astype(np.float32), wrong


def judged(images: Dataset, features: np.ndarray) -> suspects.Suspects:
    labels, folds = suspects.class_numbers(images), suspects.fold_numbers(images)
    logits = out_of_fold(features, labels, len(images.classes), folds)
    rows = np.flatnonzero(suspects.is_judged(labels, folds))
    return suspects.find(images, logits[rows], rows, by="heads", features=features)


def test_planted_mistakes_stand_first_with_their_true_labels():
    images, features, wrong = drawn()
    found = judged(images, features)
    first = found.found[: len(wrong)]
    assert sorted(one.row for one in first) == wrong
    assert all(one.likely == CLASSES[one.row % 3] for one in first)
    assert [one.doubt for one in found.found] == sorted(
        (one.doubt for one in found.found), reverse=True
    )
    assert found == judged(images, features)
    table = images.images
    for one in first:
        assert len(one.neighbours) == suspects.NEIGHBOURS
        near = [int(Path(each.path).stem) for each in one.neighbours]
        assert one.row not in near and not (table["split"][near] == "test").any()
        # They look like what the image is, whatever they are called.
        assert sum(row % 3 == one.row % 3 for row in near) >= 2


def test_test_labels_are_reported_and_judge_nobody():
    images, features, wrong = drawn()
    found = judged(images, features)
    tested = [row for row in wrong if row % 5 == 0]
    assert tested and set(tested) <= {one.row for one in found.found}
    assert not {one.row for one in found.proposed} & set(tested)
    table = images.images.copy()
    table.loc[table["split"] == "test", "label"] = "owl"
    others = [one for one in judged(replace(images, images=table), features).found]
    both = [[one for one in each if one.split != "test"] for each in (found.found, others)]
    assert both[0] == both[1]


def test_copies_and_groups_stand_in_one_fold():
    images, _, _ = drawn()
    table = images.images.copy()
    table.loc[[1, 2, 3], "content_hash"] = table["content_hash"][1]
    table.loc[[6, 7, 8, 9], "group"] = "burst"
    folds = suspects.fold_numbers(replace(images, images=table))
    assert len(set(folds[[1, 2, 3]])) == len(set(folds[[6, 7, 8, 9]])) == 1
    assert len(set(folds)) == 11 and set(folds[table["split"] == "test"]) == {NO_FOLD}
    table["group"] = "all"
    with pytest.raises(UserError, match="all images are of one group"):
        suspects.fold_numbers(replace(images, images=table))


def test_a_class_of_one_image_is_not_judged():
    images, features, _ = drawn()
    table = images.images.copy()
    table.loc[1, "label"] = "emu"
    found = judged(replace(images, images=table, classes=("cat", "dog", "emu", "owl")), features)
    assert found.unjudged == ("emu",)
    assert 1 not in [one.row for one in found.found]


def test_the_table_keeps_every_image_and_changes_what_is_proposed():
    images, features, _ = drawn()
    found = judged(images, features)
    table = pd.read_csv(io.StringIO(as_manifest(images, found, Path("/photos"))), dtype="str")
    assert list(table.columns) == ["path", "label", "split", "group", "given_label"]
    assert sorted(table["path"]) == [Path(path).name for path in images.images["path"]]
    proposed = found.proposed
    assert table["label"].head(len(proposed)).tolist() == [one.likely for one in proposed]
    assert table["given_label"].head(len(proposed)).tolist() == [one.label for one in proposed]
    assert table["given_label"].tail(-len(proposed)).isna().all()


@pytest.mark.slow
def test_cleaned_against_not_leaves_out_what_is_touched():
    images, features, wrong = drawn(240)
    found = judged(images, features)
    cleaned = cleaning.compare(images, features, found)
    known = int((images.images["split"] != "test").sum())
    assert cleaned.images == known - len(found.proposed)
    assert 0.5 * len(wrong) < cleaned.corrected <= len(wrong)
    assert cleaned.low <= cleaned.cleaned - cleaned.given <= cleaned.high
    assert cleaned.cleaned > 0.9
