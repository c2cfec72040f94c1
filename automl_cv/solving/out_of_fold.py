"""What heads that are solved exactly say of images that they did not learn from.

Two heads, each solved once a fold: ridge regression on the likeness to ANCHORS of the images
(near images of another class speak up), and discriminant analysis on features of length 1
(classes as a whole do). Sums of products are taken once over all images; those of a fold are
taken off again, so that ten folds cost little more than two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from scipy.linalg import solve
from scipy.special import log_softmax

from automl_cv.solving.kernel import likeness_of
from automl_cv.solving.linear import with_absent
from automl_cv.solving.scaling import IMAGES_AT_ONCE, formed, measured
from automl_cv.solving.temperature import fitted, fitted_to_scores
from automl_cv.solving.threads import one_thread

FOLDS = 10
NO_FOLD = -1
"""The fold of an image that no head learns from."""

ANCHORS = 1000
"""Images that others are compared with, at most; of fewer images the head is the exact one."""

REACH = 1.0
"""How far likeness reaches, see `kernel.Kernel`; 0.1 and 0.3 found fewer of planted mistakes."""

WEIGHTS = (2.0, 1.0)
"""What the logits of ridge and discriminant analysis weigh. Alone the first finds more mistakes
between neighbouring classes, the second more of those at random (docs/benchmarks.md)."""

PENALTIES = (3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003)
SHRINKAGES = (0.95, 0.8, 0.5, 0.2, 0.05, 0.01)

ENOUGH = 600
"""Images that say how strongly to regularise: of more, the first folds are asked alone."""

THREADS = 2
SMALLEST = 1e-7
"""Directions of the anchors below this share of the largest are left out."""


@dataclass(frozen=True)
class Sums:
    """Sums over images.

    Args:
        products: of features with features, float64 (features, features).
        totals: of the features of each class, (features, classes).
        counts: images of each class, (classes,).
    """

    products: np.ndarray
    totals: np.ndarray
    counts: np.ndarray

    def less(self, other: Sums) -> Sums:
        """Return the sums over those of the images that are not among others."""
        return Sums(
            self.products - other.products, self.totals - other.totals, self.counts - other.counts
        )


Head = Callable[[Sums, float], tuple[np.ndarray, np.ndarray]]
"""Weights (features, classes) and bias (classes,) of sums and a strength."""


def out_of_fold(
    features: np.ndarray, labels: np.ndarray, classes: int, folds: np.ndarray
) -> np.ndarray:
    """Return logits of each image by heads that did not learn from its fold.

    Args:
        features: as a backbone gives them, (images, features).
        labels: class indices (images,).
        classes: number of classes.
        folds: number of each image's fold from 0, at least two of them; NO_FOLD for images that
            no head learns from, which those that learned from all others judge.

    Returns:
        float64 (images, classes); softmax of them says how sure the heads are, as far as the
        labels of the images tell.
    """
    return Folds(features, folds).logits(labels, classes)


class Folds:
    """Features brought into the forms that heads are solved on, whatever the labels are.

    Args:
        features: see `out_of_fold`.
        folds: see `out_of_fold`.
    """

    def __init__(self, features: np.ndarray, folds: np.ndarray) -> None:
        known = np.flatnonzero(folds != NO_FOLD)
        places = np.linspace(0, len(known) - 1, min(ANCHORS, len(known))).round().astype(int)
        anchors = known[np.unique(places)]
        with one_thread():
            self._forms = (_likenesses(features, anchors), _directions(features, known, anchors))
        self._folds = folds
        self._known = known

    def logits(self, labels: np.ndarray, classes: int) -> np.ndarray:
        """Return what `out_of_fold` does, of these labels."""
        heads: tuple[tuple[Head, Sequence[float]], ...] = (
            (_ridge, PENALTIES),
            (_discriminant, SHRINKAGES),
        )
        known, added = self._known, np.zeros((len(labels), classes))
        for form, (head, strengths), weight in zip(self._forms, heads, WEIGHTS, strict=True):
            logits = _Solved(form, labels, classes, folds=self._folds).best(head, strengths)
            added += weight * logits / fitted_to_scores(labels[known], logits[known])
        return added / fitted(labels[known], added[known])


class _Solved:
    """One kind of head, solved for every fold.

    Args:
        form: features that it is linear in, (images, features).
        labels: class indices.
        classes: number of classes.
        folds: see `out_of_fold`.
    """

    def __init__(
        self, form: np.ndarray, labels: np.ndarray, classes: int, *, folds: np.ndarray
    ) -> None:
        self._form, self._labels, self._classes = form, labels, classes
        names = np.unique(folds)
        self._rows = [np.flatnonzero(folds == name) for name in names]
        self._is_known = [bool(name != NO_FOLD) for name in names]
        with one_thread():
            each = [
                _sums(form, labels, classes, rows=rows)
                for rows, is_known in zip(self._rows, self._is_known, strict=True)
                if is_known
            ]
        self._all = Sums(
            sum(one.products for one in each),  # type: ignore[arg-type]
            sum(one.totals for one in each),  # type: ignore[arg-type]
            sum(one.counts for one in each),  # type: ignore[arg-type]
        )
        waiting = iter(each)
        # Images of no fold are judged by what learned from all others.
        self._of_fold = [next(waiting) if is_known else None for is_known in self._is_known]

    def best(self, head: Head, strengths: Sequence[float]) -> np.ndarray:
        """Return logits at the strength of lowest log loss; one temperature is fitted to each."""
        asked, images = [], 0
        for number, is_known in enumerate(self._is_known):
            if is_known and images < ENOUGH:
                asked.append(number)
                images += len(self._rows[number])
        rows = np.concatenate([self._rows[number] for number in asked])
        losses: list[float] = []
        for strength in strengths:
            said = np.concatenate(self._said(head, strength, asked))
            losses.append(_loss(self._labels[rows], said))
            if len(losses) > 2 and losses[-1] > losses[-2] > losses[-3]:
                break
        found = np.empty((len(self._labels), self._classes))
        everything = range(len(self._rows))
        said_of_all = self._said(head, strengths[int(np.argmin(losses))], everything)
        for own, logits in zip(self._rows, said_of_all, strict=True):
            found[own] = logits
        return found

    def _said(self, head: Head, strength: float, numbers: Sequence[int]) -> list[np.ndarray]:
        """Return the logits of folds, each by the head of all others."""

        def judge(number: int) -> np.ndarray:
            own = self._of_fold[number]
            weights, bias = head(self._all if own is None else self._all.less(own), strength)
            judged: np.ndarray = self._form[self._rows[number]] @ weights + bias
            return judged

        with one_thread(), ThreadPoolExecutor(THREADS) as threads:
            return list(threads.map(judge, numbers))


def _loss(labels: np.ndarray, logits: np.ndarray) -> float:
    """Return the log loss of logits at the temperature that suits them best."""
    shares = log_softmax(logits / fitted_to_scores(labels, logits), axis=1)
    return -float(shares[np.arange(len(labels)), labels].mean())


def _sums(form: np.ndarray, labels: np.ndarray, classes: int, *, rows: np.ndarray) -> Sums:
    one_hot = np.eye(classes)[labels[rows]]
    own = form[rows].astype(np.float64)
    return Sums(own.T @ own, own.T @ one_hot, one_hot.sum(axis=0))


def _ridge(sums: Sums, penalty: float) -> tuple[np.ndarray, np.ndarray]:
    """Solve ridge regression, see `ridge.Ridge`."""
    images = sums.counts.sum()
    mean, shares = sums.totals.sum(axis=1) / images, sums.counts / images
    scatter = sums.products - images * np.outer(mean, mean)
    scatter[np.diag_indices_from(scatter)] += penalty
    towards = sums.totals - np.outer(mean, sums.counts)
    weights: np.ndarray = _solved(scatter, towards)
    return weights, shares - mean @ weights


def _discriminant(sums: Sums, shrinkage: float) -> tuple[np.ndarray, np.ndarray]:
    """Solve discriminant analysis, see `discriminant.Discriminant`."""
    present = np.flatnonzero(sums.counts)
    counts, totals, images = sums.counts[present], sums.totals[:, present], sums.counts.sum()
    means = totals / counts
    covariance = (sums.products - means @ totals.T) / images
    variance = max(float(np.trace(covariance)) / len(covariance), 1e-12)
    covariance *= 1 - shrinkage
    covariance[np.diag_indices_from(covariance)] += shrinkage * variance
    weights = _solved(covariance, means)
    bias = np.log(counts / images) - 0.5 * np.einsum("fc,fc->c", means, weights)
    return with_absent(weights, bias, present, len(sums.counts))


_solved = partial(solve, assume_a="pos", check_finite=False)


def _likenesses(features: np.ndarray, anchors: np.ndarray) -> np.ndarray:
    """Return float32 (images, at most anchors), whose products are likenesses of images."""
    own = formed("root", features[anchors])
    products = own @ own.T
    distances = 1 - products[np.triu_indices(len(own), 1)]
    factor = REACH / max(float(np.median(distances)) if len(distances) else 0.0, 1e-12)
    basis = _inverse_root(likeness_of(products, factor))
    blocks = [
        (likeness_of(formed("root", block) @ own.T, factor) @ basis).astype(np.float32)
        for block in _blocks(features)
    ]
    return np.concatenate(blocks)


def _directions(features: np.ndarray, known: np.ndarray, anchors: np.ndarray) -> np.ndarray:
    """Return features of length 1, centred and scaled, at most ANCHORS wide, float32."""
    scaling = measured("unit", features[known])
    basis: Any = None
    if features.shape[1] > len(anchors):
        own = scaling.scaled(features[anchors])
        basis = own.T @ _inverse_root(own @ own.T)
    blocks = (scaling.scaled(block) for block in _blocks(features))
    return np.concatenate(
        [(block if basis is None else block @ basis).astype(np.float32) for block in blocks]
    )


def _inverse_root(products: np.ndarray) -> np.ndarray:
    """Return what turns products with anchors into features whose products they are."""
    values, vectors = np.linalg.eigh(products)
    kept = values > SMALLEST * values[-1]
    root: np.ndarray = vectors[:, kept] / np.sqrt(values[kept])
    return root


def _blocks(features: np.ndarray) -> list[np.ndarray]:
    return np.array_split(features, max(1, -(-len(features) // IMAGES_AT_ONCE)))
