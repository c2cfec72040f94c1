"""What an order costs through a Dask cluster, and how well its workers are kept busy.

    PYTHONPATH=. python tests/benchmarks/cluster.py [--orders 200] [--workers 8] [--trials 10]

First: orders that a worker process answers at once, on this machine and as an actor of a Dask
worker on it, in turns. Then: trials of one slept second, on so many workers, so many each; the
efficiency is the seconds slept by the seconds that the workers were there. Each trial is an order
and an answer; each epoch of a real one is another pair.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

import distributed

from automl_cv.history import History
from automl_cv.orders import remote
from automl_cv.orders.cluster import ClusterCrew
from automl_cv.orders.crew import Crew, Worker
from automl_cv.orders.messages import Survey, Trained


class SleepingPost:
    """Stands where a `Post` does, and sleeps a second in place of a trial."""

    def __init__(self, number: int, loads: Sequence[str]) -> None:
        self._ordered = asyncio.Event()

    async def send(self, message: bytes) -> None:
        self._ordered.set()

    async def answers(self) -> tuple[list[bytes], str | None]:
        await self._ordered.wait()
        self._ordered.clear()
        await asyncio.sleep(1.0)
        return [bytes(remote.ForkingPickler.dumps(Trained(History(), {})))], None

    def end(self) -> None:
        pass


def no_modules(number: int) -> Sequence[str]:
    return ()


def cluster(workers: int, folder: str) -> ClusterCrew:
    """Return a crew on so many Dask workers within this process."""
    started = distributed.LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=False,
        dashboard_address=":0",
        protocol="tcp",
    )
    address = started.scheduler_address.replace("tcp", "dask")
    return ClusterCrew(workers, address, cache_dir=Path(folder), loads=no_modules)


def milliseconds(worker: Worker) -> float:
    """Return what an order takes that is answered at once: nothing was prepared, so it fails."""
    began = time.perf_counter()
    worker.send(Survey())
    worker.receive()
    return 1000 * (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=200)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--trials", type=int, default=10, help="of each worker")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        with Crew(1, loads=no_modules) as here, cluster(1, folder) as there:
            for crew in (here, there):
                milliseconds(crew.workers[0])
            pairs = [
                [milliseconds(crew.workers[0]) for crew in (here, there)]
                for _ in range(options.orders)
            ]
        own, theirs = (statistics.median(each) for each in zip(*pairs, strict=True))
        print(f"an order and its answer: {own:.2f} ms here, {theirs:.2f} ms through Dask")
        with (
            mock.patch.object(remote, "Post", SleepingPost),
            cluster(options.workers, folder) as crew,
        ):
            while len(crew.workers) < options.workers:
                list(crew.answers(timeout=0.1))
            left = options.workers * options.trials
            began = time.perf_counter()
            for worker in crew.workers:
                crew.order(worker, Survey())
            ordered = options.workers
            while left:
                for worker, _ in crew.answers(timeout=1.0):
                    left -= 1
                    if ordered < options.workers * options.trials:
                        ordered += 1
                        crew.order(worker, Survey())
            took = time.perf_counter() - began
        efficiency = options.trials / took
        print(f"{options.workers} workers, slept seconds: efficiency {efficiency:.3f}")


if __name__ == "__main__":
    main()
