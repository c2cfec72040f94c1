"""Resamples of images, and the figures of many configurations in each. NumPy alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from automl_cv.catalog.metrics import ACCURACY, METRICS, MetricEntry
from automl_cv.measures import Judged, Labels, Values, Weights, blocks, measured
from automl_cv.results.rules import Figures

LOG_LOSS = METRICS["log_loss"]


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


def draw(
    n_images: int, groups: Sequence[Any] | NDArray[Any] | None, resamples: int, seed: int
) -> Weights:
    """Return how often each image is drawn, uint16 (resamples, images).

    Args:
        n_images: how many there are, drawn with replacement.
        groups: of the images: those of a group are drawn together; None for no groups.
        resamples: how many.
        seed: of the draws.
    """
    names = np.arange(n_images) if groups is None else np.unique(groups, return_inverse=True)[1]
    count = int(names.max(initial=-1)) + 1
    if not count:
        return np.zeros((0, 0), np.uint16)
    draws = np.random.default_rng(seed).integers(0, count, (resamples, count))
    places = draws + count * np.arange(resamples)[:, None]
    weights = np.bincount(places.ravel(), minlength=resamples * count).reshape(resamples, count)
    drawn: Weights = weights.astype(np.uint16)
    return drawn if groups is None else drawn[:, names]


class Chosen(NamedTuple):
    """Figures of one configuration a resample, shape (resamples,).

    Args:
        values: of the metric, NaN where the images do not determine it.
        losses: log loss.
        squares: mean of the squared losses.
    """

    values: Values
    losses: Values
    squares: Values


class Field:
    """Configurations side by side; what is a mean over images is worked out of all at once.

    Args:
        candidates: what they said.
        metric: what they are measured by, beside log loss.
    """

    def __init__(self, candidates: Candidates, metric: MetricEntry) -> None:
        self._candidates = candidates
        self._metric = metric
        shape = len(candidates.probabilities), len(candidates.labels)
        self._losses, self._correct = np.empty((2, *shape))
        for number in range(shape[0]):
            judged = candidates.judged(number)
            self._losses[number], self._correct[number] = judged.losses, judged.correct

    def figures(self, weights: Weights) -> tuple[Figures, Figures]:
        """Return the metric and the log loss, (resamples, configurations)."""
        # A product's sums depend on the column by their last digits, which would tell equal
        # ones apart.
        losses = np.round(_means(self._losses, weights), 12)
        if self._metric is LOG_LOSS:
            return losses, losses
        if self._metric.name == ACCURACY:
            return _means(self._correct, weights), losses
        numbers = range(len(self._candidates.probabilities))
        each = [self._each(number, weights) for number in numbers]
        return np.stack(each, axis=1), losses

    def chosen(self, weights: Weights, numbers: NDArray[np.intp]) -> Chosen:
        """Return figures of one configuration a resample.

        Args:
            weights: the resamples.
            numbers: which, shape (resamples,).
        """
        images = weights.sum(axis=1, dtype=np.float64)
        losses, squares, correct = np.zeros((3, len(weights)))
        start = 0
        for block in blocks(weights):
            rows = slice(start, start + len(block))
            own = self._losses[numbers[rows]]
            losses[rows] = np.einsum("ri,ri->r", block, own)
            squares[rows] = np.einsum("ri,ri,ri->r", block, own, own)
            correct[rows] = np.einsum("ri,ri->r", block, self._correct[numbers[rows]])
            start += len(block)
        values = losses / images if self._metric is LOG_LOSS else correct / images
        if self._metric is not LOG_LOSS and self._metric.name != ACCURACY:
            values = np.empty(len(weights))
            for number in np.unique(numbers):
                rows_of = numbers == number
                values[rows_of] = self._each(int(number), weights[rows_of])
        return Chosen(values, losses / images, squares / images)

    def _each(self, number: int, weights: Weights) -> Values:
        return each_of(self._metric, self._candidates.judged(number), weights)


def _means(of_images: Figures, weights: Weights) -> Figures:
    """Return weighted means, (resamples, configurations), of (configurations, images)."""
    sums = np.concatenate([block @ of_images.T for block in blocks(weights)])
    means: Figures = sums / weights.sum(axis=1, dtype=np.float64)[:, None]
    return means


def each_of(metric: MetricEntry, judged: Judged, weights: Weights) -> Values:
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
