"""The metrics: what `evaluate` measures, and what a search may go by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from automl_cv.registry import Entry, Table, load


@dataclass(frozen=True, kw_only=True)
class MetricEntry(Entry):
    """A metric; its target is a function (labels, probabilities) -> float or None.

    Labels are class indices, shape (images,); probabilities have shape (images, classes). None
    says that the images do not determine it.

    Args:
        heading: what stands above its column, of validation images.
        direction: whether more of it is better, or less.
        of_epoch: the field of an `Epoch` that holds it; None where an epoch's probabilities
            are needed.
        is_share_of_images: whether it is a number of images divided by that of all images, so
            that the intervals of shares hold: Wilson's, and Newcombe's of a difference. Others
            have bootstrap intervals, or `interval`.
        interval: "package.module:attribute" of a function (`measures.Judged`, value, quantile of
            the normal distribution) -> its ends, where the bootstrap's would be too narrow.
        measures_resamples: whether the target is a function (`measures.Judged`,
            `measures.Weights`) -> `measures.Values` or None in place of the above, which
            measures many resamples at once. Any other is called for each of them.
        needs: which images determine it, where not any do.
    """

    heading: str
    direction: Literal["maximize", "minimize"]
    of_epoch: str | None = None
    is_share_of_images: bool = False
    measures_resamples: bool = False
    interval: str | None = None
    needs: str = "other images"

    @property
    def has_own_column(self) -> bool:
        """Whether epochs and tables keep it apart from the validation accuracy, under its name."""
        return self.of_epoch != "val_accuracy"

    def load_interval(self) -> Any:
        """Import and return the function of `interval`; None where there is none."""
        return None if self.interval is None else load(self.interval)

    def score(self, value: float) -> float:
        """Turn a value so that higher is better; turns a score back into the value, too."""
        return value if self.direction == "maximize" else -value


ACCURACY = "accuracy"
"""What a study goes by that names none."""

METRICS: Table[MetricEntry] = Table(
    "metric",
    [
        MetricEntry(
            name=ACCURACY,
            about="accuracy",
            heading="val acc",
            direction="maximize",
            target="automl_cv.measures:accuracy",
            of_epoch="val_accuracy",
            is_share_of_images=True,
            measures_resamples=True,
        ),
        MetricEntry(
            name="balanced_accuracy",
            about="balanced accuracy",
            heading="val bal acc",
            direction="maximize",
            target="automl_cv.measures:balanced_accuracy",
            measures_resamples=True,
        ),
        MetricEntry(
            name="macro_f1",
            about="macro F1",
            heading="val F1",
            direction="maximize",
            target="automl_cv.measures:macro_f1",
            measures_resamples=True,
        ),
        MetricEntry(
            name="auroc",
            about="AUROC",
            heading="val AUROC",
            direction="maximize",
            target="automl_cv.measures:auroc",
            measures_resamples=True,
            interval="automl_cv.measures:auroc_interval",
            needs="images of two classes",
        ),
        MetricEntry(
            name="log_loss",
            about="log loss",
            heading="val log loss",
            direction="minimize",
            target="automl_cv.measures:log_loss",
            of_epoch="val_loss",
            measures_resamples=True,
        ),
    ],
)
