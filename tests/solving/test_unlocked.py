"""LAPACK's routines give what SciPy's wrappers of them do, and other threads run meanwhile."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from tests.later import later

with later():
    from scipy.linalg import lapack

    from automl_cv.solving.unlocked import called


def drawn(size: int) -> np.ndarray:
    half = np.random.default_rng(size).normal(size=(size, size))
    return half @ half.T


def reduce(matrix: np.ndarray) -> np.ndarray:
    """Make a matrix tridiagonal in its place; return the diagonal."""
    size = len(matrix)
    diagonal, beside, factors = np.empty(size), np.empty(size - 1), np.empty(size - 1)
    room = 32 * size
    called("dsytrd", b"L", size, matrix, size, diagonal, beside, factors, np.empty(room), room)
    return diagonal


def test_the_numbers_are_those_of_scipy_to_the_bit():
    matrix = drawn(150)
    _, expected, *_ = lapack.dsytrd(matrix, lower=1, lwork=32 * 150)
    np.testing.assert_array_equal(reduce(matrix.copy()), expected)


def test_other_threads_run_meanwhile():
    """SciPy's wrapper gave another thread 3 to 32 turns, this 179 and more."""
    matrix, times, ended = drawn(900), [], []

    def work():
        started = time.perf_counter()
        reduce(matrix)
        ended.append((started, time.perf_counter()))

    thread = threading.Thread(target=work)
    thread.start()
    while thread.is_alive():
        times.append(time.perf_counter())
        time.sleep(0.0005)
    ((first, last),) = ended
    assert sum(first < one < last for one in times) > 60


def test_what_a_routine_does_not_take_is_told():
    with pytest.raises(ValueError, match="dgtsv does not take its argument 1"):
        called("dgtsv", -1, 1, *(np.empty(1) for _ in range(4)), 1)
