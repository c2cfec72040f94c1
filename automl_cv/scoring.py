"""How well probabilities fit true classes: figures with intervals, confusion, calibration.

Formulas of scikit-learn's metrics, which the tests compare them with, over many resamples at
once: calling scikit-learn for each takes a hundred times as long.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from automl_cv.catalog.metrics import ACCURACY, METRICS

Labels = NDArray[np.intp]
Probabilities = NDArray[np.float32]
Weights = NDArray[np.uint16]

CONFIDENCE = 0.95
# Ends of a percentile interval from 1,000 resamples vary by about a thirtieth of its width.
RESAMPLES, FEWEST_RESAMPLES = 1000, 200
WORK = 200_000_000  # images x classes x resamples above which there are fewer; some ten seconds
BLOCK = 2_000_000  # weights held as float64 at a time, 16 MB
BINS = 15  # of Guo et al. 2017, "On Calibration of Modern Neural Networks", arXiv:1706.04599
# A float32 softmax gives 0 to what it excludes; one wrong image would make the loss infinite.
LEAST_PROBABILITY = float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class Measured:
    """A figure and its 95 % interval.

    Args:
        value: of the images as they are.
        low: lower end of the interval; None where resamples never vary, which gives none.
        high: upper end.
    """

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class ClassScore:
    """How well one class is told from the others.

    Args:
        images: images of the class.
        predicted: images said to be of it.
        precision: share of `predicted` that are of it; None where there are none.
        recall: share of `images` said to be of it; None where there are none.
        f1: harmonic mean of the two; None for a class without images.
    """

    images: int
    predicted: int
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True)
class Bin:
    """Images whose greatest probability lies in (low, high].

    Args:
        low: lower end; the first bin holds 0 too.
        high: upper end.
        images: how many.
        probability: mean of their greatest probabilities; 0 without images.
        accuracy: share of them classified right; 0 without images.
    """

    low: float
    high: float
    images: int
    probability: float
    accuracy: float


@dataclass(frozen=True, eq=False)
class Scores:
    """All that is measured.

    Args:
        metrics: by the names of the table of metrics; None for one that the images do not
            determine.
        classes: of each class, in order.
        confusion: images by (true class, predicted class), shape (classes, classes).
        calibration_error: expected calibration error: mean over images of the distance between
            the mean probability and the accuracy of their bin.
        bins: BINS of equal width.
        resamples: number of bootstrap resamples behind the intervals.
        seed: of the resamples.
    """

    metrics: dict[str, Measured | None]
    classes: tuple[ClassScore, ...]
    confusion: NDArray[np.int64]
    calibration_error: float
    bins: tuple[Bin, ...]
    resamples: int
    seed: int


def score(
    labels: Labels,
    probabilities: Probabilities,
    *,
    seed: int = 0,
    resamples: int | None = None,
) -> Scores:
    """Measure how well probabilities fit true classes.

    Means over classes are over classes that have images. AUROC needs images of two classes. The
    interval of the accuracy is Wilson's. Others are percentiles of resamples of the images with
    replacement, as many of each class as there are: test splits are drawn by class as well.

    Args:
        labels: number of each image's class, shape (images,), at least one.
        probabilities: shape (images, classes), rows of sum 1; two classes or more.
        seed: of the resamples.
        resamples: how many; None takes RESAMPLES, fewer where that is WORK, but
            FEWEST_RESAMPLES.
    """
    if resamples is None:
        resamples = int(np.clip(WORK // probabilities.size, FEWEST_RESAMPLES, RESAMPLES))
    measure = _Measure(labels, probabilities)
    values = measure(np.ones((1, len(labels)), np.uint16))
    drawn = measure(_resample(labels, resamples, seed))
    metrics: dict[str, Measured | None] = {}
    for name in METRICS.names:
        if name not in values:
            metrics[name] = None
            continue
        value = float(values[name][0])
        if name == ACCURACY:
            low, high = wilson(value, len(labels))
            metrics[name] = Measured(value, min(low, value), max(high, value))  # but for a last bit
        else:
            metrics[name] = Measured(value, *_percentiles(drawn[name], value))
    n_classes = probabilities.shape[1]
    confusion = np.zeros((n_classes, n_classes), np.int64)
    np.add.at(confusion, (labels, measure.predicted), 1)
    bins = _bins(probabilities, measure.correct)
    return Scores(
        metrics=metrics,
        classes=tuple(_class_score(confusion, number) for number in range(n_classes)),
        confusion=confusion,
        calibration_error=_distance(bins),
        bins=bins,
        resamples=resamples,
        seed=seed,
    )


def figure(name: str, labels: Labels, probabilities: Probabilities) -> float | None:
    """Return one metric without an interval; None where the images do not determine it.

    Args:
        name: of an entry of the table of metrics that is measured here.
        labels: as in `score`.
        probabilities: as in `score`.
    """
    weights = np.ones((1, len(labels)), np.uint16)
    values = _Measure(labels, probabilities)(weights, (name,))
    return float(values[name][0]) if name in values else None


def calibration_error(labels: Labels, probabilities: Probabilities) -> float:
    """Return the expected calibration error alone; see `Scores`.

    Args:
        labels: as in `score`.
        probabilities: as in `score`.
    """
    return _distance(_bins(probabilities, probabilities.argmax(axis=1) == labels))


def most_confidently_wrong(labels: Labels, probabilities: Probabilities, count: int) -> list[int]:
    """Return rows classified wrong, the highest probability first; of equals the earlier.

    Args:
        labels: as in `score`.
        probabilities: as in `score`.
        count: how many rows, if there are so many.
    """
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    order = np.argsort(-probabilities[wrong].max(axis=1), kind="stable")
    return [int(row) for row in wrong[order][:count]]


def wilson(share: float, n_images: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return the score interval of a proportion.

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference",
    Journal of the American Statistical Association 22 (1927), 209–212. It keeps its
    coverage near 0 and 1, where the normal interval does not.

    Args:
        share: share of images classified right, 0 to 1.
        n_images: number of images, from 1.
        confidence: 0 to 1.

    Returns:
        The lower and the upper end.
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    scale = 1 + z * z / n_images
    center = (share + z * z / (2 * n_images)) / scale
    spread = share * (1 - share) / n_images + z * z / (4 * n_images * n_images)
    half = z * math.sqrt(spread) / scale
    return max(0.0, center - half), min(1.0, center + half)


class _Measure:
    """Computes all metrics of images that count several times, or not at all."""

    def __init__(self, labels: Labels, probabilities: Probabilities) -> None:
        self._labels = labels
        self._probabilities = probabilities
        self._n_classes = probabilities.shape[1]
        self._present = np.flatnonzero(np.bincount(labels, minlength=self._n_classes))
        self.predicted = probabilities.argmax(axis=1)
        self.correct = self.predicted == labels
        own = probabilities[np.arange(len(labels)), labels].astype(np.float64)
        self._losses = -np.log(np.clip(own, LEAST_PROBABILITY, 1.0))

    def __call__(
        self, weights: Weights, names: Collection[str] = METRICS.names
    ) -> dict[str, NDArray[np.float64]]:
        """Return metrics for each row of weights: how often each image counts."""
        total = weights.sum(axis=1, dtype=np.float64)
        found: dict[str, list[NDArray[np.float64]]] = {name: [] for name in METRICS.names}
        for block in _blocks(weights):
            found["accuracy"].append(block @ self.correct)
            found["log_loss"].append(block @ self._losses)
            for row in block:
                hits = self._per_class(self._labels, row * self.correct)
                images = self._per_class(self._labels, row)
                predicted = self._per_class(self.predicted, row)
                found["balanced_accuracy"].append(np.array([np.mean(hits / images)]))
                found["macro_f1"].append(np.array([np.mean(2 * hits / (images + predicted))]))
        if "auroc" in names and len(self._present) > 1:
            found["auroc"].append(self._auroc(weights))
        values = {name: np.concatenate(parts) for name, parts in found.items() if parts}
        values["accuracy"] /= total
        values["log_loss"] /= total
        return {name: value for name, value in values.items() if name in names}

    def _per_class(
        self, classes: NDArray[np.intp], weights: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        counts = np.bincount(classes, weights, self._n_classes).astype(np.float64)
        present: NDArray[np.float64] = counts[self._present]
        return present

    def _auroc(self, weights: Weights) -> NDArray[np.float64]:
        """Return the share of pairs (image of a class, another) that its probability orders.

        Pairs of equal probability count half. The mean over classes; of a model of two classes,
        where both orders are the same, the second's alone.
        """
        classes = self._present if self._n_classes > 2 else np.array([1])
        total = np.zeros(len(weights))
        for number in classes:
            column = self._probabilities[:, number]
            order = np.argsort(column, kind="stable")
            ordered, own = column[order], (self._labels == number)[order]
            left = np.searchsorted(ordered, ordered[own], "left")
            right = np.searchsorted(ordered, ordered[own], "right")
            start = 0
            for block in _blocks(weights):
                sorted_block = block[:, order]
                mine = sorted_block[:, own]
                below = np.zeros((len(block), len(order) + 1))
                np.cumsum(np.where(own, 0.0, sorted_block), axis=1, out=below[:, 1:])
                won = (mine * (below[:, left] + below[:, right])).sum(axis=1) / 2
                total[start : start + len(block)] += won / (mine.sum(axis=1) * below[:, -1])
                start += len(block)
        return total / len(classes)


def _blocks(weights: Weights) -> Iterator[NDArray[np.float64]]:
    step = max(1, BLOCK // weights.shape[1])
    for start in range(0, len(weights), step):
        yield weights[start : start + step].astype(np.float64)


def _resample(labels: Labels, resamples: int, seed: int) -> Weights:
    """Return how often each image is drawn, uint16 (resamples, images)."""
    generator = np.random.default_rng(seed)
    weights = np.zeros((resamples, len(labels)), np.uint16)
    for number in np.unique(labels):
        rows = np.flatnonzero(labels == number)
        for weight in weights:
            drawn = generator.integers(0, len(rows), len(rows))
            weight[rows] = np.bincount(drawn, minlength=len(rows))
    return weights


def _percentiles(
    drawn: NDArray[np.float64], value: float
) -> tuple[float, float] | tuple[None, None]:
    """Return the ends of a figure's interval, None where no resample varies it."""
    tails = (1 - CONFIDENCE) / 2
    low, high = np.quantile(drawn, (tails, 1 - tails))
    if np.isclose(low, high, rtol=1e-9, atol=1e-12):  # sums in another order differ by a bit
        return None, None
    # A figure that resampling biases may lie outside.
    return min(float(low), value), max(float(high), value)


def _class_score(confusion: NDArray[np.int64], number: int) -> ClassScore:
    hits = int(confusion[number, number])
    images, predicted = int(confusion[number].sum()), int(confusion[:, number].sum())
    return ClassScore(
        images=images,
        predicted=predicted,
        precision=hits / predicted if predicted else None,
        recall=hits / images if images else None,
        f1=2 * hits / (images + predicted) if images else None,
    )


def _bins(probabilities: Probabilities, correct: NDArray[np.bool_]) -> tuple[Bin, ...]:
    greatest = probabilities.max(axis=1).astype(np.float64)
    places = np.clip(np.ceil(greatest * BINS).astype(int) - 1, 0, BINS - 1)
    images = np.bincount(places, minlength=BINS)
    sums = np.bincount(places, greatest, BINS)
    hits = np.bincount(places, correct, BINS)
    return tuple(
        Bin(
            low=place / BINS,
            high=(place + 1) / BINS,
            images=int(images[place]),
            probability=float(sums[place] / max(images[place], 1)),
            accuracy=float(hits[place] / max(images[place], 1)),
        )
        for place in range(BINS)
    )


def _distance(bins: Sequence[Bin]) -> float:
    """Return the mean over images of how far their bin's probability is from its accuracy."""
    images = sum(one.images for one in bins)
    return sum(one.images * abs(one.probability - one.accuracy) for one in bins) / images
