"""How many processors there are for us."""

from __future__ import annotations

import os


def cores() -> int:
    """Return how many cores this process may run on: a cluster's job has a share of a machine's."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
