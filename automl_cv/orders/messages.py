"""What the search and its worker processes say to each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from automl_cv.catalog.augmentations import Augmentation
from automl_cv.history import Epoch, History, StopReason
from automl_cv.orders.images import Images
from automl_cv.saved.facts import Calibration, Foreign
from automl_cv.study.studyfile import Backbone
from automl_cv.study.trial import Inputs, Trial


@dataclass(frozen=True)
class Prepare:
    """Order: make sure that the features of all images are cached, and hold them ready.

    Args:
        images: all of them.
        backbone: the study's own; trials that draw another one need PrepareFeatures.
        cache_dir: where they are kept.
        seed: the study's; views and folds derive from it.
        metric: the study's, an entry of the table of metrics.
        folds: how many folds of train and validation images validate; None for the split.
        extracts: whether the features of `backbone` are made ready at once; False where a first
            stage has yet to find out which are worth it.
    """

    images: Images
    backbone: Backbone
    cache_dir: Path
    seed: int
    metric: str
    folds: int | None = None
    extracts: bool = True


@dataclass(frozen=True)
class PrepareFeatures:
    """Order: do the same for another backbone, or for altered images; answered like Prepare.

    Args:
        backbone: what makes the features.
        augmentation: how training images are altered; None for all images as they are.
        views: altered views of each training image. "online" caches nothing: the worker
            gets ready to run the backbone in each epoch, and measures its speed.
        splits: which of the images are altered.
        n_blocks: in place of features, the feature maps that the last blocks start from, of
            the images that train and validate; 0 for features.
        images: of a sample of about so many train and validation images alone; None for all.
    """

    backbone: Backbone
    augmentation: Augmentation | None = None
    views: int | Literal["online"] = 1
    splits: tuple[str, ...] = ("train",)
    n_blocks: int = 0
    images: int | None = None

    def __str__(self) -> str:
        """Return a line for people: "compact, 24 pixels, all blocks, 8 views: zoom 0.1"."""
        size = "its own size" if self.backbone.image_size is None else "{} pixels"
        blocks = {"last": "last block", "all": "all blocks"}[self.backbone.features]
        text = f"{self.backbone.name}, {size.format(self.backbone.image_size)}, {blocks}"
        if self.n_blocks:
            text = f"{self.backbone.name}, {size.format(self.backbone.image_size)}"
            last = "last block" if self.n_blocks == 1 else f"last {self.n_blocks} blocks"
            text += f", maps before the {last}"
        if self.augmentation is not None:
            text += f", {self.views} views: {self.augmentation}"
        return text if self.images is None else f"{text}, a sample of {self.images}"


def views_order(inputs: Inputs) -> PrepareFeatures | None:
    """Return the order for the altered images that a trial trains on; None where it has none.

    Args:
        inputs: of the trial.
    """
    altering = inputs.augmentation.of_level("image", "batch")
    if not altering:
        return None
    if inputs.stage.views == "online":
        return PrepareFeatures(inputs.backbone, views="online")
    splits = ("train",) if inputs.folds is None else ("train", "validation")
    return PrepareFeatures(inputs.backbone, altering, inputs.stage.views, splits)


@dataclass(frozen=True)
class PreparePixels:
    """Order: decode all images once, for networks that train on pixels; answered like Prepare.

    Args:
        images: see `PrepareFeatures`.
    """

    images: int | None = None

    def __str__(self) -> str:
        """Return a line for people."""
        return "pixels"


Need = PrepareFeatures | PreparePixels
"""What a trial may need to be at hand before it is trained."""


@dataclass(frozen=True)
class Look:
    """Order: say how many images have no cached features of an order; answered Lacking."""

    order: PrepareFeatures


@dataclass(frozen=True)
class Lacking:
    """Answer to Look: so many images, or views of them, have to pass the backbone."""

    count: int


@dataclass(frozen=True)
class Extract:
    """Order: put the features of a share of the images into the cache; nothing is held.

    Args:
        order: which features.
        share: which share, from 0; an image's content says which it is in.
        shares: how many there are.
        is_begun: whether another worker may have put some of it there.
    """

    order: PrepareFeatures
    share: int
    shares: int
    is_begun: bool = False


@dataclass(frozen=True)
class Extracted:
    """Answer to Extract, once: so many images have passed the backbone."""

    count: int


@dataclass(frozen=True)
class Ask:
    """Order: say what trials need to be at hand; nothing is made ready yet.

    Args:
        inputs: what trials of one stage learn from.
    """

    inputs: tuple[Inputs, ...]


@dataclass(frozen=True)
class Needed:
    """Answer to Ask: the orders that make it ready, each once."""

    orders: tuple[Need, ...]


@dataclass(frozen=True)
class SpaceNeeded:
    """Answer to Look or PrepareFeatures, before a large extraction: it takes so much of the disk.

    Args:
        n_bytes: what will be written.
        free: what is free there now, in bytes.
        folder: where.
    """

    n_bytes: int
    free: int
    folder: Path


@dataclass(frozen=True)
class Extracting:
    """Answer to Prepare or Extract, many times: so many images have passed the backbone."""

    done: int
    total: int
    images_per_second: float


OnProgress = Callable[[int, int, float], None]
"""Is told the same: (images done, images to do, images a second)."""


@dataclass(frozen=True)
class Prepared:
    """Answer to Prepare, once: the features are there.

    Args:
        extracted: images that passed the backbone now; 0 where all were cached.
        dimension: length of a feature vector.
        seconds: what it took; of "online" views what these images took, all else left out.
        versions: of the packages that decide numbers.
        milliseconds: an image takes, measured when most of these features were extracted; None
            where that is not known.
    """

    extracted: int
    dimension: int
    seconds: float
    versions: Mapping[str, str]
    milliseconds: float | None = None


@dataclass(frozen=True)
class Survey:
    """Order: train the reference, and look for images that stand in two splits.

    Args:
        backbone: whose features, which are ready, both go by; None for the study's own.
    """

    backbone: Backbone | None = None


@dataclass(frozen=True)
class Surveyed:
    """Answer to Survey: the reference is trained and the splits are compared.

    Args:
        reference: the logistic regression's figures.
        warnings: lines on images that stand in two splits.
    """

    reference: Mapping[str, Any]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Train:
    """Order: train one trial; the worker sends each Epoch, and waits for a Verdict.

    Args:
        trial: what is trained.
        checkpoint: folder of the trial's checkpoint; None where trials are short.
        next_ask: epochs before this one don't wait: an answer may take longer than an epoch.
    """

    trial: Trial
    checkpoint: Path | None = None
    next_ask: int = 0


@dataclass(frozen=True)
class Fit:
    """Order: train a trial on train and validation images, write the whole network.

    The worker sends each Epoch of each training and waits for nothing.

    Args:
        given: all images, and what else a search begins with.
        trials: the trial, once for each training; their logits are averaged.
        replay: the epochs of the search to go by, the last of them the best.
        path: the file of the network.
        calibrate: train on the training images alone first, and fit a temperature on the
            validation images.
        checkpoints: folder of the trainings' checkpoints; None where they are short.
        promised: the lowest accuracy on other images that the search lets one expect; 0 for
            nothing.
    """

    given: Prepare
    trials: tuple[Trial, ...]
    replay: tuple[Epoch, ...]
    path: Path
    calibrate: bool = False
    checkpoints: Path | None = None
    promised: float = 0.0


@dataclass(frozen=True)
class Fitted:
    """Answer to Fit, once: the network is written.

    Args:
        histories: of each training, without anything that validates.
        image_size: height and width that the network resizes images to, in pixels.
        weights: numbers that the network holds.
        difference: largest difference between probabilities of the written network, read back,
            on files, and of what was trained, on the same images.
        versions: of the packages that decide numbers.
        calibration: None where none was asked for.
        accuracy: on images that it was trained on.
        seeds: of the trainings whose logits are averaged.
        note: what a reader must know of the training, one line; None for nothing.
        foreign: what it calls foreign; None where it can't tell.
    """

    histories: tuple[History, ...]
    image_size: int
    weights: int
    difference: float
    versions: Mapping[str, str]
    calibration: Calibration | None = None
    accuracy: float = 1.0
    seeds: tuple[int, ...] = ()
    note: str | None = None
    foreign: Foreign | None = None


@dataclass(frozen=True)
class Verdict:
    """Answer to an Epoch: why to stop, or None to go on.

    Args:
        stop: why the trial has ended.
        is_cut: the time ended; the trial is given up, and answered with Failed. Sent after any
            epoch, whether the worker waits or not.
        next_ask: see `Train`, of the epochs to come.
    """

    stop: StopReason | None
    is_cut: bool = False
    next_ask: int = 0


@dataclass(frozen=True)
class Trained:
    """Answer to Train, once: the trial ended by itself or was stopped.

    Args:
        history: every epoch, and why it ended.
        optimizer_config: the optimizer's whole configuration.
        probabilities: of the images that validate, at the best epoch, float32 (images, classes);
            None where nobody keeps them.
    """

    history: History
    optimizer_config: Mapping[str, Any]
    probabilities: np.ndarray | None = None


@dataclass(frozen=True)
class Failed:
    """Answer to any order: it could not be carried out.

    Args:
        reason: one line.
        exit_code: 2 where the user's input is to blame, else 1.
        traceback: for `--debug`.
        history: what a trial had done.
        is_dead: the worker's process ended before it could answer: killed, or by what it did.
        is_lost: its machine was lost, which says nothing of what it carried out.
    """

    reason: str
    exit_code: int
    traceback: str
    history: History = field(default_factory=History)
    is_dead: bool = False
    is_lost: bool = False


@dataclass(frozen=True)
class Load:
    """Load modules; there is no answer. Sent once, first of all, to a process held in reserve.

    Args:
        modules: their names.
    """

    modules: tuple[str, ...]


Order = Prepare | Need | Look | Extract | Ask | Survey | Train | Fit
Answer = (
    Extracting | SpaceNeeded | Prepared | Lacking | Extracted | Needed | Surveyed | Epoch | Trained
) | (Fitted | Failed)
