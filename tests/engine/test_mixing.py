"""MixUp and CutMix: pixels, features and labels of two images in the same shares."""

from __future__ import annotations

import numpy as np
import pytest

from automl_cv.features import view_name
from tests.later import later

with later():
    import tensorflow as tf

    from automl_cv.engine import mixing

SIZE = 16


def names(count: int, view: int = 0) -> list[str]:
    return [view_name(f"image{number}", view) for number in range(count)]


def one_hot(count: int) -> np.ndarray:
    return np.eye(count, dtype=np.float32)


def test_mixup_mixes_features_and_labels_alike():
    features = np.random.default_rng(0).normal(size=(5, 7)).astype(np.float32)
    shares = mixing.draw_shares(0, names(5), alpha=1.0)
    mixed = mixing.mixed(features, shares).numpy()
    labels = mixing.mixed(one_hot(5), shares).numpy()
    for row in range(5):
        kept = shares[row]
        wanted = kept * features[row] + (1 - kept) * features[row - 1]
        np.testing.assert_allclose(mixed[row], wanted, rtol=1e-5, atol=1e-6)
        assert labels[row, row] == pytest.approx(kept)
        assert labels[row, row - 1] == pytest.approx(1 - kept)
    np.testing.assert_allclose(labels.sum(axis=1), 1, rtol=1e-6)


def test_cutmix_labels_tell_where_the_pixels_come_from():
    """Each image is of one value, so that its pixels tell whose they are."""
    count = 40
    pixels = np.broadcast_to(
        np.arange(count, dtype=np.float32)[:, None, None, None], (count, SIZE, SIZE, 3)
    )
    boxes = mixing.draw_boxes(0, names(count), SIZE, alpha=1.0, probability=0.8)
    cut = mixing.cutmix(pixels, boxes).numpy()
    labels = mixing.mixed(one_hot(count), mixing.kept_shares(boxes, SIZE)).numpy()
    np.testing.assert_allclose(labels.sum(axis=1), 1, rtol=1e-6)
    for row in range(count):
        for label in range(count):
            share = (cut[row] == label).mean()
            assert labels[row, label] == pytest.approx(share, abs=1e-6)
        left, top, right, bottom = boxes[row]
        assert (cut[row, top:bottom, left:right] == (row - 1) % count).all()
    untouched = (labels.max(axis=1) == 1).mean()
    assert 0.05 < untouched < 0.5


def test_boxes_lie_inside_and_everywhere():
    boxes = mixing.draw_boxes(0, names(4000), SIZE, alpha=1.0, probability=1.0)
    assert boxes.min() == 0 and boxes.max() == SIZE
    assert (boxes[:, :2] <= boxes[:, 2:]).all()
    covered = np.zeros((SIZE, SIZE))
    for left, top, right, bottom in boxes:
        covered[top:bottom, left:right] += 1
    assert covered.min() > 400
    # Boxes of even length lean half a pixel to the left and up, as the paper's do.
    np.testing.assert_allclose(covered, covered.T, atol=5 * 4000**0.5)


def test_boxes_of_uniform_shares_have_the_papers_mean_area():
    """E[1 - share] is 1/2 before the edges cut boxes off; 0.30 is left, by integration."""
    boxes = mixing.draw_boxes(0, names(4000), 400, alpha=1.0, probability=1.0)
    side = np.sqrt(np.linspace(0, 1, 2001))
    # Of a box whose centre is anywhere in [0, 1], side * (1 - side / 4) lies inside, each way.
    wanted = ((side * (1 - side / 4)) ** 2).mean()
    assert 1 - mixing.kept_shares(boxes, 400).mean() == pytest.approx(wanted, abs=0.02)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_shares_have_the_moments_of_a_beta_distribution(alpha):
    shares = mixing.draw_shares(0, names(10_000), alpha).astype(np.float64)
    assert shares.min() >= 0 and shares.max() <= 1
    assert shares.mean() == pytest.approx(0.5, abs=0.025)
    assert shares.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.06)


def test_what_is_drawn_depends_on_seed_and_view_alone():
    views = names(9)
    shares = mixing.draw_shares(1, views, 0.2)
    np.testing.assert_array_equal(mixing.draw_shares(1, views[::-1], 0.2), shares[::-1])
    assert (mixing.draw_shares(2, views, 0.2) != shares).any()
    assert (mixing.draw_shares(1, names(9, view=1), 0.2) != shares).any()
    boxes = mixing.draw_boxes(1, views, SIZE, 1.0, 1.0)
    np.testing.assert_array_equal(mixing.draw_boxes(1, views[3:5], SIZE, 1.0, 1.0), boxes[3:5])


def test_traced_mixing_is_the_same():
    pixels = np.random.default_rng(0).uniform(0, 255, (6, SIZE, SIZE, 3)).astype(np.float32)
    boxes = mixing.draw_boxes(0, names(6), SIZE, 1.0, 1.0)
    shares = mixing.draw_shares(0, names(6), 0.4)

    @tf.function(jit_compile=False)
    def traced(pixels, labels, boxes, shares):
        return mixing.cutmix(pixels, boxes), mixing.mixed(labels, shares)

    cut, labels = traced(*map(tf.constant, (pixels, one_hot(6), boxes, shares)))
    np.testing.assert_array_equal(cut, mixing.cutmix(pixels, boxes))
    np.testing.assert_array_equal(labels, mixing.mixed(one_hot(6), shares))
