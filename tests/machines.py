"""A Dask cluster of processes, for tests and benchmarks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path


class Machines:
    """A Dask scheduler and workers, each a process as `dask worker` starts it.

    Args:
        folder: for what they write.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = folder / "scheduler.json"
        self.processes = [self._start("scheduler", "--port", "0", "--host", "127.0.0.1")]
        until = time.monotonic() + 120
        while not self._file.exists() or not self._file.read_text():
            assert time.monotonic() < until
            time.sleep(0.1)
        self.address = json.loads(self._file.read_text())["address"]

    def _start(self, *words: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "dask", *words, "--scheduler-file", str(self._file)),
                *("--no-dashboard", "--local-directory", str(self._folder))[
                    : 1 if words[0] == "scheduler" else None
                ],
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self._folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )

    def add(self, core: int | None = None) -> subprocess.Popen[bytes]:
        """Start a worker, on any core or on one."""
        self.processes.append(self._start("worker", "--nthreads", "1", "--no-nanny"))
        if core is not None:
            os.sched_setaffinity(self.processes[-1].pid, [core])  # while Python starts
        return self.processes[-1]

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()
