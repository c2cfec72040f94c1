"""How well probabilities fit true classes: figures with intervals, confusion, calibration.

What is measured stands in the table of metrics; how, in `measures`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from automl_cv.catalog.metrics import METRICS
from automl_cv.measures import Judged, Labels, Probabilities, Weights, measured

CONFIDENCE = 0.95
# Ends of a percentile interval from 1,000 resamples vary by about a thirtieth of its width.
RESAMPLES, FEWEST_RESAMPLES = 1000, 200
WORK = 200_000_000  # images x classes x resamples above which there are fewer; some ten seconds
BINS = 15  # of Guo et al. 2017, "On Calibration of Modern Neural Networks", arXiv:1706.04599


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
    """Images whose confidence, their highest probability, lies in (low, high].

    Args:
        low: lower end; the first bin holds 0 too.
        high: upper end.
        images: how many.
        probability: mean of their confidences; 0 without images.
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
    losses: NDArray[np.float64] | None = None,
    seed: int = 0,
    resamples: int | None = None,
) -> Scores:
    """Measure how well probabilities fit true classes.

    Means over classes are over classes that have images. The interval of a share of the images
    is Wilson's, AUROC's its own (`measures.auroc_interval`). Others are percentiles of resamples
    of the images with replacement, as many of each class as there are: test splits are drawn by
    class as well.

    Args:
        labels: number of each image's class, shape (images,), at least one.
        probabilities: shape (images, classes), rows of sum 1; two classes or more.
        losses: each image's cross-entropy, as `measures.Judged` takes it.
        seed: of the resamples.
        resamples: how many; None takes RESAMPLES, fewer where that is WORK, but
            FEWEST_RESAMPLES.
    """
    if resamples is None:
        resamples = int(np.clip(WORK // probabilities.size, FEWEST_RESAMPLES, RESAMPLES))
    judged = Judged(labels, probabilities, losses)
    once, resampled = _once(labels), _resample(labels, resamples, seed)
    metrics: dict[str, Measured | None] = {}
    for metric in METRICS:
        values = measured(metric, judged, once)
        if values is None:
            metrics[metric.name] = None
            continue
        value = float(values[0])
        ends: tuple[float, float] | tuple[None, None]
        if metric.is_share_of_images:
            low, high = wilson(value, len(labels))
            ends = min(low, value), max(high, value)  # but for a last bit
        elif (interval := metric.load_interval()) is not None:
            ends = interval(judged, value, NormalDist().inv_cdf((1 + CONFIDENCE) / 2))
        else:
            ends = _percentiles(measured(metric, judged, resampled), value)
        metrics[metric.name] = Measured(value, *ends)
    n_classes = probabilities.shape[1]
    confusion = np.zeros((n_classes, n_classes), np.int64)
    np.add.at(confusion, (labels, judged.predicted), 1)
    bins = _bins(probabilities, judged.correct)
    return Scores(
        metrics=metrics,
        classes=tuple(_class_score(confusion, number) for number in range(n_classes)),
        confusion=confusion,
        calibration_error=_distance(bins),
        bins=bins,
        resamples=resamples,
        seed=seed,
    )


def figure(
    name: str,
    labels: Labels,
    probabilities: Probabilities,
    losses: NDArray[np.float64] | None = None,
) -> float | None:
    """Return one metric without an interval; None where the images do not determine it.

    Args:
        name: of an entry of the table of metrics.
        labels: as in `score`.
        probabilities: as in `score`.
        losses: as in `score`.
    """
    values = measured(METRICS[name], Judged(labels, probabilities, losses), _once(labels))
    return None if values is None else float(values[0])


def calibration_error(labels: Labels, probabilities: Probabilities) -> float:
    """Return the expected calibration error alone; see `Scores`.

    Args:
        labels: as in `score`.
        probabilities: as in `score`.
    """
    return _distance(_bins(probabilities, probabilities.argmax(axis=1) == labels))


def overconfidence(loss: float, n_classes: int, metric: str) -> str | None:
    """Say that probabilities are worth less than a uniform guess; None where they are not.

    A uniform guess has a cross-entropy of ln(classes), whatever is true, so that what is above
    it can only come of being sure and wrong.

    Args:
        loss: their cross-entropy, in nats.
        n_classes: number of classes.
        metric: what trials were chosen by: whoever went by log loss needs not be told to.

    Returns:
        What follows "its probabilities are".
    """
    guess = math.log(n_classes)
    if not loss > guess:
        return None
    instead = "" if metric == "log_loss" else ', or `metric = "log_loss"` in the study'
    return (
        f"overconfident: validation loss {loss:.4f}, where the same probability for each of "
        f"{n_classes} classes has {guess:.4f}; use `automl-cv fit --calibrate`{instead}"
    )


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


def _once(labels: Labels) -> Weights:
    """Return the weights of the images as they are, uint16 (1, images)."""
    return np.ones((1, len(labels)), np.uint16)


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
    drawn: NDArray[np.float64] | None, value: float
) -> tuple[float, float] | tuple[None, None]:
    """Return the ends of a figure's interval, None where no resample varies it.

    Args:
        drawn: the figure of each resample; None where one of them does not determine it.
        value: the figure of the images as they are.
    """
    if drawn is None:
        return None, None
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
