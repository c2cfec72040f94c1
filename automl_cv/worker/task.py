"""One trial: from drawn parameters to a trained head. Runs in a worker process."""

from __future__ import annotations

from collections.abc import Mapping

from automl_cv.catalog.heads import HEADS
from automl_cv.catalog.metrics import ACCURACY
from automl_cv.catalog.networks import NETWORKS
from automl_cv.catalog.optimizers import OPTIMIZERS
from automl_cv.catalog.schedules import SCHEDULES
from automl_cv.engine.training import HeadTrainer, OnEpoch, TrainingResult, TrainingTask
from automl_cv.engine.views import Views
from automl_cv.study.parameters import drawn_settings
from automl_cv.study.space import Value
from automl_cv.study.stage import Stage


def task_of(
    stage: Stage, parameters: Mapping[str, Value], seed: int, metric: str = ACCURACY
) -> TrainingTask:
    """Return what a trial of `stage` trains.

    Args:
        stage: gives epochs, head or network, schedule, loss and class weights, and what is set of
            their parameters.
        parameters: drawn from the stage's space, which was checked to hold what is needed;
            they win over what the stage sets.
        seed: of weights, order and dropout.
        metric: the study's, an entry of the table of metrics.
    """
    optimizer = str(parameters["optimizer"])
    schedule = stage.schedule
    if stage.network is None:
        trained, own = stage.head, HEADS[stage.head.name].parameters
    else:
        name = str(parameters.get("network", stage.network.name))
        trained = stage.network.model_copy(update={"name": name})
        own = NETWORKS[name].parameters
    return TrainingTask(
        optimizer=optimizer,
        batch_size=int(parameters["batch_size"]),
        learning_rate=float(parameters["learning_rate"]),
        epochs=stage.epochs,
        seed=seed,
        optimizer_parameters=drawn_settings(OPTIMIZERS[optimizer].parameters, {}, parameters),
        head=trained.name,
        head_parameters=drawn_settings(own, trained.parameters, parameters),
        schedule=schedule.name,
        schedule_parameters=drawn_settings(
            SCHEDULES[schedule.name].parameters, schedule.parameters, parameters
        ),
        mixing=stage.augmentation_of(parameters).of_level("features"),
        loss=stage.loss.name,
        loss_parameters=stage.loss.parameters,
        class_weight=stage.class_weight,
        metric=metric,
    )


def run_trial(
    trainer: HeadTrainer,
    stage: Stage,
    parameters: Mapping[str, Value],
    seed: int,
    on_epoch: OnEpoch,
    views: Views | None = None,
    metric: str = ACCURACY,
) -> TrainingResult:
    """Train one trial; `on_epoch` is told each epoch and may stop it."""
    return trainer.train(task_of(stage, parameters, seed, metric), on_epoch, views)
