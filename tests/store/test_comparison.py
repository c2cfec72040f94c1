"""Means over repeats, and when first and second can be told apart."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from automl_cv.history import Epoch, History
from automl_cv.store.comparison import finalists, interval, paired_difference
from automl_cv.store.records import TrialRecord


def record(source: str, repeat: int, accuracy: float, loss: float = 0.2) -> TrialRecord:
    epoch = Epoch(1, 1.0, accuracy, 0.01, loss, 0.1, 0.01)
    return TrialRecord(
        run="r",
        stage="finalists",
        trial=repeat,
        state="complete",
        parameters={"source": source, "repeat": repeat, "learning_rate": 0.1},
        history=History((epoch,), "epochs"),
    )


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


def test_the_highest_mean_wins_and_ties_go_to_the_lower_loss():
    records = [
        *(record("a/0", repeat, value) for repeat, value in enumerate([0.90, 0.92])),
        *(record("b/1", repeat, value, 0.3) for repeat, value in enumerate([0.93, 0.91])),
        *(record("b/2", repeat, value, 0.1) for repeat, value in enumerate([0.92, 0.92])),
    ]
    assert [one.source for one in finalists(records, folds=None)] == ["b/2", "b/1", "a/0"]


def test_pairs_tell_apart_what_means_alone_do_not():
    """Each repeat is harder or easier for both; the second is always a little worse."""
    first = {0: 0.90, 1: 0.94, 2: 0.88, 3: 0.96}
    second = {repeat: value - 0.01 - 0.001 * repeat for repeat, value in first.items()}
    records = [record("x/0", n, v) for n, v in first.items()]
    records += [record("x/1", n, v) for n, v in second.items()]
    best, behind = finalists(records, folds=None)
    assert best.behind_first is None
    assert not behind.behind_first.holds_zero
    assert behind.behind_first.mean == pytest.approx(0.0115)
    assert best.accuracy.low < behind.accuracy.high, "unpaired intervals overlap"


def test_the_published_narrowing_gain_is_nothing():
    """0.9343 against 0.9342 with any spread at all."""
    gain = paired_difference({0: 0.9343, 1: 0.9310, 2: 0.9272}, {0: 0.9342, 1: 0.9328, 2: 0.9268})
    assert gain.holds_zero


def test_only_common_repeats_are_paired():
    assert paired_difference({0: 1.0}, {1: 0.5}) is None
    assert paired_difference({0: 1.0, 1: 0.9}, {1: 0.5}).n_repeats == 1


def test_failed_repeats_are_left_out():
    broken = TrialRecord("r", "f", 9, "failed", {"source": "a/0", "repeat": 1})
    (only,) = finalists([record("a/0", 0, 0.9), broken], folds=None)
    assert only.accuracy.n_repeats == 1
