"""One training over its epochs, whatever trains: rates, best weights, divergence, checkpoints."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from automl_cv.catalog.schedules import SCHEDULES
from automl_cv.history import Epoch, History, StopReason
from automl_cv.study.trial import TrainingTask
from automl_cv.trained import OnEpoch, TrainingResult
from automl_cv.training.checkpoints import Checkpoint
from automl_cv.training.keras_config import optimizer_config
from automl_cv.training.schedules import Plan, Schedule

Weights = tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Training:
    """One task's training, epoch by epoch, to where it ends.

    Args:
        task: what is trained.
        images: how many train.
        started: when, on a monotonic clock, in seconds; before its model is made.
    """

    task: TrainingTask
    images: int
    started: float = field(default_factory=time.perf_counter)

    def run(
        self,
        train_epoch: Callable[[int, np.ndarray], Epoch],
        weights: Callable[[], Weights],
        on_epoch: OnEpoch,
        replay: Sequence[Epoch] = (),
        *,
        kept: Checkpoint | None = None,
        keep: Callable[[Sequence[Epoch], Weights], None] | None = None,
    ) -> TrainingResult:
        """Train until `on_epoch` stops it, a loss is not finite, or the epochs are used up.

        Args:
            train_epoch: trains an epoch and validates; is given its number, from 1, and the
                learning rate of each of its steps, float32.
            weights: returns a copy of the model's weights.
            on_epoch: see `Trainer.train`; is told the epochs of `kept` first, in order. Only its
                answer to the last of them counts, as it was answered to the others before.
            replay: see `Trainer.train`.
            kept: where the training stood when it was killed.
            keep: is given all epochs, and the weights at the best, after each.
        """
        schedule = schedule_of(self.task, self.images)
        epochs, held = ([], ()) if kept is None else (list(kept.epochs), kept.best)
        best = History(tuple(epochs)).best
        stop: StopReason | None = None
        error = None
        for epoch in epochs:
            stop = on_epoch(epoch)
        while stop is None and len(epochs) < (len(replay) or self.task.epochs):
            done = replay[: len(epochs)] if replay else epochs
            epoch = train_epoch(len(epochs) + 1, schedule(done))
            epochs.append(epoch)
            if not epoch.is_finite:
                stop, error = "diverged", f"the loss is not finite in epoch {epoch.epoch}"
                break
            if replay or best is None or epoch.merit > best.merit:
                best, held = epoch, weights()
            if keep is not None:
                keep(epochs, held)
            stop = on_epoch(epoch)
        history = History(
            epochs=tuple(epochs),
            stop_reason=stop or "epochs",
            error=error,
            seconds=time.perf_counter() - self.started,
        )
        return TrainingResult(history, held, optimizer_config(self.task))


def epoch_order(images: int, seed: int, epoch: int) -> np.ndarray:
    """Return the order in which an epoch visits the training images, int64, shape (images,)."""
    return np.random.default_rng([seed, epoch]).permutation(images)


def schedule_of(task: TrainingTask, images: int) -> Schedule:
    """Return the schedule of a task that trains on so many images."""
    entry = SCHEDULES[task.schedule]
    schedule: Schedule = entry.load()(
        Plan(task.learning_rate, task.epochs, -(-images // task.batch_size)),
        **entry.completed(task.schedule_parameters),
    )
    return schedule


def class_weights_of(task: TrainingTask, labels: np.ndarray, classes: int) -> np.ndarray | None:
    """Return what a task multiplies the loss of each class's images by; None for nothing.

    Args:
        task: says whether there are weights.
        labels: class indices of the training images, int32.
        classes: number of classes.
    """
    return None if task.class_weight is None else balanced_weights(labels, classes)


def balanced_weights(labels: NDArray[np.int32], classes: int) -> NDArray[np.float32]:
    """Return a weight for each class, with which all classes count alike.

    As scikit-learn's `compute_class_weight("balanced")`: images / (classes with images x images
    of the class). A class without images has weight 1; only others are weighted.

    Args:
        labels: class indices of the training images.
        classes: number of classes.

    Returns:
        float32, shape (classes,).
    """
    images = np.bincount(labels, minlength=classes)
    present = images > 0
    weights = np.ones(classes, np.float32)
    weights[present] = len(labels) / (present.sum() * images[present])
    return weights
