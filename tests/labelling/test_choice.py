"""Which images are worth a label, on blobs whose worth is plain to see."""

import numpy as np
import pytest

from tests.later import later

with later():
    from automl_cv.labelling.choice import choose

NOTHING = np.empty(0, np.intp)
SIZES = (80, 40, 60, 20)


@pytest.fixture(scope="module")
def blobs() -> tuple[np.ndarray, np.ndarray]:
    """Return features of four kinds of images, (200, 8), and their kinds."""
    draw = np.random.default_rng(0)
    kinds = np.repeat(np.arange(4), SIZES)
    middles = 6 * np.eye(8)[:4] + 2
    return (middles[kinds] + 0.4 * draw.normal(size=(200, 8))).astype(np.float32), kinds


def test_the_first_labels_are_one_of_each_kind_the_largest_first(blobs):
    features, kinds = blobs
    found = choose(features, NOTHING, [], 4, seed=0)
    assert kinds[[one.row for one in found]].tolist() == [0, 2, 1, 3]
    assert [one.stands_for for one in found] == [80, 60, 40, 20]
    assert {one.reason for one in found} == {"typical"}


def test_an_image_unlike_its_kind_is_not_typical(blobs):
    features, kinds = blobs
    odd = np.arange(200) % 5 == 0
    noise = np.random.default_rng(2).normal(size=features.shape)
    features = np.where(odd[:, None], features + 2 * noise, features).astype(np.float32)
    found = choose(features, NOTHING, [], 4, seed=0)
    assert sorted(kinds[[one.row for one in found]].tolist()) == [0, 1, 2, 3]
    assert not odd[[one.row for one in found]].any()


def test_kinds_that_have_labels_wait(blobs):
    features, kinds = blobs
    labelled = np.array([0, 130])  # of kinds 0 and 2
    found = choose(features, labelled, [0, 1], 2, seed=0)
    assert sorted(kinds[[one.row for one in found]].tolist()) == [1, 3]


def test_with_labels_of_each_class_the_doubtful_come_first():
    draw = np.random.default_rng(0)
    sure = draw.normal(size=(200, 6)) * 0.3 + 5
    sure[:100, 0] += 4
    sure[100:, 1] += 4
    between = draw.normal(size=(10, 6)) * 0.3 + 5
    between[:, :2] += 2
    features = np.concatenate([sure, between]).astype(np.float32)
    labelled = np.array([0, 1, 2, 100, 101, 102])
    found = choose(features, labelled, [0, 0, 0, 1, 1, 1], 5, seed=0)
    assert {one.reason for one in found} == {"uncertain"}
    assert sum(one.row >= 200 for one in found[:3]) >= 2
    doubts = [one.probabilities[0] - one.probabilities[1] for one in found]
    assert doubts == sorted(doubts)
    assert {one.likely for one in found} <= {(0, 1), (1, 0)}


@pytest.mark.parametrize("known", [0, 3, 40])
def test_no_image_is_chosen_twice_and_none_that_has_a_label(blobs, known):
    features, kinds = blobs
    rows = np.random.default_rng(1).permutation(200)[:known]
    found = choose(features, rows, kinds[rows].tolist(), 1000, seed=0)
    assert sorted([*rows.tolist(), *(one.row for one in found)]) == list(range(200))


def test_the_same_seed_chooses_the_same(blobs):
    features, kinds = blobs
    rows = np.arange(0, 200, 10)
    first, second = (choose(features, rows, kinds[rows].tolist(), 20, seed=3) for _ in range(2))
    assert first == second


def test_images_that_are_all_alike_do_no_harm():
    features = np.ones((30, 5), np.float32)
    assert len({one.row for one in choose(features, NOTHING, [], 10, seed=0)}) == 10
    labels = [0, 1, 0, 1]
    assert len(choose(features, np.arange(4), labels, 26, seed=0)) == 26


def test_a_large_pool_is_clustered_by_a_part_of_it(blobs, monkeypatch):
    features, kinds = blobs
    for name in ("choice.CLUSTERED_FROM", "choice.LOOKED_AT", "places.DIRECTIONS_FROM"):
        monkeypatch.setattr(f"automl_cv.labelling.{name}", 50)
    found = choose(features, NOTHING, [], 4, seed=0)
    assert sorted(kinds[[one.row for one in found]].tolist()) == [0, 1, 2, 3]
