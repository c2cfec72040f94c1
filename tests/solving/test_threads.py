"""What is solved has one thread of BLAS; whoever asked has theirs back between two penalties."""

from __future__ import annotations

from threadpoolctl import threadpool_info, threadpool_limits

from automl_cv.solving import descent
from automl_cv.solving.logistic import Logistic
from tests.solving.drawn import drawn


def threads() -> set[int]:
    return {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"}


def test_one_thread_while_solving_and_two_between(monkeypatch):
    features, labels, classes = drawn("more features")
    seen = []
    solved = descent.Descent.solved

    def noted(self, *given):
        seen.append(threads())
        return solved(self, *given)

    monkeypatch.setattr(descent.Descent, "solved", noted)
    with threadpool_limits(2, user_api="blas"):
        for _ in Logistic(features, labels, classes).path([10.0, 1.0]):
            assert threads() == {2}
    assert seen == 2 * [{1}]
