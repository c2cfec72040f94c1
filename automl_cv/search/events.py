"""What a search tells whoever watches it: plain data, in the order in which it happens.

What a worker answers and the watcher wants as it is, is passed on: Extracting, SpaceNeeded,
Surveyed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from automl_cv.catalog.metrics import MetricEntry
from automl_cv.history import Epoch, History
from automl_cv.orders.messages import Extracting as Extracting
from automl_cv.orders.messages import SpaceNeeded as SpaceNeeded
from automl_cv.orders.messages import Surveyed as Surveyed
from automl_cv.store.facts import Narrowed
from automl_cv.study.space import Value


@dataclass(frozen=True)
class Inspecting:
    """So many of the source's files have been looked at, or of built-in images written.

    Args:
        done: how many.
        total: of how many.
        what: "inspecting images" or "writing built-in images".
    """

    done: int
    total: int
    what: str


@dataclass(frozen=True)
class DataRead:
    """The images are known and split.

    Args:
        source: as the user wrote it.
        images: number of images by split.
        classes: names of the classes.
        skipped: files left out because they could not be read.
        warnings: lines for the user.
    """

    source: str
    images: Mapping[str, int]
    classes: tuple[str, ...]
    skipped: int
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class RunChosen:
    """The run is known that this search begins, or goes on with.

    Args:
        run: its name: "quickstart", or "quickstart@2".
        study: the study file as plain data, every default written out.
    """

    run: str
    study: Mapping[str, Any]


@dataclass(frozen=True)
class BackbonesAtHand:
    """A study leaves the backbone to what is on this machine.

    Args:
        line: for people.
        names: of what races.
        downloads: megabytes of those that Keras would download, by name; none is.
    """

    line: str
    names: tuple[str, ...]
    downloads: Mapping[str, float]


@dataclass(frozen=True)
class OtherImages:
    """A run begins beside earlier ones of the study, which have other images.

    Args:
        run: its name.
        other: the latest one before it.
    """

    run: str
    other: str


@dataclass(frozen=True)
class FeaturesReady:
    """Every image's features are cached.

    Args:
        extracted: images that passed the backbone now.
        dimension: length of a feature vector.
        seconds: what it took.
        of: what they are features of, where it is not the study's backbone and its images as
            they are: "compact, 24 pixels, all blocks".
    """

    extracted: int
    dimension: int
    seconds: float
    of: str = ""


@dataclass(frozen=True)
class ViewsWanted:
    """A stage searches augmentations: so many of them are extracted, if they are not cached.

    Args:
        stage: its name.
        augmentations: combinations of what its trials may draw.
        views: of each image, for each of them.
        images: that are altered.
    """

    stage: str
    augmentations: int
    views: int
    images: int


@dataclass(frozen=True)
class BackboneEachEpoch:
    """A stage runs the backbone in every epoch of every trial.

    Args:
        stage: its name.
        images: that pass it in each epoch.
        images_per_second: measured.
    """

    stage: str
    images: int
    images_per_second: float


@dataclass(frozen=True)
class Surveying:
    """The reference is fitted, and near copies in two splits are looked for."""


@dataclass(frozen=True)
class StageNarrowed:
    """The space of a stage is derived from the best trials of a stage before it.

    Args:
        stage: its name.
        source: the stage before it.
        trials: the best trials of that stage.
        space: what is searched, as text by parameter.
        reasons: why, by parameter.
        warnings: lines for the user.
    """

    stage: str
    source: str
    trials: tuple[int, ...]
    space: Mapping[str, str]
    reasons: Mapping[str, str]
    warnings: tuple[str, ...]

    @classmethod
    def of(cls, stage: str, narrowed: Narrowed) -> StageNarrowed:
        """Return the event that tells of a stage's derived space."""
        return cls(
            stage=stage,
            source=narrowed.stage,
            trials=narrowed.trials,
            space={name: str(one) for name, one in narrowed.space.parameters.items()},
            reasons=narrowed.reasons,
            warnings=narrowed.warnings,
        )


@dataclass(frozen=True)
class StageStarted:
    """A stage begins, or goes on.

    Args:
        stage: its name.
        trials: finished trials it wants.
        finished: those that earlier runs finished.
        best: best of the metric so far, by optimizer or exact head.
        metric: the study's, an entry of the table of metrics.
        images: about how many of them its trials see; None for all.
    """

    stage: str
    trials: int
    finished: int
    best: Mapping[str, float]
    metric: str
    images: int | None = None


@dataclass(frozen=True)
class SpaceExhausted:
    """A stage asks for more trials than its space holds parameter sets.

    Args:
        stage: its name.
        sets: all that there are; each is tried once.
        asked: trials that the study asks for.
    """

    stage: str
    sets: int
    asked: int


@dataclass(frozen=True)
class StageWaits:
    """A stage is not begun: the time ended, for it or for one that it rests on."""

    stage: str


@dataclass(frozen=True)
class TrialRedrawn:
    """A trial drew the parameter set that another one has, and was drawn anew.

    Args:
        stage: its stage.
        trial: its number.
        same_as: number of the other trial.
    """

    stage: str
    trial: int
    same_as: int


@dataclass(frozen=True)
class TrialBroke:
    """A trial broke, most often with its worker's process, and runs again.

    Args:
        stage: its stage.
        trial: its number.
        reason: why it broke.
    """

    stage: str
    trial: int
    reason: str


@dataclass(frozen=True)
class TrialStarted:
    """A worker trains a trial."""

    stage: str
    trial: int
    parameters: Mapping[str, Value]


@dataclass(frozen=True)
class EpochEnded:
    """A running trial has finished an epoch of `epochs`."""

    stage: str
    trial: int
    epoch: Epoch
    epochs: int


@dataclass(frozen=True)
class TrialEnded:
    """A trial is over and stored.

    Args:
        stage: its stage.
        trial: its number.
        parameters: what was trained.
        history: every epoch, and why it stopped.
        finished: trials of the stage that are finished now.
    """

    stage: str
    trial: int
    parameters: Mapping[str, Value]
    history: History
    finished: int


@dataclass(frozen=True)
class StageEnded:
    """A stage has all its trials, or the time is up.

    Args:
        stage: its name.
        finished: finished trials.
        seconds: what this run spent on it.
        shortfall: what is missing, and why: "4 of 10 trials (the time ended)"; None if nothing.
    """

    stage: str
    finished: int
    seconds: float
    shortfall: str | None = None


Event = (
    Inspecting
    | DataRead
    | RunChosen
    | BackbonesAtHand
    | OtherImages
    | Extracting
    | SpaceNeeded
    | FeaturesReady
    | ViewsWanted
    | BackboneEachEpoch
    | Surveying
    | Surveyed
    | StageNarrowed
    | StageStarted
    | SpaceExhausted
    | StageWaits
    | TrialRedrawn
    | TrialBroke
    | TrialStarted
    | EpochEnded
    | TrialEnded
    | StageEnded
)
Listener = Callable[[Event], None]


def figures_of(epoch: Epoch, metric: MetricEntry) -> dict[str, float]:
    """Return the figures of an epoch by name, as the columns of the leaderboard are called.

    Args:
        epoch: of a trial.
        metric: the study's, an entry of the table of metrics.
    """
    names = ("accuracy", "val_accuracy", "loss", "val_loss", "learning_rate", "seconds")
    found: dict[str, float] = {name: getattr(epoch, name) for name in names}
    if metric.has_own_column and epoch.score is not None:
        found[metric.name] = metric.score(epoch.score)
    return found
