"""A temperature and weights are those of lowest log loss."""

from __future__ import annotations

import numpy as np
import pytest

from tests.later import later

with later():
    from scipy.special import log_softmax

    from automl_cv.solving.temperature import HIGHEST, LOWEST, SMALLEST_SHARE, combined, fitted


def drawn(n_images: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return labels that are drawn from the probabilities of logits, and these."""
    draw = np.random.default_rng(seed)
    logits = draw.normal(0, 2, (n_images, 5)).astype(np.float32)
    ends = np.exp(log_softmax(logits, axis=1)).cumsum(axis=1)
    return (ends < draw.random((n_images, 1))).sum(axis=1).clip(0, 4).astype(np.int32), logits


def loss(labels: np.ndarray, weights: np.ndarray, members: list[np.ndarray]) -> float:
    mixed = sum(weight * member for weight, member in zip(weights, members, strict=True))
    return -float(log_softmax(mixed, axis=1)[np.arange(len(labels)), labels].mean())


@pytest.mark.parametrize("factor", [0.1, 0.4, 1.0, 2.5, 8.0])
def test_the_factor_that_logits_were_scaled_by_comes_back(factor):
    labels, logits = drawn(20_000)
    assert fitted(labels, factor * logits) == pytest.approx(factor, rel=0.03)


def test_ends_and_images_that_say_nothing():
    labels, logits = drawn(40)
    assert fitted(logits.argmax(axis=1), logits) == 1.0
    assert fitted(logits.argmin(axis=1), logits) == pytest.approx(HIGHEST, rel=1e-3)
    assert fitted(labels, logits * LOWEST / 5) == pytest.approx(LOWEST, rel=1e-3)


def test_one_members_weight_is_one_by_its_temperature():
    labels, logits = drawn(3_000)
    [weight] = combined(labels, [log_softmax(3 * logits, axis=1)])
    assert 1 / weight == pytest.approx(fitted(labels, log_softmax(3 * logits, axis=1)), rel=0.05)


def test_weights_are_of_lowest_log_loss():
    labels, logits = drawn(4_000)
    draw = np.random.default_rng(5)
    members = [
        log_softmax(logits + draw.normal(0, noise, logits.shape), axis=1) for noise in (1, 1.5, 2)
    ]
    weights = combined(labels, members)
    assert (weights > 0.05).all() and weights[0] > weights[1] > weights[2]
    best = loss(labels, weights, members)
    assert best < min(loss(labels, one, members) for one in np.eye(3))
    for moved in range(3):
        for by in (-0.02, 0.02):
            other = weights + by * np.eye(3)[moved]
            assert loss(labels, other, members) > best
    np.testing.assert_array_equal(weights, combined(labels, members))


def test_a_member_that_adds_nothing_is_left_out():
    labels, logits = drawn(4_000)
    noise = np.random.default_rng(3).normal(0, 1, logits.shape)
    noise[np.arange(len(labels)), labels] -= 0.5
    members = [log_softmax(logits, axis=1), log_softmax(noise, axis=1)]
    weights = combined(labels, members)
    assert weights[1] == 0
    assert weights[0] == pytest.approx(combined(labels, members[:1])[0], rel=1e-5)
    assert (weights[weights > 0] > SMALLEST_SHARE * weights.sum()).all()


def test_all_right_says_nothing_of_how_unsure_to_be():
    _, logits = drawn(40)
    logs = log_softmax(logits, axis=1)
    np.testing.assert_allclose(combined(logits.argmax(axis=1), [logs, logs]), [0.5, 0.5])


def test_members_that_are_all_wrong_weigh_nothing():
    _, logits = drawn(40)
    logs = log_softmax(logits, axis=1)
    assert not combined(logits.argmin(axis=1), [logs, logs]).any()
