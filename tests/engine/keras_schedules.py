"""Keras's own objects for the schedules of our table."""

from __future__ import annotations

from automl_cv.engine import runtime
from automl_cv.training.schedules import Plan

keras = runtime.keras
schedules = keras.optimizers.schedules


def exponential(plan: Plan, *, final_fraction: float):
    return schedules.ExponentialDecay(plan.learning_rate, plan.steps, final_fraction)


def step(plan: Plan, *, drops: int, drop_factor: float):
    part = -(-plan.epochs // (drops + 1)) * plan.steps_per_epoch
    return schedules.ExponentialDecay(plan.learning_rate, part, drop_factor, staircase=True)


def cosine(plan: Plan, *, final_fraction: float):
    return schedules.CosineDecay(plan.learning_rate, plan.steps, alpha=final_fraction)


def one_cycle(plan: Plan, *, warmup_fraction: float, first_fraction: float, final_fraction: float):
    rising = min(round(warmup_fraction * plan.steps), plan.steps - 1)
    return schedules.CosineDecay(
        plan.learning_rate * first_fraction,
        plan.steps - rising,
        alpha=final_fraction,
        warmup_target=plan.learning_rate,
        warmup_steps=rising,
    )


FIXED = {"exponential": exponential, "step": step, "cosine": cosine, "one_cycle": one_cycle}


def plateau_callback(
    plan: Plan,
    *,
    plateau_factor: float,
    plateau_patience: int,
    plateau_delta: float,
    plateau_cooldown: int,
    final_fraction: float,
):
    return keras.callbacks.ReduceLROnPlateau(
        factor=plateau_factor,
        patience=plateau_patience,
        min_delta=plateau_delta,
        cooldown=plateau_cooldown,
        min_lr=plan.learning_rate * final_fraction,
        mode="min",
    )
