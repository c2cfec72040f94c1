"""What an order costs through a Dask cluster, and how well its workers are kept busy.

    PYTHONPATH=. python tests/benchmarks/cluster.py [--orders 200] [--workers 8] [--trials 10]
    PYTHONPATH=. python tests/benchmarks/cluster.py --heads 20

First: orders that a worker process answers at once, on this machine and as an actor of a Dask
worker on it, in turns. Then: trials of one slept second, on so many workers, so many each; the
efficiency is the seconds slept by the seconds that the workers were there. Scheduler and Dask's
workers are one other process, the search this one, so that its processor time says what many
workers cost it. A trial is an order and an answer. `--heads`: the first trials of `optimizers`,
whose epochs take milliseconds, with one worker, here and on a cluster.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import dask
import distributed

import automl_cv
from automl_cv.drawing.judging import Judge
from automl_cv.history import History
from automl_cv.orders import remote
from automl_cv.orders.cluster import ClusterCrew
from automl_cv.orders.crew import Crew, Worker
from automl_cv.orders.messages import Survey, Trained
from automl_cv.search import events


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


def serve(workers: int) -> None:
    """Be a scheduler and so many Dask workers until stdin ends; print the address."""
    # Each worker looks at its threads a hundred times a second, on a machine of its own.
    dask.config.set({"distributed.worker.profile.enabled": False})
    with distributed.LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=False,
        dashboard_address=":0",
        protocol="tcp",
    ) as started:
        print(started.scheduler_address.replace("tcp", "dask"), flush=True)
        sys.stdin.read()


@contextmanager
def served(workers: int) -> Iterator[str]:
    """Give the address of a cluster of so many Dask workers in another process."""
    command = [sys.executable, __file__, "--serve", "--workers", str(workers)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.communicate()


@contextmanager
def cluster(workers: int, folder: str) -> Iterator[ClusterCrew]:
    """Give a crew on such a cluster."""
    with (
        served(workers) as address,
        ClusterCrew(workers, address, cache_dir=Path(folder), loads=no_modules) as crew,
    ):
        yield crew


def milliseconds(worker: Worker) -> float:
    """Return what an order takes that is answered at once: nothing was prepared, so it fails."""
    began = time.perf_counter()
    worker.send(Survey())
    worker.receive()
    return 1000 * (time.perf_counter() - began)


def seconds_of_heads(trials: int, folder: str, address: str | None) -> float:
    """Return what the first stage of `optimizers` takes, here or on a cluster."""
    took: list[float] = []

    def listen(event: events.Event) -> None:
        if isinstance(event, events.StageEnded):
            took.append(event.seconds)

    automl_cv.run(
        "optimizers",
        stage="coarse",
        trials=trials,
        storage=f"sqlite:///{folder}/{uuid.uuid4().hex}.db",
        cache_dir=f"{folder}/cache",
        cluster=address,
        quiet=True,
        listen=listen,
    )
    return took[0]


def heads(trials: int, folder: str) -> None:
    """Print what heads take here, on a cluster that asks after each epoch, and as it is."""
    seconds_of_heads(1, folder, None)  # features
    with served(1) as address:
        for _ in range(2):
            here = seconds_of_heads(trials, folder, None)
            with mock.patch.object(Judge, "next_ask", lambda judge, place: 0):
                asking = seconds_of_heads(trials, folder, address)
            there = seconds_of_heads(trials, folder, address)
            print(
                f"{trials} heads: {here:.1f} s here; on a cluster {asking:.1f} s asking after each "
                f"epoch, {there:.1f} s where one might stop"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=200)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--trials", type=int, default=10, help="of each worker")
    parser.add_argument("--heads", type=int, help="measure so many heads, and nothing else")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.workers)
        return
    with tempfile.TemporaryDirectory() as folder:
        if options.heads:
            heads(options.heads, folder)
            return
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
            began, before = time.perf_counter(), time.process_time()
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
            each = 1000 * (time.process_time() - before) / (options.workers * options.trials)
        efficiency = options.trials / took
        print(f"{options.workers} workers, slept seconds: efficiency {efficiency:.3f}")
        print(f"processor time of the search for a trial: {each:.1f} ms")


if __name__ == "__main__":
    main()
