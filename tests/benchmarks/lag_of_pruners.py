"""What a pruner's `lag` costs and saves: epochs that pass, by workers and lag.

Made-up curves of one length an epoch, so that the figures are the same on every machine:

    python tests/benchmarks/lag_of_pruners.py
"""

from __future__ import annotations

import math
from collections import deque
from typing import Any

import optuna

from automl_cv.drawing.stage_memory import StageMemory
from automl_cv.history import Epoch, History
from automl_cv.study import studyfile

TRIALS, EPOCHS = 100, 50
PRUNERS: tuple[dict[str, Any], ...] = ({"name": "median"}, {"name": "hyperband"})


def curve(parameters: Any) -> list[Epoch]:
    """Return epochs that rise to a level which the parameters decide, the faster the lower."""
    rate, momentum = parameters["learning_rate"], parameters["momentum"]
    top = 1 - abs(math.log10(rate) + 2) / 3
    values = [top * (1 - math.exp(-n * (0.05 + 0.2 * momentum))) for n in range(1, EPOCHS + 1)]
    return [Epoch(n, v, v, 0.1, 0.1, rate, 1.0) for n, v in enumerate(values, 1)]


def epochs_that_pass(pruner: dict[str, Any], workers: int) -> int:
    """Return how many epochs one after the other a stage takes."""
    space = {
        "optimizer": ["SGD"],
        "batch_size": [32],
        "learning_rate": {"low": 0.0001, "high": 0.1, "log": True},
        "momentum": {"low": 0.0, "high": 0.9},
    }
    stage = {"name": "coarse", "trials": TRIALS, "epochs": EPOCHS, "pruner": pruner, "space": space}
    study = studyfile.parse({"name": "s", "stage": [stage]}, "s.toml")
    memory = StageMemory("s/coarse", study.stage("coarse"), 0)
    curves: dict[int, list[Epoch]] = {}
    running: dict[int, int] = {}
    waiting, passed = deque(range(TRIALS)), 0
    while waiting or running:
        while waiting and len(running) < workers:
            trial = waiting.popleft()
            if trial not in curves:
                curves[trial] = curve(memory.draw(trial).parameters)
            running[trial] = 0
        passed += 1
        for trial in list(running):
            running[trial] += 1
            stop = memory.after(trial, curves[trial][running[trial] - 1])
            if stop is None and running[trial] < EPOCHS:
                continue
            ran = tuple(curves[trial][: running.pop(trial)])
            again = memory.finish(trial, History(ran, stop or "epochs"))
            waiting.extendleft(one.trial for one in again if one.history is None)
    return passed


def main() -> None:
    """Print a row for each pruner and lag."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    print("| pruner | lag | 1 worker | 2 workers | 4 workers |\n|---|---|---|---|---|")
    for pruner in PRUNERS:
        for lag in (1, 2, 4, 8, 16, 0):
            row = (epochs_that_pass({**pruner, "lag": lag}, workers) for workers in (1, 2, 4))
            print(f"| `{pruner['name']}` | {lag} |", *(f"{one:,} |" for one in row))
    unpruned = (TRIALS * EPOCHS // workers for workers in (1, 2, 4))
    print("| `none` | |", *(f"{one:,} |" for one in unpruned))


if __name__ == "__main__":
    main()
