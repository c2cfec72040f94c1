"""How each metric is measured, of images as they are and of many resamples of them at once.

A metric of the table names a function of either kind, see `catalog.metrics.MetricEntry`. Those
here measure all resamples together, where calling scikit-learn for each would take a hundred
times as long; any other function is called once a resample.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from automl_cv.catalog.metrics import MetricEntry

Labels = NDArray[np.intp]
Probabilities = NDArray[np.float32]
Weights = NDArray[np.uint16]
"""How often each image counts in each resample, shape (resamples, images)."""
Values = NDArray[np.float64]
"""One figure a resample, shape (resamples,)."""

BLOCK = 2_000_000  # weights held as float64 at a time, 16 MB
PRODUCT_CLASSES = 64
"""Up to so many, images of each class are counted by a product, of more one resample a time."""
LEAST_PROBABILITY = float(np.finfo(np.float32).tiny)
"""What a probability counts as at least, 1.2e-38, where no loss is given: the smallest that
float32 holds in full, 87.3 nats. A softmax in float32 gives 0 to what is less probable, and one
wrong image would make the loss infinite."""


def accuracy_and_loss(labels: Labels, probabilities: NDArray[np.floating]) -> tuple[float, float]:
    """Return the share that is right, and the mean cross-entropy in nats.

    Args:
        labels: number of each image's class, shape (images,).
        probabilities: shape (images, classes), rows of sum 1.
    """
    judged = Judged(labels, probabilities)
    return float(judged.correct.mean()), float(judged.losses.mean())


@dataclass(frozen=True, eq=False)
class Counts:
    """Images of each class that has any, for each resample, float64 (resamples, classes).

    Args:
        images: of the class.
        hits: of them, said to be of it.
        predicted: said to be of it.
    """

    images: NDArray[np.float64]
    hits: NDArray[np.float64]
    predicted: NDArray[np.float64]


class Judged:
    """True classes and probabilities of images, and what several metrics need of them.

    Args:
        labels: number of each image's class, shape (images,).
        probabilities: shape (images, classes), rows of sum 1.
        losses: each image's cross-entropy, in nats, see `cross_entropies`, shape (images,); None
            where its logits are not known: then minus the logarithm of the probability, which
            counts as at least LEAST_PROBABILITY.
    """

    def __init__(
        self,
        labels: Labels,
        probabilities: Probabilities,
        losses: NDArray[np.float64] | None = None,
    ) -> None:
        self.labels = labels
        self.probabilities = probabilities
        self._losses = losses
        self.n_classes = probabilities.shape[1]
        self.predicted = probabilities.argmax(axis=1)
        self.correct = self.predicted == labels
        self._counted: tuple[Weights, Counts] | None = None

    @cached_property
    def losses(self) -> NDArray[np.float64]:
        """Each image's cross-entropy, in nats, shape (images,)."""
        if self._losses is not None:
            return self._losses
        own = self.probabilities[np.arange(len(self.labels)), self.labels].astype(np.float64)
        losses: NDArray[np.float64] = -np.log(np.clip(own, LEAST_PROBABILITY, 1.0))
        return losses

    @cached_property
    def present(self) -> NDArray[np.intp]:
        """Numbers of the classes that have images, ascending."""
        return np.flatnonzero(np.bincount(self.labels, minlength=self.n_classes))

    def counts(self, weights: Weights) -> Counts:
        """Return the images of each class; asked again for the same resamples, the same."""
        if self._counted is None or self._counted[0] is not weights:
            self._counted = weights, self._count(weights)
        return self._counted[1]

    def _count(self, weights: Weights) -> Counts:
        found = np.empty((3, len(weights), len(self.present)))
        if self.n_classes > PRODUCT_CLASSES:
            for number, row in enumerate(row for block in blocks(weights) for row in block):
                found[0, number] = self._per_class(self.labels, row)
                found[1, number] = self._per_class(self.labels, row * self.correct)
                found[2, number] = self._per_class(self.predicted, row)
            return Counts(*found)
        own = (self.labels[:, None] == self.present).astype(np.float64)
        said = (self.predicted[:, None] == self.present).astype(np.float64)
        for place, images in enumerate((own, own * self.correct[:, None], said)):
            found[place] = np.concatenate([block @ images for block in blocks(weights)])
        return Counts(*found)

    def _per_class(
        self, classes: NDArray[np.intp], weights: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        counts = np.bincount(classes, weights, self.n_classes).astype(np.float64)
        present: NDArray[np.float64] = counts[self.present]
        return present


def measured(metric: MetricEntry, judged: Judged, weights: Weights) -> Values | None:
    """Return a metric of each resample; None where the images do not determine it.

    Args:
        metric: its entry.
        judged: the images.
        weights: how often each image counts.
    """
    target = metric.load()
    if metric.measures_resamples:
        values: Values | None = target(judged, weights)
        return values
    found = []
    for row in weights:
        drawn = np.repeat(np.arange(len(judged.labels)), row)
        value = target(judged.labels[drawn], judged.probabilities[drawn])
        if value is None or not math.isfinite(value):
            return None
        found.append(float(value))
    return np.array(found)


def blocks(weights: Weights) -> Iterator[NDArray[np.float64]]:
    """Yield resamples as float64, so many at a time as memory is well used by."""
    step = max(1, BLOCK // weights.shape[1])
    for start in range(0, len(weights), step):
        yield weights[start : start + step].astype(np.float64)


def cross_entropies(labels: Labels, logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return minus the logarithm of each right class's softmax, exact however small that is.

    Args:
        labels: as in `Judged`.
        logits: shape (images, classes).
    """
    exact = logits.astype(np.float64)
    exact -= exact.max(axis=1, keepdims=True)
    own = exact[np.arange(len(labels)), labels]
    losses: NDArray[np.float64] = np.log(np.exp(exact).sum(axis=1)) - own
    return losses


def accuracy(judged: Judged, weights: Weights) -> Values:
    """Return the share of images classified right."""
    return _mean(judged.correct, weights)


def log_loss(judged: Judged, weights: Weights) -> Values:
    """Return the mean of minus the logarithm of the right class's probability."""
    return _mean(judged.losses, weights)


def balanced_accuracy(judged: Judged, weights: Weights) -> Values:
    """Return the mean over classes that have images of the share classified right."""
    counts = judged.counts(weights)
    return _mean_of_rows(counts.hits / counts.images)


def macro_f1(judged: Judged, weights: Weights) -> Values:
    """Return the mean over classes that have images of F1."""
    counts = judged.counts(weights)
    return _mean_of_rows(2 * counts.hits / (counts.images + counts.predicted))


def auroc(judged: Judged, weights: Weights) -> Values | None:
    """Return the share of pairs (image of a class, another) that its probability orders.

    Pairs of equal probability count half. The mean over classes; of a model of two classes,
    where both orders are the same, the second's alone. None without images of two classes.
    """
    if len(judged.present) < 2:
        return None
    classes = _told_from_the_rest(judged)
    total = np.zeros(len(weights))
    for number in classes:
        column = judged.probabilities[:, number]
        order = np.argsort(column, kind="stable")
        ordered, own = column[order], (judged.labels == number)[order]
        left = np.searchsorted(ordered, ordered[own], "left")
        right = np.searchsorted(ordered, ordered[own], "right")
        start = 0
        for block in blocks(weights):
            sorted_block = block[:, order]
            mine = sorted_block[:, own]
            below = np.zeros((len(block), len(order) + 1))
            np.cumsum(np.where(own, 0.0, sorted_block), axis=1, out=below[:, 1:])
            won = (mine * (below[:, left] + below[:, right])).sum(axis=1) / 2
            total[start : start + len(block)] += won / (mine.sum(axis=1) * below[:, -1])
            start += len(block)
    values: Values = total / len(classes)
    return values


def auroc_interval(judged: Judged, value: float, z: float) -> tuple[float, float]:
    """Return the ends of AUROC's interval: all values within z standard errors of their own.

    How the variance depends on the value is Newcombe's ("Confidence intervals for an effect size
    measure based on the Mann-Whitney statistic, part 2", Statistics in Medicine 25, 2006,
    559-573, method 5), as if classes were independent. How large it is here is DeLong's (DeLong,
    DeLong and Clarke-Pearson, Biometrics 44, 1988, 837-845), of images within classes, so that
    an image's part in the AUROC of every class counts. Their ratio scales the first; both are
    added what half an image makes, as where few pairs are in the wrong order DeLong's is a
    guess, and where none is it is 0. So the interval is one where all pairs are in order, too.

    Coverage at 95 %, simulated: `tests/benchmarks/auroc_coverage.py`.

    Args:
        judged: images of two classes or more.
        value: their AUROC.
        z: quantile of the normal distribution, 1.96 for 95 %.
    """
    n_images = len(judged.labels)
    classes = _told_from_the_rest(judged)
    parts = np.zeros(n_images)  # what each image adds to the mean AUROC
    sizes = []
    for number in classes:
        own = judged.labels == number
        inside, outside = judged.probabilities[own, number], judged.probabilities[~own, number]
        sizes.append((len(inside), len(outside)))
        parts[own] += _share_below(outside, inside) / len(inside)
        parts[~own] += (1 - _share_below(inside, outside)) / len(outside)
    variance = 0.0
    for number in judged.present:
        of_class = parts[judged.labels == number]
        if len(of_class) > 1:
            variance += len(of_class) * float(np.var(of_class, ddof=1))
    variance /= len(classes) ** 2

    def newcombe(auroc: float) -> float:
        total = 0.0
        for inside, outside in sizes:
            pairs = (inside + outside) / 2 - 1
            others = pairs * (1 - auroc) / (2 - auroc) + pairs * auroc / (1 + auroc)
            total += auroc * (1 - auroc) * (1 + others) / (inside * outside)
        return total / len(classes) ** 2

    least = newcombe(1 - 0.5 / n_images)
    scale = (variance + least) / (newcombe(value) + least)

    def end(within: float, beyond: float) -> float:
        for _ in range(50):
            middle = (within + beyond) / 2
            if abs(value - middle) <= z * math.sqrt(scale * newcombe(middle)):
                within = middle
            else:
                beyond = middle
        return within

    return end(value, 0.0), end(value, 1.0)


def _told_from_the_rest(judged: Judged) -> NDArray[np.intp]:
    """Return the classes that AUROC is a mean over: of a model of two, one says all."""
    return judged.present if judged.n_classes > 2 else np.array([1])


def _share_below(others: NDArray[np.floating], values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return for each value the share of others below it; equal ones count half."""
    ordered = np.sort(others)
    below = np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")
    shares: NDArray[np.float64] = below / (2 * len(others))
    return shares


def _mean(of_images: NDArray[np.float64] | NDArray[np.bool_], weights: Weights) -> Values:
    sums = np.concatenate([block @ of_images for block in blocks(weights)])
    means: Values = sums / weights.sum(axis=1, dtype=np.float64)
    return means


def _mean_of_rows(of_classes: NDArray[np.float64]) -> Values:
    return np.array([np.mean(row) for row in of_classes])
