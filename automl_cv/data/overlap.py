"""Overlap: images that stand in two splits, so that scores on one come too easily."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, islice

import numpy as np
import numpy.typing as npt

from automl_cv.data.splitting import SPLITS
from automl_cv.words import counted

# Measured with the features of the embedded backbone `compact`. Distinct images: no digit of 720
# comes nearer than 0.85 to one of 1,077 others, no Fashion-MNIST test image of 1,200 nearer than
# 0.9 to one of 1,800; of 4,000 against 6,000, 25 reach it, and of the 16 looked at most show one
# article twice, the rest flip-flops that are hard to tell apart. Altered copies that reach it, of
# digits (8x8) and Fashion-MNIST (28x28): JPEG of quality 90 94 and 100 %, of quality 75 1 and
# 89 %, 10 % brighter 100 and 99 %, enlarged 37 and 100 %; mirrored or cropped ones mostly do not.
# Centred but not whitened, a threshold that no distinct digit reaches (0.985) finds 53 % of the
# digits' copies of quality 90, and 3 % of those 1,200 Fashion-MNIST images reach it. With 120
# training images: 83 and 100 % of the copies of quality 90, and no distinct image.
THRESHOLD = 0.9
# Least variance of a direction, as a share of the mean. With 0.01 slightly more copies lie above
# all distinct images, but the noise of directions hardly ever seen is scaled up three times more.
SHRINKAGE = 0.1

SHOWN = 5  # examples kept for each pair of splits
HELD_BLOCKS = 4  # whitened at a time; of 2,048 channels each takes 16 MiB
BLOCK = 2048  # rows compared at a time: a block of similarities takes 16 MiB

# Of more pairs (70,000 images in the usual shares) only those are compared that lie near the same
# of some images drawn at random, which makes the work grow with the power 3/2 of the images. Of
# 3,940 twins of cosine 0.9 among 30,000 clothes 99.8 % were found with 4 places, 99.95 % with 8,
# all with 16 (docs/benchmarks.md).
ALL_PAIRS = 2**30
PLACES = 16


@dataclass(frozen=True, slots=True)
class Twin:
    """Two images of different splits.

    Args:
        row: place of the one whose score suffers, counted over all images.
        twin: place of the other, in the split that comes first.
        similarity: 1 for identical pixels, else the cosine.
    """

    row: int
    twin: int
    similarity: float


@dataclass(frozen=True)
class Overlap:
    """Images of one split that have a twin in an earlier one.

    Args:
        counts: by (split, earlier split), in the order of SPLITS: how many images of the first
            have a twin in the second. Pairs without any are left out.
        sizes: images of each split.
        examples: by the same keys, the first few, the most similar ones first.
        threshold: least cosine that counts; None if only identical pixels do.
    """

    counts: Mapping[tuple[str, str], int]
    sizes: Mapping[str, int]
    examples: Mapping[tuple[str, str], tuple[Twin, ...]]
    threshold: float | None = None

    def warnings(self, paths: Sequence[str], likeness: str = "") -> list[str]:
        """Return one line for each pair of splits, to stand above a leaderboard.

        Args:
            paths: of all images, in the order of the rows.
            likeness: how alike they are, in words, where identical or nearly so is not all.
        """
        likeness = likeness or ("identical" if self.threshold is None else "nearly identical")
        lines = []
        for (split, earlier), number in self.counts.items():
            first = self.examples[split, earlier][0]
            lines.append(
                f"{counted(number, f'{split} image')} of {self.sizes[split]:,} "
                f"{'is' if number == 1 else 'are'} {likeness} to one in {earlier}, so scores on "
                f"{split} come out too high; first {paths[first.row]} and {paths[first.twin]}"
            )
        return lines


def identical(content_hashes: Sequence[str], splits: Sequence[str]) -> Overlap:
    """Find images whose pixels stand in an earlier split as well.

    Args:
        content_hashes: of all images, see `images.content_hash`.
        splits: of all images.
    """
    first: dict[str, dict[str, int]] = {name: {} for name in SPLITS}
    for row, (content, split) in enumerate(zip(content_hashes, splits, strict=True)):
        first[split].setdefault(content, row)
    found: dict[tuple[str, str], list[Twin]] = {}
    for row, (content, split) in enumerate(zip(content_hashes, splits, strict=True)):
        for earlier in SPLITS[: SPLITS.index(split)]:
            if content in first[earlier]:
                pair = Twin(row, first[earlier][content], 1.0)
                found.setdefault((split, earlier), []).append(pair)
    return summary(found, splits, None)


def near_duplicates(
    features: npt.NDArray[np.floating],
    splits: Sequence[str] | npt.NDArray[np.str_],
    *,
    threshold: float = THRESHOLD,
) -> Overlap:
    """Find validation and test images that look almost, or exactly, like a training image.

    Features are centred and whitened on the training images before the cosine: pooled features
    are all positive, so that any two images would look alike, and what is common to a class
    outweighs what is one image's own. Of very many images a few twins in a thousand may be missed.

    Args:
        features: (images, channels), the pooled output of a backbone's last block; may be
            memory-mapped, at most a few blocks of it are held.
        splits: of all images.
        threshold: least cosine that counts.
    """
    names = np.asarray(splits)
    train = np.flatnonzero(names == "train")
    directions = _Directions.fit(features, train)
    found: dict[tuple[str, str], list[Twin]] = {}
    for split in SPLITS[1:]:
        rows = np.flatnonzero(names == split)
        nearest = _nearest if len(rows) * len(train) <= ALL_PAIRS else _nearest_by_places
        similarity, twin = nearest(directions, rows, train)
        for place in np.flatnonzero(similarity >= threshold):
            pair = Twin(int(rows[place]), int(twin[place]), float(similarity[place]))
            found.setdefault((split, "train"), []).append(pair)
    return summary(found, names.tolist(), threshold)


def near(
    pairs: npt.NDArray[np.intp], distances: npt.NDArray[np.floating], splits: Sequence[str]
) -> dict[tuple[str, str], list[Twin]]:
    """Return near copies that stand in two splits, each image with the nearest in another.

    Args:
        pairs: rows of near copies, (pairs, 2).
        distances: of each pair, from 0.
        splits: of all images.

    Returns:
        By (split, earlier split), in the order of SPLITS.
    """
    order = np.array([SPLITS.index(split) for split in splits], np.int8)
    is_later = order[pairs[:, 0]] > order[pairs[:, 1]]
    rows, twins = (pairs[np.arange(len(pairs)), 1 - is_later.astype(int) ^ flip] for flip in (0, 1))
    found: dict[tuple[str, str], list[Twin]] = {}
    for split, earlier in combinations(range(len(SPLITS))[::-1], 2):
        places = np.flatnonzero((order[rows] == split) & (order[twins] == earlier))
        # Of each image the nearest, the first of equal ones.
        places = places[np.lexsort((places, distances[places], rows[places]))]
        places = places[np.diff(rows[places], prepend=-1) > 0]
        if len(places):
            some = (rows[places], twins[places], distances[places])
            found[SPLITS[split], SPLITS[earlier]] = [
                Twin(row, twin, 1 - distance)
                for row, twin, distance in zip(*(one.tolist() for one in some), strict=True)
            ]
    return {key: found[key] for key in sorted(found, key=_order)}


def _order(key: tuple[str, str]) -> list[int]:
    return [SPLITS.index(split) for split in key]


def summary(
    found: Mapping[tuple[str, str], Sequence[Twin]],
    splits: Sequence[str],
    threshold: float | None,
) -> Overlap:
    """Count the pairs, keep a few, in the order of SPLITS.

    Args:
        found: images of one split with a twin in an earlier one, by these two.
        splits: of all images.
        threshold: see `Overlap`.
    """
    keys = sorted(found, key=_order)
    nearest = {
        key: sorted(found[key], key=lambda pair: (-pair.similarity, pair.row)) for key in keys
    }
    return Overlap(
        counts={key: len(nearest[key]) for key in keys},
        sizes={name: count for name in SPLITS if (count := list(splits).count(name))},
        examples={key: tuple(nearest[key][:SHOWN]) for key in keys},
        threshold=threshold,
    )


def _blocks(rows: npt.NDArray[np.intp]) -> Iterator[slice]:
    for start in range(0, len(rows), BLOCK):
        yield slice(start, start + BLOCK)


@dataclass(frozen=True, eq=False)
class _Directions:
    """Whitened features as vectors of length 1.

    Args:
        features: (images, channels).
        mean: (channels,), of the training images.
        whitening: (channels, channels).
    """

    features: npt.NDArray[np.floating]
    mean: npt.NDArray[np.float32]
    whitening: npt.NDArray[np.float32]

    @classmethod
    def fit(cls, features: npt.NDArray[np.floating], rows: npt.NDArray[np.intp]) -> _Directions:
        """Learn mean and whitening from some rows, block by block."""
        n_images, n_channels = max(len(rows), 1), features.shape[1]
        mean = np.zeros(n_channels)
        for block in _blocks(rows):
            mean += features[rows[block]].sum(axis=0, dtype=np.float64) / n_images
        covariance = np.zeros((n_channels, n_channels))
        for block in _blocks(rows):
            centred = features[rows[block]] - mean
            covariance += centred.T @ centred / n_images
        # The mean variance of the directions the images span: with fewer images than channels
        # the others have none, and would drown everything if they were scaled up without bound.
        variance = np.trace(covariance) / max(min(n_images - 1, n_channels), 1)
        floor = max(SHRINKAGE * variance, float(np.finfo(np.float32).tiny))
        lower = np.linalg.cholesky(covariance + floor * np.eye(n_channels))
        # Cosines don't depend on which square root of the inverse covariance is taken.
        whitening = np.linalg.inv(lower).T
        return cls(features, mean.astype(np.float32), whitening.astype(np.float32))

    def __call__(self, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.float32]:
        """Return (rows, channels)."""
        white = (self.features[rows].astype(np.float32) - self.mean) @ self.whitening
        lengths = np.linalg.norm(white, axis=1, keepdims=True)
        # An image that is the mean itself is like nothing, rather than not a number.
        directions: npt.NDArray[np.float32] = white / np.maximum(lengths, 1e-20)
        return directions


class _Nearest:
    """The nearest image that was met yet, for each of so many rows."""

    def __init__(self, count: int) -> None:
        self.similarity = np.full(count, -1.0, dtype=np.float32)
        self.twin = np.full(count, -1, dtype=np.intp)

    def keep(
        self,
        places: slice | npt.NDArray[np.intp],
        cosines: npt.NDArray[np.float32],
        others: npt.NDArray[np.intp],
    ) -> None:
        """Compare some of the rows with others, (places, others), and keep what is nearer."""
        column = cosines.argmax(axis=1)
        value = cosines[np.arange(len(column)), column]
        known = self.similarity[places]
        self.twin[places] = np.where(value > known, others[column], self.twin[places])
        self.similarity[places] = np.maximum(value, known)


def _nearest(
    directions: _Directions, rows: npt.NDArray[np.intp], others: npt.NDArray[np.intp]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.intp]]:
    """Return the cosine and the row of the nearest of `others`, for each of `rows`."""
    nearer = _Nearest(len(rows))
    for held in _batched(_blocks(others), HELD_BLOCKS):
        candidates = [directions(others[one]) for one in held]  # each (block, channels)
        for block in _blocks(rows):
            own = directions(rows[block])  # whitening costs what a comparison does
            for other_block, candidate in zip(held, candidates, strict=True):
                nearer.keep(block, own @ candidate.T, others[other_block])
    return nearer.similarity, nearer.twin


def _nearest_by_places(
    directions: _Directions, rows: npt.NDArray[np.intp], others: npt.NDArray[np.intp]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.intp]]:
    """Return the same, but of those alone that lie in one of the places nearest to each row.

    Places are some of `others`, each of which lies in the nearest one.
    """
    nearer = _Nearest(len(rows))
    draw = np.random.default_rng(0).permutation(len(others))
    places = directions(others[draw[: math.isqrt(len(others))]])
    residents = _by_place(_nearest_places(directions, others, places, 1))
    visitors = _by_place(_nearest_places(directions, rows, places, PLACES))
    for place, asked in visitors.items():
        for held in _blocks(residents.get(place, asked[:0])):
            candidates = others[residents[place][held]]
            there = directions(candidates)
            for block in _blocks(asked):
                some = asked[block]
                nearer.keep(some, directions(rows[some]) @ there.T, candidates)
    return nearer.similarity, nearer.twin


def _nearest_places(
    directions: _Directions,
    rows: npt.NDArray[np.intp],
    places: npt.NDArray[np.float32],
    count: int,
) -> npt.NDArray[np.int32]:
    """Return the numbers of so many places nearest to each row, (rows, count)."""
    count = min(count, len(places))
    found = np.empty((len(rows), count), np.int32)
    for block in _blocks(rows):
        cosines = directions(rows[block]) @ places.T
        found[block] = np.argpartition(-cosines, count - 1, axis=1)[:, :count]
    return found


def _by_place(found: npt.NDArray[np.int32]) -> dict[int, npt.NDArray[np.intp]]:
    """Return for each place which rows of `found` name it."""
    numbers, count = found.ravel(), found.shape[1]
    order = np.argsort(numbers, kind="stable")
    parts = np.split(order // count, np.flatnonzero(np.diff(numbers[order])) + 1)
    return dict(zip(np.unique(numbers).tolist(), parts, strict=True))


def _batched(blocks: Iterator[slice], count: int) -> Iterator[tuple[slice, ...]]:
    """Yield so many blocks at a time."""
    while some := tuple(islice(blocks, count)):
        yield some
