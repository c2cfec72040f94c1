"""One trial of a stage that fine-tunes: its head first, as before. Runs in a worker process."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

from automl_cv.catalog.pruners import PRUNERS
from automl_cv.engine.training import OnEpoch, TrainingResult, TrainingTask
from automl_cv.history import Epoch, StopReason
from automl_cv.orders import messages
from automl_cv.study.space import Value
from automl_cv.study.stage import Stage
from automl_cv.worker.features import Trainers
from automl_cv.worker.task import task_of


def fine_tune(trainers: Trainers, order: messages.Train, on_epoch: OnEpoch) -> TrainingResult:
    """Train a trial's head as the stage above did, then the last blocks with it.

    The head is trained again rather than stored with each trial: on cached features it takes
    seconds, and comes out the same to the bit.

    Args:
        trainers: hold features and maps.
        order: of a stage with `fine_tune`.
        on_epoch: is told each epoch of fine-tuning, not those of the head.

    Returns:
        The history of fine-tuning alone; its seconds include the head's. A head without a
        finite epoch ends it before its first.
    """
    assert order.stage.fine_tune is not None and order.head_stage is not None
    started = time.perf_counter()
    head = trainers.trainer(order.stage, order.parameters, order.fold).train(
        task_of(order.head_stage, order.parameters, order.seed, trainers.metric),
        plateau(order.head_stage),
        trainers.views(order.head_stage, order.parameters),
    )
    if not head.weights:
        error = "the head that fine-tuning begins with: " + str(head.history.error)
        return replace(head, history=replace(head.history, epochs=(), error=error))
    task = tuning_task(order.stage, order.parameters, order.seed, trainers.metric)
    result = (
        trainers.tuner(order.stage, order.parameters, order.fold)
        .trainer(head.weights)
        .train(task, on_epoch, order.checkpoint)
    )
    seconds = time.perf_counter() - started
    return replace(result, history=replace(result.history, seconds=seconds))


def tuning_task(
    stage: Stage, parameters: Mapping[str, Value], seed: int, metric: str
) -> TrainingTask:
    """Return what a trial fine-tunes, at its lowered rate; see `objective.task_of`."""
    assert stage.fine_tune is not None
    task = task_of(stage, parameters, seed, metric)
    return replace(task, learning_rate=task.learning_rate * stage.fine_tune.rate_factor)


def plateau(stage: Stage) -> OnEpoch:
    """Return what stops a head where the stage's pruner did, without any other trial.

    Pruners that compare trials stop none of those that are trained again.
    """
    entry = PRUNERS[stage.pruner.name]
    if entry.stop_means == "drop":
        return lambda epoch: None
    import optuna  # loads for a second, and other workers have no use for it

    study = optuna.create_study(
        direction="maximize", pruner=entry.load()(**stage.pruner.parameters)
    )
    trial = study.ask()

    def on_epoch(epoch: Epoch) -> StopReason | None:
        trial.report(epoch.merit, epoch.epoch)
        return "plateau" if trial.should_prune() else None

    return on_epoch
