"""Seconds until `search photos` has its first result, and until its end; and the longest silence.

    apt-get download tuxpaint-stamps-default ufoai-textures
    for package in *.deb; do dpkg -x $package debian; done
    python tests/benchmarks/first_result.py --root debian --out photographs --images 300 1500

A folder of photographs (sets of `worth_sets.py`, of each kind its share), an empty cache, and the
command as it is installed, in a process of its own: Python's start, reading the images, loading
TensorFlow and extraction are in the seconds. A result is a trial that is stored and told; a silence
is the time between two events that `--json-lines` prints, from which bars are drawn. Processor
seconds are those of the command and its workers.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import worth_sets


def some(pool: worth_sets.Pool, count: int, folder: Path) -> int:
    """Copy about so many images of a pool, each kind's share; return how many."""
    draw = np.random.default_rng(0)
    shutil.rmtree(folder, ignore_errors=True)
    for kind in sorted(set(pool.labels)):
        rows = np.flatnonzero(pool.labels == kind)
        share = max(2, round(count * len(rows) / len(pool.labels)))
        for row in draw.permutation(rows)[:share]:
            path = folder / "images" / kind / pool.paths[row].name
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(pool.paths[row], path)
    return len(list(folder.rglob("*.png")))


def measured(study: str, folder: Path, workers: int) -> dict[str, float]:
    """Search a folder's images; return seconds by what they are of."""
    program = Path(sys.executable).with_name("automl-cv")
    command = [str(program), "search", study, "--data", "images"]
    command += ["--json-lines", "--cache-dir", "cache", "--workers", str(workers)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = heard = time.monotonic()
    first, silence, during = 0.0, 0.0, ""
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        last = "the start"
        for line in process.stdout:
            now, event = time.monotonic(), json.loads(line)["event"]
            if now - heard > silence:
                silence, during = now - heard, f"{last} to {event}"
            if event == "trial_ended" and not first:
                first = now - began
            heard, last = now, event
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = sum(getattr(after, one) - getattr(before, one) for one in ("ru_utime", "ru_stime"))
    print(f"longest silence: {during}", file=sys.stderr)
    return {
        "first": first,
        "end": time.monotonic() - began,
        "silence": silence,
        "processor": cpu,
    }


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", nargs="*", default=["surface-crops"])
    parser.add_argument("--images", nargs="*", type=int, default=[300])
    parser.add_argument("--study", default="photos")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("photographs"))
    parser.add_argument("--root", type=Path, default=Path("/"), help="unpacked packages")
    asked = parser.parse_args()
    pools = [worth_sets.build(name, asked.out / "cache", asked.root) for name in asked.sets]
    pool = worth_sets.Pool(
        tuple(path for one in pools for path in one.paths),
        np.concatenate([one.labels for one in pools]),
    )
    print("| images | first result | end | longest silence | processor seconds |")
    print("|---:|---:|---:|---:|---:|")
    for count in asked.images:
        folder = (asked.out / f"first-{count}").absolute()
        taken = some(pool, count, folder)
        found = measured(asked.study, folder, asked.workers)
        cells = " | ".join(f"{found[key]:.0f}" for key in ("first", "end", "silence", "processor"))
        print(f"| {taken} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
