"""The metrics: what `evaluate` measures, and what a search may go by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from automl_cv.registry import Entry, Table


@dataclass(frozen=True, kw_only=True)
class MetricEntry(Entry):
    """A metric; its target is a function (name, labels, probabilities) -> float or None.

    Labels are class indices, shape (images,); probabilities have shape (images, classes). None
    says that the images do not determine it.

    Args:
        heading: what stands above its column, of validation images.
        direction: whether more of it is better, or less.
        of_epoch: the field of an `Epoch` that holds it; None where an epoch's probabilities
            are needed.
    """

    heading: str
    direction: Literal["maximize", "minimize"]
    target: str = "automl_cv.scoring:figure"
    of_epoch: str | None = None

    def score(self, value: float) -> float:
        """Turn a value so that higher is better; turns a score back into the value, too."""
        return value if self.direction == "maximize" else -value


ACCURACY = "accuracy"

METRICS: Table[MetricEntry] = Table(
    "metric",
    [
        MetricEntry(
            name=ACCURACY,
            about="accuracy",
            heading="val acc",
            direction="maximize",
            of_epoch="val_accuracy",
        ),
        MetricEntry(
            name="balanced_accuracy",
            about="balanced accuracy",
            heading="val bal acc",
            direction="maximize",
        ),
        MetricEntry(name="macro_f1", about="macro F1", heading="val F1", direction="maximize"),
        MetricEntry(
            name="auroc",
            about="AUROC",
            heading="val AUROC",
            direction="maximize",
        ),
        MetricEntry(
            name="log_loss",
            about="log loss",
            heading="val log loss",
            direction="minimize",
            of_epoch="val_loss",
        ),
    ],
)
