"""The pruners, the only thing that stops a trial before its last epoch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from automl_cv.registry import Entry, Table


@dataclass(frozen=True, kw_only=True)
class PrunerEntry(Entry):
    """A pruner; its target is a class or function (**parameters) -> Optuna pruner.

    Args:
        stop_means: what a stop says of the trial. "finish": it has done what it can, and
            counts as COMPLETE with its best epoch. "drop": it is worse than others, and
            counts as PRUNED.
        parameters: what a study file may set, with defaults.
    """

    stop_means: Literal["finish", "drop"]
    parameters: Mapping[str, Any] = field(default_factory=dict)


PRUNERS: Table[PrunerEntry] = Table(
    "pruner",
    [
        PrunerEntry(
            name="none",
            about="every trial takes all its epochs",
            target="optuna.pruners:NopPruner",
            stop_means="finish",
        ),
        PrunerEntry(
            name="early_stopping",
            about="stops where validation accuracy has not improved for `patience` epochs",
            target="automl_cv.search.pruning:EarlyStoppingPruner",
            stop_means="finish",
            parameters={"patience": 10, "min_delta": 0.0},
        ),
        PrunerEntry(
            name="median",
            about="stops a trial below the median of the others at the same epoch",
            target="optuna.pruners:MedianPruner",
            stop_means="drop",
            parameters={"n_startup_trials": 5, "n_warmup_steps": 5, "n_min_trials": 3},
        ),
        PrunerEntry(
            name="percentile",
            about="stops a trial outside the best `percentile` per cent at the same epoch",
            target="optuna.pruners:PercentilePruner",
            stop_means="drop",
            parameters={
                "percentile": 50.0,
                "n_startup_trials": 5,
                "n_warmup_steps": 5,
                "n_min_trials": 3,
            },
        ),
        PrunerEntry(
            name="hyperband",
            about="brackets of successive halving (Li et al. 2018)",
            target="optuna.pruners:HyperbandPruner",
            stop_means="drop",
            parameters={"min_resource": 1, "reduction_factor": 3},
        ),
        PrunerEntry(
            name="successive_halving",
            about="keeps one in `reduction_factor` at each rung (Li et al. 2020)",
            target="optuna.pruners:SuccessiveHalvingPruner",
            stop_means="drop",
            parameters={"min_resource": 1, "reduction_factor": 4},
        ),
    ],
)
