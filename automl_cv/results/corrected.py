"""What the winner of a run is worth, from what is stored of the run; see `results.selection`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from optuna.storages import RDBStorage

from automl_cv.catalog.metrics import ACCURACY, MetricEntry
from automl_cv.results.comparison import SOURCE
from automl_cv.results.leaderboard import RunTrials
from automl_cv.results.ranking import best_of, is_beaten_by_reference, rule_of
from automl_cv.results.resamples import LOG_LOSS, Candidates
from automl_cv.results.said import Key, key, said_of
from automl_cv.results.selection import Corrected, Overtuning, correct
from automl_cv.solving.threads import one_thread
from automl_cv.store.database import open_storage
from automl_cv.store.labels import Labels, read_labels
from automl_cv.store.predictions import MOST_NUMBERS, Predictions
from automl_cv.store.records import TrialRecord

MOST_CANDIDATES, FEWEST_CANDIDATES = 100, 8
RESAMPLES, FEWEST_RESAMPLES = 200, 50
# Bounds that keep a report within 0.3 s, or a second of the largest: probabilities looked at,
# draws of an image, and images of a class looked at where a metric is no mean over images.
NUMBERS, DRAWS, LOOKS = 4_000_000, 2_000_000, 8_000_000


@dataclass(frozen=True)
class CorrectedWinner:
    """The first of a leaderboard, with figures that survive its having been chosen.

    Args:
        stage: of the trial.
        trial: its number.
        metric: what trials are ranked by, an entry of the table of metrics.
        figure: of the metric.
        log_loss: of the same trial.
        candidates: trials that it was chosen from here, itself included.
        trials: trials that are ranked: more where some kept no predictions, or there are many.
        resamples: how many could be measured.
        first: "stage/number" of the first stage's first trial; None where that is not known.
        beside_first: the winner beside it.
        is_taken: whether `fit` takes it: no stage trains trials again, and the reference is no
            better.
    """

    stage: str
    trial: int
    metric: str
    figure: Corrected
    log_loss: Corrected
    candidates: int
    trials: int
    resamples: int
    first: str | None = None
    beside_first: Overtuning | None = None
    is_taken: bool = True

    @property
    def name(self) -> str:
        """What `fit --trial` takes: "exact/2"."""
        return f"{self.stage}/{self.trial}"

    @property
    def is_overtuned(self) -> bool:
        """Whether the search found nothing better than its first trial."""
        return self.beside_first is not None and self.beside_first.is_overtuned


def corrected(
    storage: str | RDBStorage, read: RunTrials, *, resamples: int = RESAMPLES
) -> CorrectedWinner | None:
    """Return what the first trial of a leaderboard is worth.

    Candidates are the best hundred that are ranked and whose predictions are kept, fewer where
    images are many: the others would win few resamples. Who wins one is decided as the study
    decides (`results.ranking`). The reference is not among them, as its predictions are not
    kept. The epoch that each trial stands by was chosen by these images too, which nothing here
    corrects.

    Args:
        storage: the database, or its address.
        read: the trials of a run, or of one of its stages.
        resamples: how many at most.

    Returns:
        None where the run has no labels, as older searches made them, its first trial kept no
        predictions or stands for repeats, or there is no other to choose from.
    """
    ranked = read.ranked
    if isinstance(storage, str):
        storage = open_storage(storage, create=False)
    labels = None if not ranked else read_labels(storage, read.run.name)
    if labels is None or SOURCE in ranked[0].parameters or len(labels.classes) < 2:
        return None
    metric, n_classes = read.facts.metric, max(len(read.facts.class_names), 1)
    count, resamples = _bounded(metric, len(labels.classes), n_classes, resamples)
    first = _first(read)
    said, labels = said_of(
        storage, read.run, [*ranked[:count], *([first] if first else [])], labels
    )
    candidates = [one for one in ranked[:count] if key(one) in said]
    if key(ranked[0]) not in said or len(candidates) < 2:
        return None
    if first is not None and key(first) not in said:
        first = None
    with one_thread():
        found = correct(
            _side_by_side(candidates, said, labels),
            metric,
            resamples=resamples,
            groups=labels.groups,
            reference=None if first is None else _side_by_side([first], said, labels),
            rule=rule_of(read.facts),
            selected=0,
        )
    if found.metric is None:
        return None
    best = best_of(ranked[0])
    beaten = is_beaten_by_reference(ranked, read.facts, read.run.name)
    return CorrectedWinner(
        stage=ranked[0].stage,
        trial=ranked[0].trial,
        metric=metric.name,
        figure=_at(found.metric, metric.score(best.merit), metric),
        log_loss=_at(found.log_loss, best.val_loss, LOG_LOSS),
        candidates=len(candidates),
        trials=len(ranked),
        resamples=found.resamples,
        first=None if first is None else first.name,
        beside_first=found.overtuning if first is not None else None,
        is_taken=not read.repeated and not beaten,
    )


def overtuning_text(winner: CorrectedWinner) -> str | None:
    """Say that the search found nothing better than its first trial; None where it did."""
    beside = winner.beside_first
    if beside is None or not beside.is_overtuned:
        return None
    text = f"the search found nothing better than its first trial, {winner.first}"
    if winner.first == winner.name:
        return text
    return (
        f"{text}: on images left out the winner is better in {beside.share_better:.0%} of "
        f"{winner.resamples} resamples"
    ).replace("%", " %")


def _bounded(metric: MetricEntry, n_images: int, n_classes: int, resamples: int) -> tuple[int, int]:
    """Return how many candidates and resamples a report has time for."""
    kept = min(n_images, -(-MOST_NUMBERS // n_classes))
    count = min(NUMBERS // (kept * n_classes), MOST_CANDIDATES)
    draws = DRAWS // kept
    if metric.name not in (ACCURACY, LOG_LOSS.name):
        looks = kept * n_classes
        count = min(count, LOOKS // (looks * FEWEST_RESAMPLES))
        draws = min(draws, LOOKS // (looks * max(count, FEWEST_CANDIDATES)))
    return max(count, FEWEST_CANDIDATES), min(resamples, max(draws, FEWEST_RESAMPLES))


def _first(read: RunTrials) -> TrialRecord | None:
    """Return the first trial of the first stage that was read; None where it has no result."""
    for stage in read.run.stages:
        own = [record for record in read.ranked if record.stage == stage]
        if own:
            return next((record for record in own if record.trial == 0), None)
    return None


def _side_by_side(
    records: Sequence[TrialRecord], said: Mapping[Key, Predictions], labels: Labels
) -> Candidates:
    """Return what trials said of the same images."""
    return Candidates(labels.classes, np.stack([said[key(one)].probabilities for one in records]))


def _at(figure: Corrected, raw: float, metric: MetricEntry) -> Corrected:
    """Return a figure moved to what was measured exactly, of all images.

    Kept probabilities are rounded, and may be of every second image.
    """
    if metric is LOG_LOSS:
        factor = raw / figure.raw if figure.raw > 0 else 1.0
        ends = (figure.value * factor, figure.low * factor, figure.high * factor)
        return Corrected(raw, *ends)
    more = raw - figure.raw
    highest = 1.0 if figure.high <= 1 else math.inf
    value, low, high = (min(end + more, highest) for end in (figure.value, figure.low, figure.high))
    return replace(figure, raw=raw, value=value, low=low, high=high)
