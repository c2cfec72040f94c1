"""One trial as a frozen plan: what is trained, on what, from which seed; resolved once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from automl_cv.catalog.augmentations import Augmentation
from automl_cv.catalog.metrics import ACCURACY
from automl_cv.catalog.optimizers import OPTIMIZERS
from automl_cv.catalog.schedules import SCHEDULES
from automl_cv.history import Epoch
from automl_cv.study.parameters import drawn_settings
from automl_cv.study.space import Value
from automl_cv.study.stage import TABLES, Stage
from automl_cv.study.studyfile import Backbone, StudyFile, drawn_backbone


@dataclass(frozen=True)
class TrainingTask:
    """What one training trains: everything its numbers depend on but the data.

    Args:
        optimizer: an entry of the table of optimizers; empty, with a batch size and a rate of 0,
            for what is solved and not trained in steps.
        batch_size: images a step; the last batch of an epoch may be smaller.
        learning_rate: above 0; the highest of the schedule.
        epochs: passes over the training images at most.
        seed: decides first weights, the order of images in each epoch, dropout, which views of
            altered images are shown, and in what shares images are mixed.
        optimizer_parameters: own parameters of the optimizer, by name.
        head: an entry of the table of heads; of networks where a whole network is trained, of
            exact heads where one is solved.
        head_parameters: parameters of the head or network, by name; defaults hold for the rest.
        schedule: an entry of the table of schedules.
        schedule_parameters: parameters of the schedule, by name; likewise.
        mixing: operations of level "features", which mix the images of a batch.
        loss: an entry of the table of losses.
        loss_parameters: parameters of the loss, by name; defaults hold for the rest.
        class_weight: "balanced" multiplies each image's training loss by a weight of its
            class, the higher the fewer images it has; None by nothing.
        metric: an entry of the table of metrics: what says which epoch is the best.
        precision: see `Stage`.
    """

    optimizer: str
    batch_size: int
    learning_rate: float
    epochs: int
    seed: int
    head: str
    head_parameters: Mapping[str, Any]
    optimizer_parameters: Mapping[str, Any] = field(default_factory=dict)
    schedule: str = "constant"
    schedule_parameters: Mapping[str, Any] = field(default_factory=dict)
    mixing: Augmentation = Augmentation()
    loss: str = "cross_entropy"
    loss_parameters: Mapping[str, Any] = field(default_factory=dict)
    class_weight: Literal["balanced"] | None = None
    metric: str = ACCURACY
    precision: str = "float32"


@dataclass(frozen=True)
class Inputs:
    """What a trial learns from, so far as it is made before any trial is trained.

    Args:
        stage: what the trial belongs to.
        backbone: the study's, with what the trial drew laid over it; of a network trained from
            scratch only the image size counts.
        augmentation: how training images are altered; false for not.
        folds: see `Trial`.
        heads: what the heads learn from that trials begin with; a trial's own has one, or none.
    """

    stage: Stage
    backbone: Backbone
    augmentation: Augmentation
    folds: int | None = None
    heads: tuple[Inputs, ...] = ()


@dataclass(frozen=True)
class Member:
    """A trial that another one combines with others, and what came of it.

    Args:
        trial: the trial.
        replay: its epochs up to the best one.
        every: see `probabilities`.
        probabilities: what it said of the images that validated it, float32 (images, classes): of
            all, or of every second of them, or third.
    """

    trial: Trial
    replay: tuple[Epoch, ...]
    every: int = field(compare=False)
    probabilities: np.ndarray = field(compare=False)


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
        fold: which of them validates; None for each in turn, by a training of its own.
        head: the training that gives the head to begin with; None for first weights.
        members: the trials that it combines; none where it is a training of its own.
    """

    number: int
    parameters: Mapping[str, Value]
    inputs: Inputs
    task: TrainingTask
    settings: Mapping[str, Any]
    folds: int | None = None
    fold: int | None = None
    head: Trial | None = None
    members: tuple[Member, ...] = ()

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

    @property
    def is_out_of_fold(self) -> bool:
        """Whether each fold validates in turn, by a training of its own."""
        return self.folds is not None and self.fold is None

    def of_each_fold(self) -> tuple[Trial, ...]:
        """Return the trainings that it takes: one a fold, or itself."""
        if not self.is_out_of_fold:
            return (self,)
        return tuple(replace(self, fold=fold) for fold in range(self.folds or 0))

    def over(self, folds: int | None) -> Trial:
        """Return the same trial, validated on all of so many folds, or None for the splits."""
        return replace(
            self,
            inputs=replace(self.inputs, folds=folds),
            folds=folds,
            fold=None,
            head=self.head and self.head.over(folds),
        )


def plan(
    study: StudyFile,
    stage: Stage,
    number: int,
    parameters: Mapping[str, Value],
    *,
    seed: int,
    fold: int | None = None,
    head_stage: Stage | None = None,
    members: tuple[Member, ...] = (),
) -> Trial:
    """Return a trial with all that its stage and its parameters decide.

    Args:
        study: gives backbone and metric.
        stage: what the trial belongs to.
        number: of the trial.
        parameters: of the trial.
        seed: of weights, order and dropout.
        fold: number of the fold of train and validation images that validates; None for what
            validates in the study.
        head_stage: the stage whose training gives the head to begin with, on the same images;
            None for first weights.
        members: see `Trial`.
    """
    head, folds = None, study.folds_of(stage)
    if head_stage is not None:
        head = plan(study, head_stage, number, parameters, seed=seed)
        head = replace(head.over(folds), fold=fold)
    backbone = drawn_backbone(study.backbone, parameters)
    if members:  # all learn from one
        backbone = members[0].trial.backbone
    return Trial(
        number=number,
        parameters=parameters,
        inputs=Inputs(
            stage=stage,
            backbone=backbone,
            augmentation=stage.augmentation_of(parameters),
            folds=folds,
            heads=() if head is None else (head.inputs,),
        ),
        task=task_of(stage, parameters, seed, study.metric),
        settings=drawn_settings(stage.training.parameters, stage.kind.parameters, parameters),
        folds=folds,
        fold=fold,
        head=head,
        members=members,
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
    schedule = stage.schedule
    key, trained = stage.training.trained, stage.trained
    # A space may hold the network itself; what is trained is then the trial's own.
    name = str(parameters.get(key, trained.name))
    known = TABLES[key][name].parameters if key else {}
    own = drawn_settings(known, trained.parameters, parameters)
    if not stage.training.in_steps:
        return TrainingTask(
            optimizer="",
            batch_size=0,
            learning_rate=0.0,
            epochs=stage.epochs,
            seed=seed,
            head=name,
            head_parameters=own,
            metric=metric,
        )
    optimizer = str(parameters["optimizer"])
    return TrainingTask(
        optimizer=optimizer,
        batch_size=int(parameters["batch_size"]),
        learning_rate=float(parameters["learning_rate"]),
        epochs=stage.epochs,
        seed=seed,
        optimizer_parameters=drawn_settings(OPTIMIZERS[optimizer].parameters, {}, parameters),
        head=name,
        head_parameters=own,
        schedule=schedule.name,
        schedule_parameters=drawn_settings(
            SCHEDULES[schedule.name].parameters, schedule.parameters, parameters
        ),
        mixing=stage.augmentation_of(parameters).of_level("features"),
        loss=stage.loss.name,
        loss_parameters=stage.loss.parameters,
        class_weight=stage.class_weight,
        metric=metric,
        precision=stage.precision,
    )


def method_of(parameters: Mapping[str, Any]) -> str:
    """Return what trains a trial, as far as it drew it: an optimizer or an exact head; else ""."""
    return str(parameters.get("optimizer", parameters.get("exact", "")))
