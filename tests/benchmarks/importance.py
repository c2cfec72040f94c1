"""How long `automl-cv report --importance` computes, and what the depth of its trees costs.

    python -m tests.benchmarks.importance [--trials 100 300 1000]

The trials are those of tests/store/drawn.py: four parameters, one of them conditional. Seconds
are of processor time; two thirds of the trials are evaluated a second time for the conditional
parameter where these are 100 or more.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import automl_cv
from automl_cv.results import evaluators
from tests.results.drawn import drawn


def timed(action: Callable[[], Any]) -> tuple[float, Any]:
    """Return the processor seconds of an action, and what it returned."""
    started = time.process_time()
    found = action()
    return time.process_time() - started, found


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, nargs="+", default=[100, 300, 1000])
    own = evaluators.RESAMPLES, evaluators.DEPTH
    print(f"{'trials':>6}  {'whole':>7}  one evaluation: depth {own[1]}, depth 64, farthest share")
    for n_trials in parser.parse_args().trials:
        with tempfile.TemporaryDirectory() as folder:
            url = drawn(Path(folder), n_trials)
            whole, _ = timed(lambda url=url: automl_cv.importance(url))
            evaluators.RESAMPLES = 1
            flat, shallow = timed(lambda url=url: automl_cv.importance(url))
            evaluators.DEPTH = 64
            full, deep = timed(lambda url=url: automl_cv.importance(url))
            evaluators.RESAMPLES, evaluators.DEPTH = own
        apart = (shallow["fanova"] - deep["fanova"]).abs().max()
        print(f"{n_trials:>6}  {whole:>6.1f}s  {flat:.1f} s, {full:.1f} s, {apart:.3f}")


if __name__ == "__main__":
    main()
