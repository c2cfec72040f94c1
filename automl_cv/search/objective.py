"""One trial: from drawn parameters to a trained head. Runs in a worker process."""

from __future__ import annotations

from collections.abc import Mapping

from automl_cv.catalog.optimizers import OPTIMIZERS
from automl_cv.engine.training import HeadTrainer, OnEpoch, TrainingResult, TrainingTask
from automl_cv.space import Value
from automl_cv.studyfile import Stage


def task_of(stage: Stage, parameters: Mapping[str, Value], seed: int) -> TrainingTask:
    """Return what a trial of `stage` trains.

    Args:
        stage: gives epochs and head.
        parameters: drawn from the stage's space, which was checked to hold what is needed.
        seed: of weights and order.
    """
    optimizer = str(parameters["optimizer"])
    own = OPTIMIZERS[optimizer].parameters
    return TrainingTask(
        optimizer=optimizer,
        batch_size=int(parameters["batch_size"]),
        learning_rate=float(parameters["learning_rate"]),
        epochs=stage.epochs,
        seed=seed,
        optimizer_parameters={name: float(parameters[name]) for name in own if name in parameters},
        head=stage.head.name,
        head_parameters=stage.head.parameters,
    )


def run_trial(
    trainer: HeadTrainer,
    stage: Stage,
    parameters: Mapping[str, Value],
    seed: int,
    on_epoch: OnEpoch,
) -> TrainingResult:
    """Train one trial; `on_epoch` is told each epoch and may stop it."""
    return trainer.train(task_of(stage, parameters, seed), on_epoch)
