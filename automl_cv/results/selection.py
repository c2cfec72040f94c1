"""What the figure of a winner is worth, chosen among many by the very images that measured it.

Bootstrap bias-corrected selection, BBC-CV: Tsamardinos, Greasidou and Borboudakis, "Bootstrapping
the out-of-sample predictions for efficient and accurate cross-validation", Machine Learning 107
(2018), 1895-1922, https://doi.org/10.1007/s10994-018-5714-4. Images are drawn with replacement
again and again, the winner of those drawn is chosen, and measured on those that were not. Nothing
is trained. NumPy alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl_cv.catalog.metrics import ACCURACY, METRICS, MetricEntry
from automl_cv.measures import Judged, Labels, Values, Weights, blocks, measured
from automl_cv.results.rules import Rule, highest
from automl_cv.scoring import CONFIDENCE, wilson

RESAMPLES = 500
LOG_LOSS = METRICS["log_loss"]
# Of n images a resample leaves out n / e, so their figures vary by more than the images do: a
# part f of n images without replacement has a mean of variance (1 - f) / f times that of n.
LEFT_OUT = math.exp(-1)
SHRINKAGE = math.sqrt(LEFT_OUT / (1 - LEFT_OUT))


@dataclass(frozen=True, eq=False)
class Candidates:
    """What configurations said of images that they had not learned from.

    Args:
        labels: number of each image's class, shape (images,).
        probabilities: shape (configurations, images, classes), rows of sum 1; float16 will do,
            and an array that is memory-mapped: one configuration at a time is looked at.
        losses: each image's cross-entropy, shape (configurations, images), see
            `measures.cross_entropies`; None takes it from the probabilities. In float16 these end
            at 6e-8, 16.6 nats, so where they are float16, losses are wanted.
    """

    labels: Labels
    probabilities: NDArray[np.floating]
    losses: NDArray[np.floating] | None = None

    def judged(self, number: int) -> Judged:
        """Return one configuration's images."""
        own = None if self.losses is None else np.asarray(self.losses[number], np.float64)
        return Judged(self.labels, np.asarray(self.probabilities[number], np.float32), own)


@dataclass(frozen=True)
class Corrected:
    """One figure of the winner.

    Args:
        raw: on all images, by which it was chosen: flattered.
        value: what whoever was the winner in a resample is worth on the images left out, on
            average.
        low: lower end of a 95 % interval.
        high: upper end.
    """

    raw: float
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Overtuning:
    """The winner beside one that nobody chose, over the same resamples.

    Schneider, Bischl and Feurer, "Overtuning in hyperparameter optimization",
    https://arxiv.org/abs/2506.19540: a search that ends no better than it began.

    Args:
        reference: the reference's figure on images left out, mean over resamples.
        gain: how much better the winner's corrected figure is, in merit: above 0 is better.
        share_better: of resamples, in which the winner is better on the images left out; where
            both are the same, half.
    """

    reference: float
    gain: float
    share_better: float

    @property
    def is_overtuned(self) -> bool:
        """Whether the winner is no better than the reference."""
        return self.gain <= 0


@dataclass(frozen=True, eq=False)
class Selection:
    """The winner, and its figures corrected for having been chosen.

    Args:
        selected: number of the configuration.
        metric: the metric that it was chosen by; None where the images do not determine it.
        log_loss: of the same choice.
        shares: of resamples, in which each configuration was chosen, shape (configurations,).
        overtuning: the winner beside the reference; None for one configuration alone.
        resamples: how many could be measured.
    """

    selected: int
    metric: Corrected | None
    log_loss: Corrected
    shares: NDArray[np.float64]
    overtuning: Overtuning | None
    resamples: int


def correct(
    candidates: Candidates,
    metric: MetricEntry,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    groups: Sequence[Any] | NDArray[Any] | None = None,
    reference: Candidates | None = None,
    rule: Rule = highest,
    selected: int | None = None,
) -> Selection:
    """Choose the best configuration and say what its figures are worth.

    The corrected figure is the raw one, less what the winner on all images loses on images left
    out, on average, to whoever was chosen without them: BBC-CV's mean, as the raw figure is what
    the winner's own has on average there, but for the chance of the draws, which both share. So
    where every resample chooses the same one nothing is taken off.

    The interval is one of the true figure, on other images of the same kind, of the configuration
    that is chosen on all images. Percentiles of the images left out would be too wide, as these
    are 0.37 of all. For a share of the images it is Wilson's of the corrected figure and all
    images; for log loss likewise on the logarithm, with the spread of the losses left out;
    for other metrics, and where images come in groups, percentiles brought nearer to the
    corrected figure by sqrt(0.37 / 0.63). A resample has 0.63 of the images to choose by, and
    chooses worse than all do where one configuration is better than the rest. So the better end
    is moved by as much as the figure is better in those resamples that chose the same winner.

    `tests/benchmarks/selection_coverage.py`, 30 configurations, 40 to 1,400 images: where none
    stands alone the raw accuracy is 0.4 to 8 points too high, the corrected one within 0.6 of the
    truth; where one is 8 points better than the rest and images hardly tell, it is up to 2 points
    too low. The interval of the accuracy covers 93.5 to 100 %, mostly more where all are equally
    good, that of log loss 90 to 100 %. It is not one of another figure: on n further test images
    the accuracy varies by their own chance besides.

    Args:
        candidates: out-of-sample predictions of every configuration.
        metric: what is chosen by.
        resamples: how many.
        seed: of the resamples.
        groups: of the images, shape (images,): those of a group are drawn together.
        reference: one configuration that was not chosen; None takes the first candidate.
        rule: by which the best is chosen, of all images and in each resample.
        selected: number of the configuration that was chosen, where it is known by figures more
            exact than these; None chooses it here.

    Raises:
        ValueError: fewer than two images, or than two groups, or no configuration.
    """
    labels, count = candidates.labels, len(candidates.probabilities)
    drawn = _draw(len(labels), groups, resamples, seed)
    # A resample that leaves nothing out measures nothing; of two images every second one.
    drawn = drawn[(drawn == 0).any(axis=1)]
    if not count or not len(drawn):
        raise ValueError("it takes a configuration, and two images or groups of images")
    left_out: Weights = (drawn == 0).astype(np.uint16)
    everything: Weights = np.ones((1, len(labels)), np.uint16)
    # The first row is of all images.
    weights = np.concatenate([everything, drawn])
    values, losses = _figures(candidates, metric, weights)
    merits = np.nan_to_num(metric.score(1.0) * values, nan=-np.inf)
    chosen = rule(merits, losses)
    if selected is None:
        selected = int(chosen[0])
    chosen = chosen[1:]

    found, found_losses = np.empty((2, len(drawn)))
    squares = np.empty(len(drawn))
    for number in np.unique(chosen):
        judged, rows = candidates.judged(int(number)), np.flatnonzero(chosen == number)
        found[rows] = _each(metric, judged, left_out[rows])
        found_losses[rows] = _each(LOG_LOSS, judged, left_out[rows])
        images = left_out[rows].astype(np.float64)
        squares[rows] = images @ np.square(judged.losses) / images.sum(axis=1)
    same = chosen == selected
    winner = candidates.judged(selected)
    own, own_losses = _each(metric, winner, left_out), _each(LOG_LOSS, winner, left_out)
    n_images = len(labels) if groups is None else None
    raw, raw_loss = metric.score(merits[0, selected]), losses[0, selected]
    spread = math.sqrt(max(float(squares.mean() - np.square(found_losses.mean())), 0.0))
    return Selection(
        selected=selected,
        metric=_corrected(raw, found, own, same, metric, _ends_of(metric, n_images, spread)),
        log_loss=_known(
            _corrected(
                raw_loss,
                found_losses,
                own_losses,
                same,
                LOG_LOSS,
                _ends_of(LOG_LOSS, n_images, spread),
            )
        ),
        shares=np.bincount(chosen, minlength=count) / len(chosen),
        overtuning=_beside(reference or candidates, found, left_out, metric)
        if reference is not None or count > 1
        else None,
        resamples=len(drawn),
    )


def _draw(
    n_images: int, groups: Sequence[Any] | NDArray[Any] | None, resamples: int, seed: int
) -> Weights:
    """Return how often each image is drawn, uint16 (resamples, images)."""
    names = np.arange(n_images) if groups is None else np.unique(groups, return_inverse=True)[1]
    count = int(names.max(initial=-1)) + 1
    if not count:
        return np.zeros((0, 0), np.uint16)
    draws = np.random.default_rng(seed).integers(0, count, (resamples, count))
    places = draws + count * np.arange(resamples)[:, None]
    weights = np.bincount(places.ravel(), minlength=resamples * count).reshape(resamples, count)
    drawn: Weights = weights.astype(np.uint16)[:, names]
    return drawn


def _figures(
    candidates: Candidates, metric: MetricEntry, weights: Weights
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a metric and the log loss of each resample, (resamples, configurations).

    What is a mean over images is worked out of all configurations at once.
    """
    count, is_mean = len(candidates.probabilities), metric.name in (ACCURACY, LOG_LOSS.name)
    values = np.empty((len(weights), count))
    losses, correct = np.empty((2, len(candidates.labels), count))
    for number in range(count):
        judged = candidates.judged(number)
        losses[:, number], correct[:, number] = judged.losses, judged.correct
        if not is_mean:
            values[:, number] = _each(metric, judged, weights)
    images = weights.sum(axis=1, dtype=np.float64)[:, None]
    # A product's sums depend on the column by their last digits, and would tell equal ones apart.
    means = np.round(np.concatenate([block @ losses for block in blocks(weights)]) / images, 12)
    if metric.name == ACCURACY:
        values = np.concatenate([block @ correct for block in blocks(weights)]) / images
    return (means if metric is LOG_LOSS else values), means


def _each(metric: MetricEntry, judged: Judged, weights: Weights) -> Values:
    """Return a metric of each resample; NaN where its images do not determine it.

    Means over classes are over those that have images in the resample.
    """
    if metric.is_share_of_images or metric is LOG_LOSS:
        values = measured(metric, judged, weights)
        if values is not None:
            return values
    images = weights.astype(bool)
    lacking = np.zeros(len(weights), bool)
    for number in judged.present:
        lacking |= ~images[:, judged.labels == number].any(axis=1)
    found = np.full(len(weights), np.nan)
    whole = np.flatnonzero(~lacking)
    values = measured(metric, judged, weights[whole]) if len(whole) else np.empty(0)
    if values is None:
        lacking[:] = True
    else:
        found[whole] = values
    for row in np.flatnonzero(lacking):
        kept = np.flatnonzero(images[row])
        part = Judged(judged.labels[kept], judged.probabilities[kept], judged.losses[kept])
        values = measured(metric, part, weights[row : row + 1, kept])
        if values is not None:
            found[row] = values[0]
    return found


Ends = Callable[[float, Values], tuple[float, float]]
"""Is given the corrected figure and those of the resamples; returns an interval's ends."""


def _ends_of(metric: MetricEntry, n_images: int | None, spread: float) -> Ends:
    """Return how a metric's interval is made.

    Args:
        metric: the metric.
        n_images: how many; None where they come in groups.
        spread: standard deviation of the losses left out.
    """
    if n_images is None:
        return _nearer
    if metric.is_share_of_images:
        return lambda value, found: wilson(value, n_images)
    if metric is LOG_LOSS:
        half = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * spread / math.sqrt(n_images)
        return lambda value, found: _on_the_logarithm(value, half)
    return _nearer


def _nearer(value: float, found: Values) -> tuple[float, float]:
    tails = (1 - CONFIDENCE) / 2
    low, high = value + (np.quantile(found, (tails, 1 - tails)) - value) * SHRINKAGE
    return float(low), float(high)


def _on_the_logarithm(value: float, half: float) -> tuple[float, float]:
    if value <= 0:
        return value, value
    factor = math.exp(min(half / value, 700.0))
    return value / factor, value * factor


def _corrected(
    raw: float,
    found: Values,
    own: Values,
    same: NDArray[np.bool_],
    metric: MetricEntry,
    ends: Ends,
) -> Corrected | None:
    """Return a figure with its interval; None where no resample determines it.

    Args:
        raw: of all images.
        found: of each resample, on the images left out, NaN where not determined.
        own: the same of what all images choose.
        same: the resamples that chose what all images choose.
        metric: what it is.
        ends: see `_ends_of`.
    """
    known = np.isfinite(found) & np.isfinite(own)
    if not known.any() or not math.isfinite(raw):
        return None
    mean = float(found[known].mean())
    value = float(raw + (found - own)[known].mean())
    if metric.direction == "maximize":
        value = min(value, max(raw, 1.0))
    else:
        value = max(value, min(raw, 0.0))
    low, high = ends(value, found[known] - mean + value)
    kept = found[known & same]
    better = max(0.0, metric.score(float(kept.mean()) - mean)) if len(kept) else 0.0
    if metric.direction == "maximize":
        # What ends below 1 is taken for a share, as is every metric of the table.
        return Corrected(float(raw), value, low, min(high + better, 1.0 if high <= 1 else math.inf))
    return Corrected(float(raw), value, max(low - better, min(low, 0.0)), high)


def _known(figure: Corrected | None) -> Corrected:
    assert figure is not None, "any image determines its loss"
    return figure


def _beside(
    reference: Candidates, found: Values, left_out: Weights, metric: MetricEntry
) -> Overtuning | None:
    """Return the winner beside the first of some candidates; None where neither is measured."""
    others = _each(metric, reference.judged(0), left_out)
    known = np.isfinite(found) & np.isfinite(others)
    if not known.any():
        return None
    gains = metric.score(1.0) * (found[known] - others[known])
    return Overtuning(
        reference=float(others[known].mean()),
        gain=float(gains.mean()),
        share_better=float(np.mean((gains > 0) + 0.5 * (gains == 0))),
    )
