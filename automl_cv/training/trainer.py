"""What trains heads on one division of features, whatever does the arithmetic."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Generic, Protocol, TypeVar

import numpy as np

from automl_cv.history import Epoch
from automl_cv.study.trial import TrainingTask
from automl_cv.trained import OnEpoch, TrainingData, TrainingResult, scored
from automl_cv.training.epochs import Training, Weights
from automl_cv.training.head_input import HeadInput

State = tuple[np.ndarray, ...]
"""All that training changes: weights, states of dropouts and of the optimizer."""


class Loop(Protocol):
    """A head that is trained, and its optimizer."""

    def state(self) -> State:
        """Return a copy of all that training changes."""
        ...

    def restore(self, state: State) -> None:
        """Go on from a state of this loop, hyperparameters set as they were."""
        ...

    def weights(self) -> Weights:
        """Return a copy of the head's weights, in the order of the Keras model's."""
        ...

    def set_weights(self, weights: Weights) -> None:
        """Give the head weights that `weights` returned."""
        ...


L = TypeVar("L", bound=Loop)
V = TypeVar("V")


class Trainer(ABC, Generic[L, V]):
    """Trains any number of heads on one set of features.

    Args:
        data: what to train and validate on; its features are shared, not copied.
        head_input: what heads on its training images are built for.
    """

    def __init__(self, data: TrainingData, head_input: HeadInput) -> None:
        self.data = data
        self.head_input = head_input

    def train(
        self,
        task: TrainingTask,
        on_epoch: OnEpoch,
        views: V | None = None,
        replay: Sequence[Epoch] = (),
    ) -> TrainingResult:
        """Train one head from its first weights to the epoch where `on_epoch` stops it.

        Args:
            task: what to train.
            on_epoch: is told each epoch and decides whether to stop.
            views: what of the training images each epoch shows; None for the images as they
                are. They validate as they are anyway.
            replay: the first epochs of an earlier training of this task on fewer images. Then
                training ends after as many, whose last gives the weights, and a schedule that
                goes by the validation loss goes by the earlier one.

        Returns:
            The history; a loss that is no longer finite ends it as "diverged".
        """
        training = Training(task, len(self.data.train))
        loop = self.begin(task, views)

        def train_epoch(number: int, rates: np.ndarray) -> Epoch:
            epoch = self.epoch(loop, task, views, number, rates)
            known = self.data.validation_labels
            return scored(epoch, task.metric, known, lambda: self.said(loop))

        result = training.run(train_epoch, loop.weights, on_epoch, replay)
        if not result.weights:
            return result
        return replace(result, probabilities=self.probabilities(loop, result.weights))

    def probabilities(self, loop: L, weights: Weights) -> np.ndarray:
        """Return what a head of some weights says; see `said`. The loop keeps its own."""
        current = loop.weights()
        loop.set_weights(weights)
        found = self.said(loop)
        loop.set_weights(current)
        return found

    @abstractmethod
    def begin(self, task: TrainingTask, views: V | None) -> L:
        """Return the loop of a task, at the task's first state."""

    @abstractmethod
    def turn(self, loop: L, task: TrainingTask) -> None:
        """Have a loop train and validate on this division; its state stays."""

    @abstractmethod
    def epoch(
        self, loop: L, task: TrainingTask, views: V | None, number: int, rates: np.ndarray
    ) -> Epoch:
        """Train an epoch and validate; the epoch has no score yet.

        Args:
            loop: of the task's kind, on this division.
            task: what is trained.
            views: see `train`.
            number: of the epoch, from 1.
            rates: learning rate of each step, float32.
        """

    @abstractmethod
    def said(self, loop: L) -> np.ndarray:
        """Return what a loop's head says of the images that validate, float32 (m, classes)."""
