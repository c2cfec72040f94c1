"""The schedules of the table: the learning rate of every step of a trial.

Each does the arithmetic of a class of Keras's, for all steps at once. Keras's own
objects are asked step by step, and a call takes longer than the step it is for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from automl_cv.history import Epoch


@dataclass(frozen=True)
class Plan:
    """What a schedule is laid out over.

    Args:
        learning_rate: the trial's learning rate, the highest of every schedule.
        epochs: passes over the training images that the trial takes at most.
        steps_per_epoch: batches an epoch, the last, smaller one included.
    """

    learning_rate: float
    epochs: int
    steps_per_epoch: int

    @property
    def steps(self) -> int:
        """Steps of the whole trial."""
        return self.epochs * self.steps_per_epoch


Schedule = Callable[[Sequence[Epoch]], np.ndarray]
"""Is given the epochs that are done; returns the next one's rates, shape (steps_per_epoch,)."""


def constant(plan: Plan) -> Schedule:
    """Return the same rate for every step."""
    return _laid_out(plan, np.full(plan.steps, plan.learning_rate))


def exponential(plan: Plan, *, final_fraction: float) -> Schedule:
    """Return `keras.optimizers.schedules.ExponentialDecay` over the whole trial.

    Args:
        plan: what it is laid out over.
        final_fraction: of the first rate that is left at the trial's end.
    """
    done = np.arange(plan.steps) / plan.steps
    return _laid_out(plan, plan.learning_rate * final_fraction**done)


def step(plan: Plan, *, drops: int, drop_factor: float) -> Schedule:
    """Return `ExponentialDecay(staircase=True)`, which drops between epochs.

    Args:
        plan: what it is laid out over.
        drops: the epochs are divided into one part more, of equal length rounded up.
        drop_factor: by which the rate is multiplied after each part.
    """
    part = -(-plan.epochs // (drops + 1)) * plan.steps_per_epoch
    return _laid_out(plan, plan.learning_rate * drop_factor ** (np.arange(plan.steps) // part))


def cosine(plan: Plan, *, final_fraction: float) -> Schedule:
    """Return `keras.optimizers.schedules.CosineDecay` over the whole trial.

    One period of Loshchilov and Hutter 2016 (https://arxiv.org/abs/1608.03983), without
    their restarts.

    Args:
        plan: what it is laid out over.
        final_fraction: of the first rate that is left at the trial's end.
    """
    return _laid_out(plan, plan.learning_rate * _half_cosine(plan.steps, final_fraction))


def one_cycle(
    plan: Plan, *, warmup_fraction: float, first_fraction: float, final_fraction: float
) -> Schedule:
    """Return `CosineDecay` with its warm-up.

    The rate rises in a straight line (Goyal et al. 2017, https://arxiv.org/abs/1706.02677)
    and falls along half a cosine. This is the learning rate's part of Smith's 1cycle
    (https://arxiv.org/abs/1708.07120), which falls in a line; momentum is left alone.

    Args:
        plan: what it is laid out over.
        warmup_fraction: share of the steps in which the rate rises, rounded to whole
            steps; at least one step is left to fall in.
        first_fraction: of the highest rate, where it begins.
        final_fraction: of the highest rate, what is left at the trial's end.
    """
    rising = min(round(warmup_fraction * plan.steps), plan.steps - 1)
    rise = first_fraction + (1 - first_fraction) * np.arange(rising) / max(rising, 1)
    fall = _half_cosine(plan.steps - rising, final_fraction)
    return _laid_out(plan, plan.learning_rate * np.concatenate([rise, fall]))


def reduce_on_plateau(
    plan: Plan,
    *,
    plateau_factor: float,
    plateau_patience: int,
    plateau_delta: float,
    plateau_cooldown: int,
    final_fraction: float,
) -> Schedule:
    """Return the rates that `keras.callbacks.ReduceLROnPlateau` sets, by validation loss.

    Args:
        plan: what it is laid out over.
        plateau_factor: by which the rate is multiplied.
        plateau_patience: epochs without improvement after which it is.
        plateau_delta: validation loss must fall by more than this to improve.
        plateau_cooldown: epochs after a reduction that do not count.
        final_fraction: of the first rate, below which it never falls.
    """

    def rates(epochs: Sequence[Epoch]) -> np.ndarray:
        rate = plateau_rate(
            [epoch.val_loss for epoch in epochs],
            plan.learning_rate,
            factor=plateau_factor,
            patience=plateau_patience,
            min_delta=plateau_delta,
            cooldown=plateau_cooldown,
            lowest=plan.learning_rate * final_fraction,
        )
        return np.full(plan.steps_per_epoch, rate, np.float32)

    return rates


def plateau_rate(
    losses: Sequence[float],
    rate: float,
    *,
    factor: float,
    patience: int,
    min_delta: float,
    cooldown: int,
    lowest: float,
) -> float:
    """Return the rate that `keras.callbacks.ReduceLROnPlateau` leaves after these epochs.

    Args:
        losses: of validation, one an epoch, from the first.
        rate: of the first epoch.
        factor: by which the rate is multiplied, below 1.
        patience: epochs without improvement after which it is.
        min_delta: a loss must be lower than the best by more than this to improve.
        cooldown: epochs after a reduction that do not count.
        lowest: the rate never falls below it.
    """
    # The callback compares losses, and keeps the rate, as float32.
    rate = float(np.float32(rate))
    best, wait, cooling = None, 0, 0
    for loss in losses:
        if cooling:
            cooling, wait = cooling - 1, 0
        if best is None or np.float32(loss + min_delta) < np.float32(best):
            best, wait = loss, 0
        elif not cooling:
            wait += 1
            if wait >= patience and rate > np.float32(lowest):
                rate = float(np.float32(max(rate * factor, lowest)))
                cooling, wait = cooldown, 0
    return rate


def _half_cosine(steps: int, final_fraction: float) -> np.ndarray:
    falling = 0.5 * (1 + np.cos(np.pi * np.arange(steps) / steps))
    return (1 - final_fraction) * falling + final_fraction


def _laid_out(plan: Plan, rates: np.ndarray) -> Schedule:
    """Return a schedule that was known before the trial: each epoch takes its rows."""
    by_epoch = rates.astype(np.float32).reshape(plan.epochs, plan.steps_per_epoch)
    return lambda epochs: by_epoch[len(epochs)]
