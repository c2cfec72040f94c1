"""The pruners, the only thing that stops a trial before its last epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from automl_cv.catalog.settings import LAG, SettableEntry, Setting
from automl_cv.registry import Table


@dataclass(frozen=True, kw_only=True)
class PrunerEntry(SettableEntry):
    """A pruner; its target is a class or function (**parameters) -> Optuna pruner.

    Args:
        stop_means: what a stop says of the trial. "finish": it has done what it can, and
            counts as COMPLETE with its best epoch. "drop": it is worse than others, and
            counts as PRUNED, which takes the parameter `lag`: a trial is compared with those up
            to so many slots before it; 0 for those that happen to have ended.
        earliest: names a function (values, **parameters) -> the first epoch, after those of
            `values`, that it might stop a trial at; those before it need not wait. Empty where it
            might at any.
        marks_trials: whether what it writes into trials has a say when it judges later ones.
    """

    stop_means: Literal["finish", "drop"]
    marks_trials: bool = False
    earliest: str = ""


_LAG = {LAG: Setting(1, lowest=0)}
_COMPARISON = {
    **_LAG,
    "n_startup_trials": Setting(5, lowest=0),
    "n_warmup_steps": Setting(5, lowest=0),
    "n_min_trials": Setting(3, lowest=1),
}

PRUNERS: Table[PrunerEntry] = Table(
    "pruner",
    [
        PrunerEntry(
            name="none",
            about="every trial takes all its epochs",
            target="optuna.pruners:NopPruner",
            stop_means="finish",
            earliest="automl_cv.drawing.pruning:never",
        ),
        PrunerEntry(
            name="early_stopping",
            about="stops where the metric has not improved for `patience` epochs",
            target="automl_cv.drawing.pruning:EarlyStoppingPruner",
            earliest="automl_cv.drawing.pruning:earliest_plateau",
            stop_means="finish",
            parameters={"patience": Setting(10, lowest=0), "min_delta": Setting(0.0, lowest=0)},
        ),
        PrunerEntry(
            name="median",
            about="stops a trial below the median of the others at the same epoch",
            target="optuna.pruners:MedianPruner",
            stop_means="drop",
            parameters=_COMPARISON,
        ),
        PrunerEntry(
            name="percentile",
            about="stops a trial outside the best `percentile` per cent at the same epoch",
            target="optuna.pruners:PercentilePruner",
            stop_means="drop",
            parameters={"percentile": Setting(50.0, lowest=0, highest=100), **_COMPARISON},
        ),
        PrunerEntry(
            name="hyperband",
            about="brackets of successive halving (Li et al. 2018)",
            target="optuna.pruners:HyperbandPruner",
            stop_means="drop",
            marks_trials=True,
            parameters={
                **_LAG,
                "min_resource": Setting(1, lowest=1),
                "reduction_factor": Setting(3, lowest=2),
            },
        ),
        PrunerEntry(
            name="successive_halving",
            about="keeps one in `reduction_factor` at each rung (Li et al. 2020)",
            target="optuna.pruners:SuccessiveHalvingPruner",
            stop_means="drop",
            marks_trials=True,
            parameters={
                **_LAG,
                "min_resource": Setting(1, lowest=1),
                "reduction_factor": Setting(4, lowest=2),
            },
        ),
    ],
)
