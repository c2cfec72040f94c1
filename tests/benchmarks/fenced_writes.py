"""What a claim costs: a finished trial stored with each transaction checked, and unchecked.

    PYTHONPATH=. python tests/benchmarks/fenced_writes.py [--trials 200]

On SQLite, and on PostgreSQL and MariaDB where their servers are installed. Blocks of trials by
turns, so that both are measured at the same time; milliseconds a trial, the median of blocks.
"""

from __future__ import annotations

import argparse
import statistics
import time
from contextlib import nullcontext

from automl_cv.store.claims import claim
from automl_cv.store.database import open_storage
from automl_cv.store.trials import StageTrials
from tests.published import COARSE, FACTS, finish
from tests.store import servers

BLOCK = 10


def measure(name: str, url: str, n_trials: int) -> None:
    storage = open_storage(url, create=True)
    trials = StageTrials.create(storage, "quickstart", "coarse", FACTS)
    taken = claim(storage, "quickstart", "coarse", FACTS)
    assert taken is not None
    found: dict[bool, list[float]] = {False: [], True: []}
    slots = iter(range(n_trials))
    with taken.kept():  # warms up, and gives the claim back
        finish(trials, next(slots), COARSE[0])
    for block in range(n_trials // BLOCK):
        is_checked = block % 2 == 1
        if is_checked:
            taken = claim(storage, "quickstart", "coarse", FACTS)
            assert taken is not None
        with taken.kept() if is_checked else nullcontext():
            began = time.perf_counter()
            for _ in range(BLOCK):
                finish(trials, next(slots, n_trials), COARSE[0])
            found[is_checked].append(1000 * (time.perf_counter() - began) / BLOCK)
    without, checked = (statistics.median(found[one]) for one in (False, True))
    print(
        f"{name}: {without:.1f} ms a trial of 50 epochs unchecked, {checked:.1f} ms checked, "
        f"{checked / without:.2f} times as long"
    )
    storage.remove_session()
    storage.engine.dispose()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=200)
    n_trials = parser.parse_args().trials
    for name, url in servers.databases():
        measure(name, url, n_trials)


if __name__ == "__main__":
    main()
