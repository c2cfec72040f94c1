"""Which tests run in which of two processes, and in which order.

A file's tests stay together, since they share what its fixtures made; so do those of a folder in
`TOGETHER`. The longest group begins first: what is long must not begin last.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest
from xdist.scheduler import LoadScopeScheduling

TOGETHER = "tests/end_to_end/models/"

# A search has a conducting process and a worker, and rarely uses more than one core: two
# processes take little more than half the time on two cores. Each takes 1 to 2 GB.
PROCESSES = 2


def processes(arguments: Sequence[str]) -> int:
    """Return how many processes pytest starts: none for one file, which this one runs itself."""
    return 0 if len(arguments) == 1 and ".py" in arguments[0] else PROCESSES


def group(name: str) -> str:
    """Return the group that a test belongs to.

    Args:
        name: the test's, as `pytest --collect-only -q` lists it.
    """
    return TOGETHER if name.startswith(TOGETHER) else name.split("::")[0]


def seconds(test: pytest.Item) -> float:
    """Return about how long a test takes, with a core to itself.

    It is what a test's own mark says, `slow(seconds=40)`, where it takes much longer or less than
    others of its kind. A slow test end to end takes some five times as long as another slow one.
    """
    slow = test.get_closest_marker("slow")
    if slow is None:
        return 0.0
    return float(slow.kwargs.get("seconds", 5 if "end_to_end/" in test.nodeid else 1))


def longest_first(tests: list[pytest.Item]) -> None:
    """Sort tests by how long their groups take; groups stay as they were."""
    lasts: Counter[str] = Counter()
    for test in tests:
        lasts[group(test.nodeid)] += seconds(test)
    tests.sort(key=lambda test: -lasts[group(test.nodeid)])


class Scheduling(LoadScopeScheduling):
    """Hands out groups in the order of tests."""

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid)
