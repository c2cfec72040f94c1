"""One trial as a frozen plan: what is trained, on what, from which seed; resolved once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from automl_cv.catalog.augmentations import Augmentation
from automl_cv.catalog.metrics import ACCURACY
from automl_cv.catalog.optimizers import OPTIMIZERS
from automl_cv.catalog.schedules import SCHEDULES
from automl_cv.study.parameters import drawn_settings
from automl_cv.study.space import Value
from automl_cv.study.stage import TABLES, Stage
from automl_cv.study.studyfile import Backbone, StudyFile, drawn_backbone


@dataclass(frozen=True)
class TrainingTask:
    """What one training trains: everything its numbers depend on but the data.

    Args:
        optimizer: an entry of the table of optimizers.
        batch_size: images a step; the last batch of an epoch may be smaller.
        learning_rate: above 0; the highest of the schedule.
        epochs: passes over the training images at most.
        seed: decides first weights, the order of images in each epoch, dropout, which views of
            altered images are shown, and in what shares images are mixed.
        optimizer_parameters: searched hyperparameters of the optimizer, by name.
        head: an entry of the table of heads; of networks where a whole network is trained.
        head_parameters: parameters of the head or network, by name; defaults hold for the rest.
        schedule: an entry of the table of schedules.
        schedule_parameters: parameters of the schedule, by name; likewise.
        mixing: operations of level "features", which mix the images of a batch.
        loss: an entry of the table of losses.
        loss_parameters: parameters of the loss, by name; defaults hold for the rest.
        class_weight: "balanced" multiplies each image's training loss by a weight of its
            class, the higher the fewer images it has; None by nothing.
        metric: an entry of the table of metrics: what says which epoch is the best.
    """

    optimizer: str
    batch_size: int
    learning_rate: float
    epochs: int
    seed: int
    head: str
    head_parameters: Mapping[str, Any]
    optimizer_parameters: Mapping[str, float] = field(default_factory=dict)
    schedule: str = "constant"
    schedule_parameters: Mapping[str, Any] = field(default_factory=dict)
    mixing: Augmentation = Augmentation()
    loss: str = "cross_entropy"
    loss_parameters: Mapping[str, Any] = field(default_factory=dict)
    class_weight: Literal["balanced"] | None = None
    metric: str = ACCURACY


@dataclass(frozen=True)
class Inputs:
    """What a trial learns from, so far as it is made before any trial is trained.

    Args:
        stage: what the trial belongs to.
        backbone: the study's, with what the trial drew laid over it; of a network trained from
            scratch only the image size counts.
        augmentation: how training images are altered; false for not.
        heads: what the heads learn from that trials begin with; a trial's own has one, or none.
    """

    stage: Stage
    backbone: Backbone
    augmentation: Augmentation
    heads: tuple[Inputs, ...] = ()


@dataclass(frozen=True)
class Trial:
    """One trial, all of it decided. It travels from the search to a worker as it is.

    Args:
        number: its number in its stage.
        parameters: what it drew, or was given.
        inputs: what it learns from; its stage among that.
        task: what is trained.
        settings: parameters of its kind of training, by name.
        folds: how many folds of train and validation images there are; None for the splits.
        fold: which of them validates.
        head: the training that gives the head to begin with; None for first weights.
    """

    number: int
    parameters: Mapping[str, Value]
    inputs: Inputs
    task: TrainingTask
    settings: Mapping[str, Any]
    folds: int | None = None
    fold: int | None = None
    head: Trial | None = None

    @property
    def stage(self) -> Stage:
        """What it belongs to."""
        return self.inputs.stage

    @property
    def backbone(self) -> Backbone:
        """Whose features it learns from; of a network only the image size counts."""
        return self.inputs.backbone

    def of_seed(self, seed: int) -> Trial:
        """Return the same trial with other random numbers, its head's among them."""
        return replace(
            self,
            task=replace(self.task, seed=seed),
            head=self.head and self.head.of_seed(seed),
        )

    def on_splits(self) -> Trial:
        """Return the same trial, trained and validated on the splits and not on folds."""
        return replace(self, folds=None, fold=None, head=self.head and self.head.on_splits())


def plan(
    study: StudyFile,
    stage: Stage,
    number: int,
    parameters: Mapping[str, Value],
    *,
    seed: int,
    fold: int | None = None,
    head_stage: Stage | None = None,
) -> Trial:
    """Return a trial with all that its stage and its parameters decide.

    Args:
        study: gives backbone and metric.
        stage: what the trial belongs to.
        number: of the trial.
        parameters: of the trial.
        seed: of weights, order and dropout.
        fold: number of the fold of train and validation images that validates; None to
            validate on the validation images.
        head_stage: the stage whose training gives the head to begin with, on the same images;
            None for first weights.
    """
    head = None
    if head_stage is not None:
        head = plan(study, head_stage, number, parameters, seed=seed)
        head = replace(head, folds=stage.folds, fold=fold)
    return Trial(
        number=number,
        parameters=parameters,
        inputs=Inputs(
            stage=stage,
            backbone=drawn_backbone(study.backbone, parameters),
            augmentation=stage.augmentation_of(parameters),
            heads=() if head is None else (head.inputs,),
        ),
        task=task_of(stage, parameters, seed, study.metric),
        settings=drawn_settings(stage.training.parameters, stage.kind.parameters, parameters),
        folds=stage.folds,
        fold=fold,
        head=head,
    )


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
    key, trained = stage.training.trained, stage.trained
    # A space may hold the network itself; what is trained is then the trial's own.
    entry = TABLES[key][str(parameters.get(key, trained.name))]
    return TrainingTask(
        optimizer=optimizer,
        batch_size=int(parameters["batch_size"]),
        learning_rate=float(parameters["learning_rate"]),
        epochs=stage.epochs,
        seed=seed,
        optimizer_parameters=drawn_settings(OPTIMIZERS[optimizer].parameters, {}, parameters),
        head=entry.name,
        head_parameters=drawn_settings(entry.parameters, trained.parameters, parameters),
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
