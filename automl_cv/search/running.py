"""A trial on its way: drawn, with a worker, or trained and not settled yet."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from automl_cv.drawing.stage_memory import Drawn
from automl_cv.history import Epoch, History
from automl_cv.orders.messages import Trained


@dataclass
class Running:
    """A trial that a worker trains now, or has trained and is not settled.

    Args:
        drawn: its parameters.
        started: when, on a monotonic clock, in seconds.
        epochs: so far.
        written: when it was last written, on that clock.
        trained: what the worker ended with, where the trial waits for others.
        broke: whether it broke once.
        losses: how many processes and machines were lost beside that while they trained it.
        next_ask: its worker waits at this epoch, and at no earlier one.
    """

    drawn: Drawn
    started: float = field(default_factory=time.monotonic)
    epochs: list[Epoch] = field(default_factory=list)
    written: float | None = None
    trained: Trained | None = None
    broke: bool = False
    losses: int = 0
    next_ask: int = 0

    def history(self, error: str | None = None) -> History:
        """Return what it has reached so far."""
        # What an earlier search trained of it comes from its checkpoint within a moment.
        trained = sum(epoch.seconds for epoch in self.epochs)
        seconds = max(time.monotonic() - self.started, trained)
        return History(tuple(self.epochs), None, error, seconds)
