"""Distances from what was trained on, and the promise of their threshold."""

from __future__ import annotations

import numpy as np
import pytest

from automl_cv.solving.distance import IMAGES_A_DIRECTION, SHRINKAGE, fitted, threshold


def drawn(images: int, seed: int, width: int = 40) -> np.ndarray:
    """Return features of three kinds of images that vary in six directions above all."""
    draw = np.random.default_rng(seed)
    turn = np.random.default_rng(0).normal(size=(6, width))
    hidden = draw.normal(size=(images, 6)) + 2 * np.eye(6)[draw.integers(0, 3, images)]
    return hidden @ turn + 0.5 * draw.normal(size=(images, width))


def test_with_all_directions_it_is_the_distance_of_mahalanobis():
    features, others = drawn(400, 1, width=9), drawn(50, 2, width=9)
    found = fitted(features)
    scaled = (features - found.mean) / found.scale
    covariance = scaled.T @ scaled / len(features)
    shrunk = (1 - SHRINKAGE) * covariance + SHRINKAGE * np.trace(covariance) / 9 * np.eye(9)
    asked = (others - found.mean) / found.scale
    expected = np.einsum("if,fg,ig->i", asked, np.linalg.inv(shrunk), asked) / 9
    np.testing.assert_allclose(found.of(others), expected, rtol=1e-9)


@pytest.mark.parametrize("images", [24, 200])
def test_images_of_another_kind_lie_farther(images):
    found = fitted(drawn(images, 1))
    assert found.directions.shape[1] <= images // IMAGES_A_DIRECTION
    strange = np.random.default_rng(5).normal(size=(100, 40)) * 3
    assert np.median(found.of(strange)) > 2 * np.quantile(found.of(drawn(300, 3)), 0.95)


@pytest.mark.parametrize("share", [0.01, 0.05])
def test_the_promised_share_of_new_images_is_foreign(share):
    found = []
    for seed in range(40):
        train, new = drawn(400, 2 * seed), drawn(1000, 2 * seed + 1)
        given = threshold(train, list(map(str, range(400))), seed=0, share=share)
        assert given.share == share
        found.append((fitted(train).of(new) > given.distance).mean())
    assert abs(np.mean(found) - share) < 0.01


def test_few_images_promise_what_they_can():
    few = drawn(30, 1)
    given = threshold(few, list(map(str, range(30))), seed=0, share=0.01)
    assert given.share == pytest.approx(1 / 31)
    assert threshold(few[:15], list(map(str, range(15))), seed=0) is None


def test_copies_do_not_vouch_for_each_other():
    """In folds of their own each of two copies would be near to the other."""
    features = np.repeat(drawn(60, 1), 2, axis=0)
    together = threshold(features, [str(row // 2) for row in range(120)], seed=0)
    torn = threshold(features, list(map(str, range(120))), seed=0)
    assert together.distance > torn.distance
