"""What a report says of the winner's worth, in words and as data."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from automl_cv.catalog.metrics import METRICS
from automl_cv.results.corrected import CorrectedWinner, overtuning_text
from automl_cv.results.selection import Corrected
from automl_cv.words import counted

METHOD = "bootstrap bias-corrected selection, Tsamardinos 2018"


def winner_lines(winner: CorrectedWinner | None, *, whole: bool = True) -> list[str]:
    """Return the lines on the winner's worth; none where it is not known.

    Args:
        winner: the first of the leaderboard.
        whole: all stages were read, without which there is no winner.
    """
    if winner is None:
        return []
    metric = METRICS[winner.metric]
    among = counted(winner.candidates, "trial")
    if winner.candidates < winner.trials:
        among = f"{winner.candidates} of {counted(winner.trials, 'trial')}"
    called = "winner" if whole and winner.is_taken else "first"
    figures = (
        f"{called} {winner.name}: {metric.about} {winner.figure.raw:.4f} as chosen; corrected for "
        f"having been chosen from {among} {_ends(winner.figure)}"
    )
    if metric.of_epoch != "val_loss":
        figures += f"; log loss {winner.log_loss.raw:.4f}, corrected {_ends(winner.log_loss)}"
    lines = [f"{figures} ({METHOD})"]
    told = overtuning_text(winner)
    return lines if told is None else [*lines, told]


def winner_data(winner: CorrectedWinner) -> dict[str, Any]:
    """Return the same as plain data."""
    return {
        "stage": winner.stage,
        "trial": winner.trial,
        "metric": winner.metric,
        **_data(winner.figure),
        "log_loss": _data(winner.log_loss),
        "candidates": winner.candidates,
        "trials": winner.trials,
        "resamples": winner.resamples,
        "first": winner.first,
        "beside_first": None if winner.beside_first is None else asdict(winner.beside_first),
        "overtuned": winner.is_overtuned,
        "taken_by_fit": winner.is_taken,
    }


def _ends(figure: Corrected) -> str:
    return f"{figure.value:.4f}, 95 % interval {figure.low:.4f} to {figure.high:.4f}"


def _data(figure: Corrected) -> dict[str, float]:
    return {
        "raw": figure.raw,
        "corrected": figure.value,
        "low": figure.low,
        "high": figure.high,
    }
