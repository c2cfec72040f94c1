"""Pairs of retrained trials as a DataFrame."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
from optuna.storages import RDBStorage

from automl_cv.catalog.metrics import MetricEntry
from automl_cv.results.comparison import Pair, compare
from automl_cv.results.leaderboard import RunTrials, read_run
from automl_cv.results.repeats import in_own_units

_TYPES = {
    "kind": "str",
    "stage": "str",
    "source": "str",
    "head": "str",
    "against_stage": "str",
    "against_source": "str",
    "against_head": "str",
    "val_accuracy": "float64",
    "against_val_accuracy": "float64",
    "val_loss": "float64",
    "against_val_loss": "float64",
    "difference": "float64",
    "difference_low": "float64",
    "difference_high": "float64",
    "images_low": "float64",
    "images_high": "float64",
    "over": "str",
    "repeats": "Int64",
    "against_repeats": "Int64",
    "method": "str",
    "verdict": "str",
}


def comparison(
    storage: str | RDBStorage, study: str | None = None, stage: str | None = None
) -> pd.DataFrame:
    """Return what the retrained trials of a run say of one another.

    Example:
        >>> import automl_cv
        >>> pairs = automl_cv.comparison("sqlite:///automl-cv.db", "with-finalists")
        >>> told_apart = pairs[pairs["verdict"].isin(["better", "worse"])]

    Args:
        storage: the database, or its address.
        study: as for `automl_cv.leaderboard`.
        stage: only pairs in which this stage has a part; None for all.

    Returns:
        One row a pair; none where nothing can be compared. kind
        (`automl_cv.results.comparison.Pair`); stage, source and head of the one that may be
        better, against_stage, against_source and against_head of the other; val_accuracy,
        val_loss and the same of the other: means over the repeats, at their best epochs;
        difference of the accuracies, or of the study's metric, which then stands before the
        accuracy under its name, with its 95 % interval difference_low and _high, missing
        for a single repeat, which has images_low and _high in their place: the interval over
        images, where the metric is a share of them; over: "seeds" or "folds"; repeats and
        against_repeats: their numbers; method; verdict: "better", "worse", "can't be told
        apart", or of a single repeat "not judged over seeds" or "… folds".

    Raises:
        UserError: no such database, study or stage.
    """
    read = read_run(storage, study)
    return pairs_frame(pairs_of(read, stage), read.facts.metric)


def pairs_of(read: RunTrials, stage: str | None = None) -> list[Pair]:
    """Return the pairs of a whole run, or those in which one stage has a part.

    Raises:
        UserError: there is no such stage.
    """
    if stage is not None:
        read.run.position(stage)
    pairs = compare(read.repeated, read.facts, read.right).pairs
    return [pair for pair in pairs if stage in (None, pair.left.stage, pair.right.stage)]


def pairs_frame(pairs: Sequence[Pair], metric: MetricEntry) -> pd.DataFrame:
    """Return pairs as a table; see `comparison`."""
    rows = [_row(pair, metric) for pair in pairs]
    own = {} if not metric.has_own_column else _metric_columns(pairs, metric)
    frame = {
        name: pd.Series([row[name] for row in rows], dtype=kind) for name, kind in _TYPES.items()
    }
    names = list(frame)
    place = names.index("val_accuracy")
    return pd.DataFrame({**frame, **own})[[*names[:place], *own, *names[place:]]]


def _metric_columns(pairs: Sequence[Pair], metric: MetricEntry) -> dict[str, pd.Series[Any]]:
    sides = {
        metric.name: [pair.left.merit for pair in pairs],
        f"against_{metric.name}": [pair.right.merit for pair in pairs],
    }
    return {
        name: pd.Series(list(map(metric.score, merits)), dtype="float64")
        for name, merits in sides.items()
    }


def _row(pair: Pair, metric: MetricEntry) -> dict[str, Any]:
    left, right = pair.left, pair.right
    difference = in_own_units(pair.difference, metric)
    images_low, images_high = pair.over_images or (None, None)
    return {
        "kind": pair.kind,
        "stage": left.stage,
        "source": left.source,
        "head": left.head or None,
        "against_stage": right.stage,
        "against_source": right.source,
        "against_head": right.head or None,
        "val_accuracy": left.val_accuracy,
        "against_val_accuracy": right.val_accuracy,
        "val_loss": left.val_loss,
        "against_val_loss": right.val_loss,
        "difference": difference.mean,
        "difference_low": _finite(difference.low),
        "difference_high": _finite(difference.high),
        "images_low": images_low,
        "images_high": images_high,
        "over": pair.over,
        "repeats": left.n_repeats,
        "against_repeats": right.n_repeats,
        "method": pair.method,
        "verdict": pair.verdict,
    }


def _finite(end: float) -> float | None:
    return end if math.isfinite(end) else None
