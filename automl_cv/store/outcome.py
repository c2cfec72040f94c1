"""What a finished trial is to Optuna: a state, a value, and what its dashboard shows of it."""

from __future__ import annotations

from optuna.trial import TrialState

from automl_cv.history import History
from automl_cv.store.optuna_writes import without_noise


def outcome(history: History) -> tuple[TrialState, float | None]:
    """Return Optuna's state and value of a finished trial.

    A trial that early stopping ended is COMPLETE with its best epoch's value: Optuna
    would keep a pruned trial's last value, and leave it out of best_trial, importances
    and the good half of TPE.

    Raises:
        ValueError: the history has no stop reason.
    """
    match history.stop_reason:
        case "epochs" | "plateau" if history.best is not None:
            return TrialState.COMPLETE, history.best.merit
        case "pruned":
            # As Optuna itself does it: a pruned trial's value is the last one reported.
            return TrialState.PRUNED, history.epochs[-1].merit
        case None:
            raise ValueError("a finished trial needs a stop reason")
    return TrialState.FAIL, None


def plain(stage: str, history: History) -> dict[str, str | int | float]:
    """Return what a table of trials wants beside the value, as numbers and texts by key.

    The records hold all of it too, and are what is read: nothing here has a checksum.
    """
    best = history.best
    figures: dict[str, str | int | float] = {
        "stage": stage,
        "seconds": round(history.seconds, 3),
    }
    if best is not None:
        figures |= {"best_epoch": best.epoch, "val_loss": without_noise(best.val_loss)}
    return figures
