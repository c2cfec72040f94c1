"""Backbones and image sizes that a stage searched, beside what each of them cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from automl_cv.results.intervals import differs
from automl_cv.results.leaderboard import RunTrials
from automl_cv.results.ranking import best_of, in_order_on_sample
from automl_cv.scoring import wilson
from automl_cv.store.facts import Extraction, RunFacts
from automl_cv.store.records import TrialRecord
from automl_cv.study.studyfile import Backbone, drawn_backbone


@dataclass(frozen=True)
class Raced:
    """A backbone at an image size, as the best of its trials in a stage.

    Args:
        record: the best trial.
        cost: what its features cost.
        trials: how many trials had them.
        n_images: that validated each; None where that is not known.
        seconds: of the extraction for this stage and of all these trials.
        is_kept: whether a stage below goes on with it.
    """

    record: TrialRecord
    cost: Extraction
    trials: int
    n_images: int | None
    seconds: float
    is_kept: bool

    @property
    def interval(self) -> tuple[float | None, float | None]:
        """Wilson's 95 % interval of the validation accuracy, over images."""
        accuracy = best_of(self.record).val_accuracy
        return wilson(accuracy, self.n_images) if self.n_images else (None, None)

    @property
    def features(self) -> str | None:
        """What of the blocks the best trial has, if it drew it: "last" or "all"."""
        drawn = self.record.parameters.get("features")
        return None if drawn is None else str(drawn)


def raced(read: RunTrials) -> dict[str, list[Raced]]:
    """Return what stages searched of backbones and sizes, the best first, by stage.

    The order is that in which a stage below narrows.

    Args:
        read: trials of a run, or of one of its stages.
    """
    records = {record.name: record for record in (*read.ranked, *read.screened)}
    return {
        stage: _of_stage(
            [one for one in records.values() if one.stage == stage], extractions, read.facts
        )
        for stage, extractions in read.facts.extractions.items()
    }


def raced_frame(found: Mapping[str, Sequence[Raced]]) -> pd.DataFrame:
    """Return one row for each backbone and size.

    Returns:
        stage, backbone, image_size (in pixels), features (of the best trial, where it drew them),
        val_accuracy with its 95 % interval val_accuracy_low and _high, val_loss,
        tied_with_first (missing where images are not known), images (that validated),
        milliseconds (an image, extraction), megabytes, licence, extracted (images that passed the
        backbone for the stage), seconds (of that and of the trials), trials, kept.
    """
    rows = [(stage, own[0], one) for stage, own in found.items() for one in own]
    best = [best_of(one.record) for _, _, one in rows]

    def column(values: Iterable[Any], dtype: str) -> pd.Series[Any]:
        return pd.Series(list(values), dtype=dtype)

    return pd.DataFrame(
        {
            "stage": column((stage for stage, _, _ in rows), "str"),
            "backbone": column((one.cost.backbone for _, _, one in rows), "str"),
            "image_size": column((one.cost.pixels for _, _, one in rows), "Int64"),
            "features": column((one.features for _, _, one in rows), "str"),
            "val_accuracy": column((epoch.val_accuracy for epoch in best), "float64"),
            "val_accuracy_low": column((one.interval[0] for _, _, one in rows), "float64"),
            "val_accuracy_high": column((one.interval[1] for _, _, one in rows), "float64"),
            "val_loss": column((epoch.val_loss for epoch in best), "float64"),
            "tied_with_first": column((_tied(first, one) for _, first, one in rows), "boolean"),
            "images": column((one.n_images for _, _, one in rows), "Int64"),
            "milliseconds": column((one.cost.milliseconds for _, _, one in rows), "float64"),
            "megabytes": column((one.cost.megabytes for _, _, one in rows), "float64"),
            "licence": column((one.cost.licence for _, _, one in rows), "str"),
            "extracted": column((one.cost.images for _, _, one in rows), "Int64"),
            "seconds": column((one.seconds for _, _, one in rows), "float64"),
            "trials": column((one.trials for _, _, one in rows), "Int64"),
            "kept": column((one.is_kept for _, _, one in rows), "boolean"),
        }
    )


def _of_stage(
    records: Sequence[TrialRecord], extractions: Sequence[Extraction], facts: RunFacts
) -> list[Raced]:
    declared = Backbone.model_validate(facts.study["backbone"])
    by_cost: dict[tuple[str, int | None], list[TrialRecord]] = {}
    for record in records:
        drawn = drawn_backbone(declared, record.parameters)
        by_cost.setdefault((drawn.name, drawn.image_size), []).append(record)
    narrowings = [
        one for one in facts.narrowed.values() if records and one.stage == records[0].stage
    ]
    kept = {trial for one in narrowings for trial in one.trials}
    sample = facts.samples.get(records[0].stage) if records else None
    n_images = facts.n_validation
    ranked = sorted(records, key=_place)
    if sample is not None:
        n_images = sum(sample.values()) if facts.is_over_folds else sample.get("validation")
        ranked = in_order_on_sample(records, facts, sample)
    place = {record.trial: number for number, record in enumerate(ranked)}
    found = []
    for cost in extractions:
        own = by_cost.get((cost.backbone, cost.image_size), [])
        if not own:
            continue
        spent = sum(one.history.seconds for one in own)
        found.append(
            Raced(
                record=min(own, key=lambda one: place[one.trial]),
                cost=cost,
                trials=len(own),
                n_images=n_images,
                seconds=cost.seconds + spent,
                is_kept=any(one.trial in kept for one in own),
            )
        )
    return sorted(found, key=lambda one: place[one.record.trial])


def _place(record: TrialRecord) -> tuple[float, float, int]:
    best = best_of(record)
    return -best.merit, best.val_loss, record.trial


def _tied(first: Raced, one: Raced) -> bool | None:
    """Tell whether chance explains the distance to the first."""
    if not one.n_images:
        return None
    values = [best_of(each.record).val_accuracy for each in (first, one)]
    return not differs(max(values), min(values), one.n_images)
