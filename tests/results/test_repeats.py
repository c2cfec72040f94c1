"""Means over repeats and differences of them: Student's, Nadeau and Bengio's, Welch's."""

from __future__ import annotations

import math

import numpy as np
import pytest

from automl_cv.results.repeats import interval, paired_difference, rounding, unpaired_difference
from tests.later import later

with later():
    from scipy import stats


def test_interval_is_students():
    values = [0.93, 0.94, 0.92, 0.935, 0.931]
    found = interval(values)
    low, high = stats.t.interval(0.95, 4, np.mean(values), stats.sem(values))
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.mean == pytest.approx(np.mean(values))


def test_folds_widen_the_interval_as_nadeau_and_bengio_say():
    values = [0.93, 0.94, 0.92, 0.935, 0.931]
    plain, folded = interval(values), interval(values, folds=5)
    ratio = (folded.high - folded.low) / (plain.high - plain.low)
    assert ratio == pytest.approx(math.sqrt((1 / 5 + 1 / 4) / (1 / 5)))


def test_one_repeat_says_nothing():
    found = interval([0.9])
    assert (found.low, found.high) == (-math.inf, math.inf)
    assert found.holds_zero


def test_the_published_narrowing_gain_is_nothing():
    """0.9343 against 0.9342 with any spread at all."""
    gain = paired_difference({0: 0.9343, 1: 0.9310, 2: 0.9272}, {0: 0.9342, 1: 0.9328, 2: 0.9268})
    assert gain.holds_zero


def test_only_common_repeats_are_paired():
    assert paired_difference({0: 1.0}, {1: 0.5}) is None
    assert paired_difference({0: 1.0, 1: 0.9}, {1: 0.5}).n_repeats == 1


def test_unpaired_is_welchs():
    left, right = [0.93, 0.94, 0.92, 0.935, 0.931], [0.90, 0.95, 0.91]
    found = unpaired_difference(left, right)
    expected = stats.ttest_ind(left, right, equal_var=False).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.mean == pytest.approx(np.mean(left) - np.mean(right))
    assert found.n_repeats == 3


def test_unpaired_without_spread_or_with_one_repeat():
    assert unpaired_difference([0.9], [0.8, 0.7]).holds_zero
    same = unpaired_difference([0.9, 0.9], [0.8, 0.8])
    assert (same.low, same.high) == (same.mean, same.mean)


def test_two_repeats_that_agree_by_chance_are_not_certain():
    """One image of 360 more, twice: no spread at all, and no difference either."""
    step = 1 / 360
    left, right = {0: 0.9 + step, 1: 0.8 + step}, {0: 0.9, 1: 0.8}
    assert not paired_difference(left, right).holds_zero
    assert paired_difference(left, right, n_images=360).holds_zero
    assert unpaired_difference([0.9 + step] * 2, [0.9] * 2, n_images=360).holds_zero


def test_rounding_is_the_variance_of_a_uniform_step():
    draws = np.random.default_rng(0).uniform(0, 1, 100_000)
    rounded = np.round(draws * 50) / 50
    assert rounding(50) == pytest.approx(np.var(rounded - draws), rel=0.02)
    assert rounding(None) == 0
