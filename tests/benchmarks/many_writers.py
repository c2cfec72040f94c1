"""How many trials a second searches store that write into one database side by side.

    PYTHONPATH=. python tests/benchmarks/many_writers.py [--writers 1 2 4 8 16 32] [--seconds 10]

Each writer is a process with a run and a claim of its own, which stores finished trials of 50
epochs one after the other, as a search does that has nothing else to do. On SQLite, and on
PostgreSQL and MariaDB where their servers are installed. Prints trials a second of all writers
together, and how long the slowest trial of any took to store.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from functools import partial

from automl_cv.store.claims import claim
from automl_cv.store.database import open_storage
from automl_cv.store.trials import StageTrials
from tests.published import COARSE, FACTS, finish
from tests.store import servers

LOADING = 3.0
"""Seconds after which one more writer has loaded, at the latest."""


def write(url: str, start: float, seconds: float, number: int) -> tuple[int, float]:
    """Store trials from then on for so long; return how many, and the longest that one took."""
    storage, run = open_storage(url, create=True), f"writer{number}"
    trials = StageTrials.create(storage, run, "coarse", FACTS)
    taken = claim(storage, run, "coarse", FACTS)
    assert taken is not None
    count, longest = 0, 0.0
    with taken.kept():
        late = time.time() - start
        assert late < 0, f"a writer was ready {late:.1f} s too late"
        time.sleep(-late)
        while (began := time.time()) < start + seconds:
            finish(trials, count, COARSE[0])
            count, longest = count + 1, max(longest, time.time() - began)
    return count, longest


def measure(name: str, url: str, writers: int, seconds: float) -> None:
    """Print what so many writers store at the same time."""
    open_storage(url, create=True).engine.dispose()  # one makes the tables
    with multiprocessing.get_context("spawn").Pool(writers) as pool:
        start = time.time() + LOADING * (1 + writers)
        found = pool.map(partial(write, url, start, seconds), range(writers), chunksize=1)
    rate = sum(count for count, _ in found) / seconds
    longest = max(one for _, one in found)
    print(
        f"{name}, {writers} writers: {rate:.0f} trials a second, longest {longest:.2f} s",
        flush=True,
    )


def main() -> None:
    """Measure each database with each number of writers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--writers", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32])
    parser.add_argument("--seconds", type=float, default=10.0)
    given = parser.parse_args()
    for writers in given.writers:
        for name, url in servers.databases():
            measure(name, url, writers, given.seconds)


if __name__ == "__main__":
    main()
