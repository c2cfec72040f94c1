"""bundle.json: what is known of a saved classifier, written by `fit` and checked when read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from hashlib import blake2b
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from automl_cv.catalog.engines import AUTO, TENSORFLOW
from automl_cv.catalog.kinds import DEFAULT_KIND, KINDS
from automl_cv.catalog.metrics import ACCURACY
from automl_cv.data.images import Window
from automl_cv.data.ledger import stored_window
from automl_cv.scoring import overconfidence

# Grows when an older automl-cv could no longer use what a newer one writes. 2 has a distance
# beside the probabilities; a classifier without one is written as 1, as before.
FORMATS: tuple[Literal[1, 2], ...] = (1, 2)


def checksum_of(raw: Mapping[str, Any]) -> str:
    """Return the checksum of a manifest as plain data, however it is laid out: "blake2b:…"."""
    kept = {name: value for name, value in raw.items() if name != "checksum"}
    text = json.dumps(kept, sort_keys=True).encode()
    return f"blake2b:{blake2b(text, digest_size=16).hexdigest()}"


class Facts(BaseModel):
    """Frozen plain data; keys of a newer automl-cv with the same format are left out."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Data(Facts):
    """The images that a classifier was fitted on.

    Args:
        source: folder, manifest or built-in name.
        fingerprint: hash of the images, their labels and their splits.
        split_sizes: number of images by split.
        ledger: what became of each file: `automl_cv.data.ledger.Ledger` as plain data.
        licence: of the images; None where nobody said.
    """

    source: str
    fingerprint: str
    split_sizes: dict[str, int]
    ledger: dict[str, Any]
    licence: str | None = None

    @property
    def window(self) -> Window | None:
        """Which values of deep greys become black and white; None for the whole of 16 bits."""
        return stored_window(self.ledger)


class Metric(Facts):
    """What the search went by, on validation images.

    Args:
        name: an entry of the table of metrics.
        value: at the best epoch; over repeats their mean.
        low: lower end of its 95 % interval; None where nothing repeats.
        high: upper end.
        over: what it is over: "5 seeds, the same 35 validation images".
    """

    name: str
    value: float
    low: float | None
    high: float | None
    over: str


class CorrectedFigures(Facts):
    """The winner's figures, less what they owe to its having been chosen by them.

    Args:
        value: of what it was chosen by.
        low: lower end of its 95 % interval.
        high: upper end.
        loss: log loss.
        loss_low: lower end of its 95 % interval.
        loss_high: upper end.
        trials: that it was chosen from.
        note: what a reader must know of the choice, one line; None for nothing.
    """

    value: float
    low: float
    high: float
    loss: float
    loss_low: float
    loss_high: float
    trials: int
    note: str | None = None


class Validation(Facts):
    """What the search measured of the winner, before it was fitted on the validation images too.

    Args:
        accuracy: share of validation images classified right at the best epoch; over repeats
            their mean.
        low: lower end of its 95 % interval; None where one repeat gives none.
        high: upper end.
        loss: cross-entropy there.
        over: what the interval is over: "1,797 images", "3 folds", "5 seeds, the same 35
            validation images".
        metric: what the winner was chosen by; None where that is accuracy.
        over_images: ends of the 95 % interval of the accuracy over validation images, where
            `low` and `high` are over seeds and say nothing of the images.
        classes: how many there are; None where it is not known.
        corrected: for the choice; None where it was chosen otherwise than as the first of many
            trials, or what trials said of the images is not known.
    """

    accuracy: float
    low: float | None
    high: float | None
    loss: float
    over: str
    metric: Metric | None = None
    over_images: tuple[float, float] | None = None
    classes: int | None = None
    corrected: CorrectedFigures | None = None

    @property
    def chosen_by(self) -> Metric:
        """What the winner was chosen by, accuracy too."""
        own = Metric(
            name=ACCURACY, value=self.accuracy, low=self.low, high=self.high, over=self.over
        )
        return self.metric or own


class WinnerFacts(Facts):
    """The trial that was fitted.

    Args:
        run: name of the run: "quickstart", or "quickstart@2".
        stage: the stage whose settings it was fitted with.
        trial: the searched trial: "narrowed/4".
        why: one line that says why this one.
        parameters: as drawn.
        validation: what the search measured.
    """

    run: str
    stage: str
    trial: str
    why: str
    parameters: dict[str, Any]
    validation: Validation


class Fitting(Facts):
    """How the winner was trained on train and validation images together.

    Args:
        images: how many.
        epochs: passes over them.
        seeds: one for each training whose logits are averaged.
        command: repeats it.
        seconds: what it took.
        accuracy: share of these images that it classifies right, of 2,000 of them at most; None
            where an older automl-cv did not look.
        note: what a reader must know of it, one line; None for nothing.
    """

    images: int
    epochs: int
    seeds: tuple[int, ...]
    command: str
    seconds: float
    accuracy: float | None = None
    note: str | None = None


class CalibrationFigures(Facts):
    """How well probabilities fit; see `automl_cv.scoring`.

    Args:
        log_loss: mean of −log of the true class's probability.
        calibration_error: expected calibration error.
    """

    log_loss: float
    calibration_error: float


class Calibration(Facts):
    """What the logits are divided by, and what that does to probabilities.

    Measured on the validation images, with trainings on the training images alone.

    Args:
        temperature: the divisor.
        images: number of validation images.
        accuracy: share of them classified right, whatever the temperature.
        before: without it.
        after: with it, on the images that it was fitted on.
        note: what a reader must know of it, one line; None for nothing.
    """

    temperature: float
    images: int
    accuracy: float
    before: CalibrationFigures
    after: CalibrationFigures
    note: str | None = None


class Foreign(Facts):
    """When an image is unlike all that a classifier was trained on; see `solving.distance`.

    Args:
        share: of new images of the same kind, so many are called foreign.
        images: that the threshold was found from, each measured from others.
    """

    share: float
    images: int


class Manifest(Facts):
    """A saved classifier.

    Args:
        format: version of the layout.
        kind: an entry of the table of kinds of training.
        files: hash of each file that predictions depend on, "blake2b:…", by name.
        image_size: height and width that the graph resizes images to, in pixels.
        backbone: `automl_cv.study.studyfile.Backbone` as plain data; None where there is none.
        weights_licence: SPDX identifier of the licence of the backbone's weights; None where
            it is not known.
        data: the images.
        study: the study file as plain data; `studyfile.parse` reads it.
        winner: the trial that was fitted.
        fitting: how.
        calibration: of its probabilities; None where they are as they were trained.
        foreign: what it calls foreign; None where it can't tell.
        versions: of the packages that decide numbers.
        created: when, UTC.
        checksum: of all the others, "blake2b:…", see `checksum_of`; None where an older
            automl-cv wrote none.
    """

    format: Literal[1, 2] = FORMATS[0]
    kind: str = DEFAULT_KIND
    files: dict[str, str] = Field(default_factory=dict)
    image_size: int = Field(ge=1)
    backbone: dict[str, Any] | None
    weights_licence: str | None
    data: Data
    study: dict[str, Any]
    winner: WinnerFacts
    fitting: Fitting
    calibration: Calibration | None = None
    foreign: Foreign | None = None
    versions: dict[str, str]
    created: datetime
    checksum: str | None = None

    @field_validator("kind")
    @classmethod
    def _known(cls, kind: str) -> str:
        if kind not in KINDS:
            raise ValueError(f"unknown kind {kind!r}")
        return kind

    @property
    def engine(self) -> str:
        """What made the features that it learned from, an entry of the table of engines."""
        fitted: str = (self.backbone or {}).get("engine", TENSORFLOW)
        return TENSORFLOW if fitted == AUTO else fitted

    @property
    def overconfidence(self) -> str | None:
        """What to know of probabilities that are worth less than a guess; None where not so.

        None of calibrated ones, too: the figures are of those before.
        """
        found = self.winner.validation
        if self.calibration is not None or found.classes is None:
            return None
        return overconfidence(found.loss, found.classes, found.chosen_by.name)
