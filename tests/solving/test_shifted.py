"""Systems of one matrix and many shifts are solved as each is by itself."""

from __future__ import annotations

import numpy as np
import pytest

from tests.later import later

with later():
    from automl_cv.solving.shifted import Shifted


@pytest.mark.parametrize("size", [1, 2, 3, 40])
def test_they_are_solved_as_each_by_itself(size):
    draw = np.random.default_rng(size)
    half, right = draw.normal(size=(size, 30)), draw.normal(size=(size, 4))
    matrix = half @ half.T
    systems = Shifted(matrix, right)
    for shift in (10.0, 0.01, 10.0):
        expected = np.linalg.solve(matrix + shift * np.eye(size), right)
        np.testing.assert_allclose(systems.solve(shift), expected, rtol=1e-9, atol=1e-9)


def test_no_shift_is_so_small_that_rounding_decides():
    """Two rows alike: the matrix has no inverse, and rounding may leave less than nothing."""
    half = np.random.default_rng(0).normal(size=(30, 50))[[*range(30), *range(30)]]
    matrix = half @ half.T
    found = Shifted(matrix, matrix @ np.ones((60, 1))).solve(1e-300)
    np.testing.assert_allclose(matrix @ found, matrix @ np.ones((60, 1)), rtol=1e-6)
