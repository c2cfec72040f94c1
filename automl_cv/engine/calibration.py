"""One temperature for all logits, so that probabilities say how often they are right."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from automl_cv import scoring
from automl_cv.engine.refitting import probabilities
from automl_cv.measures import cross_entropies
from automl_cv.saved.facts import Calibration, CalibrationFigures
from automl_cv.solving.temperature import HIGHEST, LOWEST, fitted
from automl_cv.words import counted

FEW_IMAGES = 100
"""A fitted number costs 1 / (2 images) of log loss on other images, where there was nothing to
mend; simulated logits of 2 and 10 classes gave 0.006 for 100 images."""


def calibrate(labels: np.ndarray, logits: Sequence[np.ndarray]) -> Calibration:
    """Fit a temperature, and measure probabilities without and with it.

    Args:
        labels: class indices of images that nothing was trained on, int32 (images,).
        logits: of each training, float32 (images, classes); their mean is divided.
    """
    mean = np.mean(logits, axis=0)
    temperature = fitted(labels, mean)
    accuracy = float((mean.argmax(axis=1) == labels).mean())

    def figures(divided_by: float) -> CalibrationFigures:
        shares = probabilities(logits, divided_by)
        losses = cross_entropies(labels, mean / divided_by)
        log_loss = scoring.figure("log_loss", labels, shares, losses)
        assert log_loss is not None
        error = scoring.calibration_error(labels, shares)
        return CalibrationFigures(log_loss=log_loss, calibration_error=error)

    return Calibration(
        temperature=temperature,
        images=len(labels),
        accuracy=accuracy,
        before=figures(1.0),
        after=figures(temperature),
        note=_note(temperature, len(labels), accuracy),
    )


def _note(temperature: float, images: int, accuracy: float) -> str | None:
    """Return what a reader must know of a temperature, in one line."""
    if accuracy == 1.0:
        return (
            f"all {counted(images, 'image')} are classified right, which says nothing of how "
            "unsure to be, so the temperature stays 1"
        )
    # As near as the search for it comes.
    if not LOWEST * 1.001 < temperature < HIGHEST / 1.001:
        return f"the temperature is at an end of what is looked at, {LOWEST:g} to {HIGHEST:g}"
    if images < FEW_IMAGES:
        return (
            f"{counted(images, 'image')} are few: on others a temperature from so many costs "
            f"about {1 / (2 * images):.3f} of log loss where there was nothing to mend"
        )
    return None
