"""Which values of a parametrized test run each time, and which in `pytest -m exhaustive` alone."""

from __future__ import annotations

from collections.abc import Iterable

import pytest


def each_time(*now: object, of: Iterable[object]) -> list[object]:
    """Return all values of a parameter, those exhaustive that need not run each time.

    Args:
        now: the values that run each time.
        of: all values, in their order.

    Raises:
        ValueError: one of those that run each time is none of them.
    """
    values = list(of)
    if missing := [value for value in now if value not in values]:
        raise ValueError(f"{missing} are not among {values}")
    later = pytest.mark.exhaustive
    return [value if value in now else pytest.param(value, marks=later) for value in values]
