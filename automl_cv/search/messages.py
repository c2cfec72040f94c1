"""What the search and its worker processes say to each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from automl_cv.history import Epoch, History, StopReason
from automl_cv.space import Value
from automl_cv.studyfile import Backbone, Stage


@dataclass(frozen=True)
class Images:
    """The images of a search, split by split.

    Args:
        paths: files to read, one a row.
        content_hashes: hash of each image's pixels.
        labels: class indices, int32, shape (rows,).
        splits: "train", "validation" or "test", shape (rows,).
        classes: names of the classes.
    """

    paths: tuple[str, ...]
    content_hashes: tuple[str, ...]
    labels: np.ndarray
    splits: np.ndarray
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Prepare:
    """Order: make sure that the features of all images are cached, and hold them ready."""

    images: Images
    backbone: Backbone
    cache_dir: Path


@dataclass(frozen=True)
class Extracting:
    """Answer to Prepare, many times: how far the extraction is."""

    done: int
    total: int
    images_per_second: float


@dataclass(frozen=True)
class Prepared:
    """Answer to Prepare, once: the features are there.

    Args:
        extracted: images that passed the backbone now; 0 where all were cached.
        dimension: length of a feature vector.
        seconds: what it took.
        versions: of the packages that decide numbers.
    """

    extracted: int
    dimension: int
    seconds: float
    versions: Mapping[str, str]


@dataclass(frozen=True)
class Survey:
    """Order: train the reference, and look for images that stand in two splits."""


@dataclass(frozen=True)
class Surveyed:
    """Answer to Survey.

    Args:
        reference: the logistic regression's figures.
        warnings: lines on images that stand in two splits.
    """

    reference: Mapping[str, Any]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Train:
    """Order: train one trial; the worker sends each Epoch and waits for a Verdict."""

    stage: Stage
    trial: int
    parameters: Mapping[str, Value]
    seed: int


@dataclass(frozen=True)
class Verdict:
    """Answer to an Epoch: why to stop, or None to go on."""

    stop: StopReason | None


@dataclass(frozen=True)
class Trained:
    """Answer to Train, once: the trial ended by itself or was stopped."""

    history: History
    optimizer_config: Mapping[str, Any]


@dataclass(frozen=True)
class Failed:
    """Answer to any order: it could not be carried out.

    Args:
        reason: one line.
        exit_code: 2 where the user's input is to blame, else 1.
        traceback: for `--debug`.
        history: what a trial had done.
    """

    reason: str
    exit_code: int
    traceback: str
    history: History = field(default_factory=History)


Order = Prepare | Survey | Train
Answer = Extracting | Prepared | Surveyed | Epoch | Trained | Failed
