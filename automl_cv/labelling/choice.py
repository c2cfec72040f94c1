"""Which images to label next: typical ones first, then those that a head is unsure of.

Few labels are worth most on images that many others look like: a cluster's most typical one
(TypiClust, Hacohen, Dekel and Weinshall 2022, arXiv:2202.02794). Once each class has some, those
are worth most that a head on the features is unsure of, spread over what is there: the images are
clustered, each weighed with how unsure the head is of it (as Zhdanov 2019, arXiv:1901.05954, does
with those that pass a threshold), and each cluster gives the one nearest to its middle.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import softmax

from automl_cv.labelling.places import Places, places
from automl_cv.solving.linear import Linear, folded
from automl_cv.solving.logistic import Logistic
from automl_cv.solving.scaling import IMAGES_AT_ONCE, measured
from automl_cv.solving.threads import one_thread

Rows = npt.NDArray[np.intp]

# Labelled images a class, in the mean, from which a head is asked. Sooner, its doubts are noise.
ENOUGH = 2
# Of all images so many clusters at most, as in the paper: of more images than that each cluster
# gives several.
MOST_CLUSTERS = 500
NEIGHBOURS = 20  # over which typicality is the mean, as in the paper
# Images of a cluster that are looked at for typical ones, evenly apart: distances are of pairs.
LOOKED_AT = 2000
# Clusters of more images than this are those of so many of them, evenly apart; all are then put
# into the nearest.
CLUSTERED_FROM = 20_000
ITERATIONS = 50
# scikit-learn's C = 1, on features of mean variance 1.
PENALTY = 1.0
# What an image that the head is sure of weighs at least: with weights of 0 nothing is near.
LEAST_WEIGHT = 1e-4

Reason = Literal["typical", "uncertain"]


@dataclass(frozen=True)
class Choice:
    """An image that is worth a label.

    Args:
        row: its place among all images.
        reason: why it was chosen.
        stands_for: how many unlabelled images its cluster holds, itself included.
        likely: class indices, the most likely first, two at most; none where no head was asked.
        probabilities: of these, by the head.
    """

    row: int
    reason: Reason
    stands_for: int
    likely: tuple[int, ...] = ()
    probabilities: tuple[float, ...] = ()


def choose(
    features: np.ndarray, labelled: Rows, labels: Sequence[int], count: int, seed: int
) -> list[Choice]:
    """Choose unlabelled images whose labels are worth most, in the order in which they are.

    Args:
        features: (images, features) of all images, labelled or not; may be memory-mapped.
        labelled: rows of those with labels.
        labels: their class indices, in the same order.
        count: how many to choose; all that are left where there are fewer.
        seed: of the clusters' beginnings.

    Returns:
        `count` choices, the best first: whoever labels half of them labels the better half.
    """
    free = np.setdiff1d(np.arange(len(features)), labelled)
    count = min(count, len(free))
    if count == 0:
        return []
    with one_thread():
        where = places(features)
        classes = len(set(labels))
        if classes < 2 or len(labelled) < ENOUGH * classes:
            return _typical(where, labelled, count, seed)
        said = _said(features, labelled, np.asarray(labels), free)
        return _uncertain(where, free, said, count, seed)


def _typical(where: Places, labelled: Rows, count: int, seed: int) -> list[Choice]:
    """Choose the most typical image of the clusters that have the fewest labels, large ones first.

    There are as many clusters as there will be labels.
    """
    clusters = min(len(labelled) + count, MOST_CLUSTERS, len(where))
    own = _clustered(where, clusters, seed)
    taken = np.bincount(own[labelled], minlength=clusters)
    is_labelled = np.zeros(len(where), bool)
    is_labelled[labelled] = True
    waiting: dict[int, list[int]] = {}
    sizes = np.bincount(own[~is_labelled], minlength=clusters)
    left = sizes.copy()
    found = []
    for _ in range(count):
        # The fewest labels, then the most images; of equal ones the first.
        cluster = int(np.lexsort((-sizes, taken, left == 0))[0])
        if cluster not in waiting:
            rows = np.flatnonzero(own == cluster)
            ranked = rows[np.argsort(-_typicality(where, rows), kind="stable")]
            waiting[cluster] = ranked[~is_labelled[ranked]].tolist()
        found.append(Choice(waiting[cluster].pop(0), "typical", int(sizes[cluster])))
        taken[cluster] += 1
        left[cluster] -= 1
    return found


def _typicality(where: Places, rows: Rows) -> np.ndarray:
    """Return 1 over the mean distance to the nearest neighbours in a cluster, by image.

    Of large clusters images that were not looked at come last, with 0.
    """
    step = max(1, -(-len(rows) // LOOKED_AT))
    some = where[rows[::step]].astype(np.float64)
    squares = np.einsum("if,if->i", some, some)
    distances = squares[:, None] + squares - 2 * (some @ some.T)
    near = min(NEIGHBOURS, len(some) - 1)
    typicality = np.zeros(len(rows))
    if near > 0:
        # The nearest of all is the image itself.
        nearest = np.partition(distances, near, axis=1)[:, : near + 1]
        means = np.sqrt(np.maximum(nearest, 0)).sum(axis=1) / near
        typicality[::step] = 1 / np.maximum(means, np.finfo(np.float64).tiny)
    return typicality


def _said(features: np.ndarray, labelled: Rows, labels: np.ndarray, rows: Rows) -> np.ndarray:
    """Return the probabilities of classes that a head on the labelled images gives others.

    Returns:
        float64 (rows, classes); the class of an index that no label has is never likely.
    """
    known = np.asarray(features[labelled])
    scaling = measured("root", known)
    solver = Logistic(scaling.scaled(known), labels, int(labels.max()) + 1)
    head = folded(scaling, *solver.solve(PENALTY))
    return np.concatenate(
        [
            softmax(_logits(head, features, rows[start : start + IMAGES_AT_ONCE]), axis=1)
            for start in range(0, len(rows), IMAGES_AT_ONCE)
        ]
    )


def _logits(head: Linear, features: np.ndarray, rows: Rows) -> np.ndarray:
    return head.logits(np.asarray(features[rows]))


def _uncertain(where: Places, free: Rows, said: np.ndarray, count: int, seed: int) -> list[Choice]:
    """Choose the middle image of each cluster, where images weigh what the head is unsure of.

    Args:
        where: places of all images.
        free: rows of the unlabelled ones.
        said: of these, probabilities of the classes.
        count: how many.
        seed: see `choose`.
    """
    order = np.argsort(-said, axis=1, kind="stable")[:, :2]
    first, second = np.take_along_axis(said, order, axis=1).T
    doubt = 1 - (first - second)
    weights = np.maximum(doubt, LEAST_WEIGHT)
    clusters = min(count, MOST_CLUSTERS)
    own = _clustered(where[free], clusters, seed, weights)
    sizes = np.bincount(own, minlength=clusters)
    ranked: list[list[int]] = []
    for cluster in range(clusters):
        rows = np.flatnonzero(own == cluster)
        if len(rows) == 0:
            continue
        middle = np.average(where[free[rows]], axis=0, weights=weights[rows])
        distances = np.square(where[free[rows]] - middle).sum(axis=1)
        ranked.append(rows[np.argsort(distances, kind="stable")].tolist())
    found: list[int] = []
    place = 0
    # One of each cluster, then the next of each, until there are enough.
    while len(found) < count:
        turn = [rows[place] for rows in ranked if place < len(rows)]
        found += sorted(turn, key=lambda row: -doubt[row])[: count - len(found)]
        place += 1
    return [
        Choice(
            row=int(free[row]),
            reason="uncertain",
            stands_for=int(sizes[own[row]]),
            likely=tuple(order[row].tolist()),
            probabilities=(float(first[row]), float(second[row])),
        )
        for row in found
    ]


def _clustered(
    where: Places, clusters: int, seed: int, weights: np.ndarray | None = None
) -> npt.NDArray[np.int32]:
    """Return the cluster of each image, by k-means.

    In one thread: several add up their sums in the order in which they end.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    step = max(1, -(-len(where) // CLUSTERED_FROM))
    means = KMeans(clusters, n_init=1, max_iter=ITERATIONS, random_state=seed)
    with threadpool_limits(1), warnings.catch_warnings():
        # Fewer different images than clusters: some clusters stay empty, which is no matter.
        warnings.simplefilter("ignore", ConvergenceWarning)
        means.fit(where[::step], sample_weight=None if weights is None else weights[::step])
        own: npt.NDArray[np.int32] = means.labels_ if step == 1 else means.predict(where)
    return own
