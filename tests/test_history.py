"""The best epoch is Keras's, and a history survives storage."""

from __future__ import annotations

import math
from dataclasses import replace

from automl_cv.history import Epoch, History


def epochs(*values: tuple[float, float]) -> tuple[Epoch, ...]:
    return tuple(
        Epoch(number, 0.5, accuracy, 1.0, loss, 0.1, 0.01)
        for number, (accuracy, loss) in enumerate(values, start=1)
    )


def test_the_first_of_equal_epochs_is_the_best():
    history = History(epochs((0.5, 1.0), (0.9, 0.9), (0.9, 0.1), (0.8, 0.2)))
    assert history.best.epoch == 2


def test_a_diverged_epoch_is_never_the_best():
    assert History(epochs((0.5, 1.0), (0.9, math.nan))).best.epoch == 1
    assert History(epochs((0.9, math.inf))).best is None
    assert History().best is None


def test_round_trip():
    history = History(epochs((0.5, 1.0), (0.9, 0.9)), "plateau", None, 1.5)
    assert History.from_json(history.to_json()) == history
    failed = History((), "failed", "out of memory", 0.1)
    assert History.from_json(failed.to_json()) == failed


def test_a_score_comes_before_accuracy_and_is_stored_where_there_is_one():
    plain = epochs((0.5, 1.0), (0.9, 0.9))
    scored = tuple(replace(one, score=-one.val_accuracy) for one in plain)
    assert History(plain).best.epoch == 2
    assert History(scored).best.epoch == 1
    assert [one.merit for one in plain] == [0.5, 0.9]
    assert "score" not in History(plain).to_json()["epochs"], "as older versions wrote it"
    assert History.from_json(History(scored).to_json()) == History(scored)
