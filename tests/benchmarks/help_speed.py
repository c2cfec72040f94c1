"""How long help takes, as a multiple of importing typer and rich.

python tests/benchmarks/help_speed.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

RUNS = 11
HELP = [str(Path(sys.executable).parent / "automl-cv"), "--help"]
BASELINE = [sys.executable, "-c", "import typer, rich"]


def seconds(command: list[str]) -> float:
    """Return the wall-clock time of one run of a command."""
    started = time.perf_counter()
    subprocess.run(command, capture_output=True, check=True)
    return time.perf_counter() - started


def main() -> None:
    """Run both in turn, so that a busy machine slows both, and print the ratio."""
    for command in (HELP, BASELINE):
        seconds(command)
    pairs = [(seconds(HELP), seconds(BASELINE)) for _ in range(RUNS)]
    ratio = statistics.median(ours / base for ours, base in pairs)
    ours, base = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"automl-cv --help       {ours:.3f} s")
    print(f"import typer, rich     {base:.3f} s")
    print(f"ratio                  {ratio:.2f} (at most 3)")


if __name__ == "__main__":
    main()
