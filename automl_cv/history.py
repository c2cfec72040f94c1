"""What one trial did: its epochs, its best epoch, and why it stopped. Plain data."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

StopReason = Literal["epochs", "plateau", "pruned", "diverged", "failed"]
"""Why a trial ended: it used all its epochs, it no longer improved, it was worse
than others, its loss was no longer finite, or something broke."""


@dataclass(frozen=True)
class Epoch:
    """Figures of one pass over the training images.

    Args:
        epoch: number of the epoch, from 1.
        accuracy: share of training images classified right, as Keras reports it:
            averaged over the epoch's batches while the weights moved.
        val_accuracy: share of validation images classified right after the epoch.
        loss: cross-entropy on the training images, averaged like `accuracy`.
        val_loss: cross-entropy on the validation images after the epoch.
        learning_rate: the rate in force at the epoch's end.
        seconds: wall-clock time of the epoch, validation included.
        score: the study's metric on the validation images, turned so that higher is better;
            None where that is accuracy.
    """

    epoch: int
    accuracy: float
    val_accuracy: float
    loss: float
    val_loss: float
    learning_rate: float
    seconds: float
    score: float | None = None

    @property
    def merit(self) -> float:
        """What epochs and trials are ordered by; higher is better."""
        return self.val_accuracy if self.score is None else self.score

    @property
    def is_finite(self) -> bool:
        """Whether both losses are numbers: a diverged epoch is not."""
        return math.isfinite(self.loss) and math.isfinite(self.val_loss)


@dataclass(frozen=True)
class History:
    """Epochs of one trial in order, and why it stopped.

    Args:
        epochs: one `Epoch` for each pass that was finished.
        stop_reason: see `StopReason`; None while the trial runs.
        error: one line that says why a failed trial failed, or why one was given up.
        seconds: wall-clock time of the whole trial, measured by a monotonic clock.
    """

    epochs: tuple[Epoch, ...] = ()
    stop_reason: StopReason | None = None
    error: str | None = None
    seconds: float = field(default=0.0, compare=False)

    @property
    def best(self) -> Epoch | None:
        """The first epoch of the highest merit; None before the first epoch.

        The first, as `keras.callbacks.EarlyStopping(restore_best_weights=True)` keeps it:
        a tie is no improvement.
        """
        finite = [epoch for epoch in self.epochs if epoch.is_finite]
        return max(finite, key=lambda epoch: epoch.merit, default=None)

    def to_json(self) -> dict[str, Any]:
        """Return the history as plain dicts and lists, one list a column to keep it short."""
        columns = {
            name: [getattr(epoch, name) for epoch in self.epochs]
            for name in Epoch.__dataclass_fields__
        }
        if all(score is None for score in columns["score"]):
            del columns["score"]
        return {
            "epochs": columns,
            "stop_reason": self.stop_reason,
            "error": self.error,
            "seconds": self.seconds,
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> History:
        """Return the history that `to_json` wrote."""
        columns = stored["epochs"]
        rows = zip(*columns.values(), strict=True)
        epochs = tuple(Epoch(**dict(zip(columns, row, strict=True))) for row in rows)
        rest = {name: stored[name] for name in ("stop_reason", "error", "seconds")}
        return cls(epochs=epochs, **rest)
