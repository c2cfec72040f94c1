"""How much of the time two workers save on heads that are trained in steps, by processor seconds.

    python tests/benchmarks/two_workers.py --cache CACHE [--trials 40] [--rounds 2]

The coarse stage of `quickstart` on cached features, with one worker and with two, by turns. Where
others use the cores the wall says nothing; so what a worker uses is counted, from the first trial's
start to the stage's end. The ratio is that of one worker to the busier of the two, the least of the
rounds each: what two free cores would give, but for waits.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from peer import TICKS, family

SCRIPT = str(Path(sys.executable).parent / "automl-cv")


def worker_seconds(root: int) -> dict[int, float]:
    """Return what each worker process of a search has used, by its number."""
    found = {}
    for number, fields in family(root):
        try:
            words = Path(f"/proc/{number}/cmdline").read_bytes()
        except OSError:
            continue  # it has ended
        if b"automl_cv.worker.process" in words:
            found[number] = sum(map(int, fields[11:13])) / TICKS
    return found


def searched(workers: int, trials: int, cache: Path) -> list[float]:
    """Search; return the seconds of each worker."""
    with tempfile.TemporaryDirectory() as folder:
        options = ["--stage", "coarse", "--trials", str(trials), "--workers", str(workers)]
        options += ["--cache-dir", str(cache.absolute()), "--json-lines"]
        command = [SCRIPT, "search", "quickstart", *options]
        before: dict[int, float] = {}
        after: dict[int, float] = {}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=folder) as process:
            assert process.stdout is not None
            for line in process.stdout:
                event = json.loads(line)["event"]
                if event == "trial_started" and not before:
                    before = worker_seconds(process.pid)
                if event == "stage_ended":
                    after = worker_seconds(process.pid)
    return [seconds - before.get(number, 0.0) for number, seconds in after.items()]


def main() -> None:
    """Search by turns, and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=2)
    asked = parser.parse_args()
    found: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(asked.rounds):
        for workers, busiest in found.items():
            each = searched(workers, asked.trials, asked.cache)
            print(f"{workers} workers: {', '.join(f'{one:.2f}' for one in each)} s", flush=True)
            busiest.append(max(each))
    print(f"two workers, against one: {min(found[1]) / min(found[2]):.2f} times as fast")


if __name__ == "__main__":
    main()
