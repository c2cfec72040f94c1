"""What a kind of training can do: four verbs, the same for all; a file of this room for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from automl_cv.history import Epoch, History
from automl_cv.orders.messages import Fit, Need
from automl_cv.solving.kernel import KernelHead
from automl_cv.solving.linear import Linear
from automl_cv.study.trial import Inputs, Trial
from automl_cv.trained import OnEpoch, TrainingResult

if TYPE_CHECKING:
    from automl_cv.engine.runtime import keras


@dataclass(frozen=True)
class Made:
    """The winner, trained again with each of its seeds.

    Args:
        histories: of each training.
        logits: of each training, of the rows that were asked for, by what was trained: float32,
            shape (rows, classes).
        assemble: returns one network of all, as `engine.saved_network.save` takes it.
        heads: of each training, on features; none of a kind that trains more than heads.
    """

    histories: tuple[History, ...]
    logits: Sequence[np.ndarray]
    assemble: Callable[[], keras.Model]
    heads: Sequence[Linear | KernelHead | keras.Model] = ()


class Kind(Protocol):
    """A kind of training, made once with the `worker.materials.Materials` of its process."""

    def needs(self, inputs: Inputs) -> list[Need]:
        """Return the orders that make ready what a trial learns from."""
        ...

    def prepare(self, trial: Trial) -> Any:
        """Return what trains trials of the same images; the kind alone knows what it is."""
        ...

    def train(self, trial: Trial, on_epoch: OnEpoch, checkpoint: Path | None) -> TrainingResult:
        """Train one trial.

        Args:
            trial: its needs are ready.
            on_epoch: is told each epoch, and may stop it.
            checkpoint: folder of its checkpoint; None for none.
        """
        ...

    def fit(self, order: Fit, rows: np.ndarray, on_epoch: Callable[[Epoch], None]) -> Made:
        """Train the winner again with each of its seeds, for as long as the search found best.

        Args:
            order: what is trained; its needs are ready.
            rows: which images' logits are wanted, int64 (images,).
            on_epoch: is told each epoch of each training.

        Raises:
            AutomlError: training diverged.
        """
        ...
