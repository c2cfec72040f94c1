"""Near copies: images stored again as JPEG, smaller, cropped by a pixel or two, or mirrored.

Found by their sketches, before there are features. Where images are many and alike, two that
are not copies of one another come as near as copies do; so the distance that counts follows from
how dense the set is, see `_threshold`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, product

import numpy as np
import numpy.typing as npt

from automl_cv.data import sketches
from automl_cv.data.sketches import Coefficients
from automl_cv.data.texts import Texts
from automl_cv.solving.threads import one_thread

Pairs = npt.NDArray[np.intp]
Numbers = npt.NDArray[np.intp]
_Within = Callable[[npt.NDArray[np.float32], float], tuple[Numbers, Numbers]]

# Measured on digits, clothes, cut-outs and surfaces (docs/benchmarks.md).
FURTHEST = 0.065  # distance of a near copy at most
NEAREST = 0.03  # and where a set is dense; of 70,000 clothes one in 1,000 has such a neighbour
FALSE_ALARMS = 0.001  # share of the images that may have a neighbour taken for a copy
ROUNDED = 4e-6  # what float32 may add to the square of a distance between shapes
FLAT = 0.5  # grey levels of contrast below which sketches say nothing

CROPPED = 2  # pixels of width or height that a crop has lost at most
SAMPLE = 1000  # images that density is measured around
RINGS = (0.09, 0.125, 0.175)  # radii of two rings around them; copies hardly ever reach so far
COUNTED = 10  # neighbours in the inner ring, from which it says something
LEAST_POWER = 4.0  # of the growth; less is of copies and of images of one film
BLOCK = 64  # images compared with others at a time
OTHERS = 4096  # of these so many; a block of distances, 1 MiB, stays in the processor's cache
NEIGHBOURS = 16  # looked at of each image; of more copies, those are copies of one another
INDEXED = 3  # frequencies each way by which neighbours are looked for
COMPARED = 2048  # images of which each is compared with each, which takes less than SciPy's import
ASKED = 16_384  # images whose neighbours are looked for at a time; what is found of each takes 5 kB


@dataclass(frozen=True, eq=False)
class NearCopies:
    """Pairs of images that are nearly the same.

    Args:
        pairs: rows of two images, the lower first, int (pairs, 2); none are identical.
        distances: of each pair, see `sketches.distances`.
        threshold: the largest distance that counts.
    """

    pairs: Pairs
    distances: npt.NDArray[np.float32]
    threshold: float = FURTHEST


def none() -> NearCopies:
    """Return that there are no near copies."""
    return NearCopies(np.zeros((0, 2), np.intp), np.zeros(0, np.float32))


def find(
    greys: sketches.Greys, sizes: npt.NDArray[np.integer], contents: Sequence[str]
) -> NearCopies:
    """Find near copies, in less than quadratic time.

    Args:
        greys: sketches of all images, see `sketches.draw`.
        sizes: width and height of all images, in pixels, (images, 2).
        contents: hashes of their pixels; of identical images the first stands for all.
    """
    _, first = np.unique(Texts.of(contents).fixed(), return_index=True)
    rows = np.sort(first)
    found = sketches.coefficients(greys, rows)
    telling = sketches.contrast(found) >= FLAT
    if not telling.all():
        rows, found = rows[telling], found[telling]
    if len(rows) < 2:
        return none()
    shown = sizes[rows]
    threshold = _threshold(found, shown)
    near = _nearest(_alike(found, threshold), len(rows))
    near = _nearest([near, *_cropped(greys, rows, found, shown, threshold)], len(rows))
    return NearCopies(np.stack([rows[near[0]], rows[near[1]]], axis=1), near[2], threshold)


def groups(
    pairs: Pairs, contents: Sequence[str], names: Sequence[str | None] = ()
) -> list[int | None]:
    """Number the groups of images that are copies or near copies, also by way of others.

    Args:
        pairs: rows of near copies.
        contents: hashes of the pixels of all images; identical ones go with a near copy.
        names: of groups that images are in already, which stay together too.

    Returns:
        For each image the number of its group, from 0; None where it stands alone.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ties: dict[tuple[str, str], int] = {}
    contents_of = [ties.setdefault(("content", one), len(ties)) for one in contents]
    links = [(contents_of[one], contents_of[other]) for one, other in pairs.tolist()]
    links += [
        (contents_of[row], ties.setdefault(("name", name), len(ties)))
        for row, name in enumerate(names)
        if name is not None
    ]
    ends = np.array(links, np.intp).reshape(-1, 2)
    graph = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), (len(ties), len(ties)))
    _, labels = connected_components(graph, directed=False)
    told = set(labels[ends[:, 0]].tolist())
    order: dict[int, int] = {}
    return [
        order.setdefault(int(labels[content]), len(order)) if int(labels[content]) in told else None
        for content in contents_of
    ]


_Found = tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.float32]]


def _nearest(parts: Iterable[_Found], count: int) -> _Found:
    """Return all pairs once, the lower image first, in their order, at their least distance.

    Args:
        parts: pairs in any order; once many have come they are put together.
        count: of the images.
    """
    keys, lengths = np.zeros(0, np.int64), np.zeros(0, np.float32)
    waiting: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]] = []
    for part in chain(parts, [None]):
        if part is not None:
            ones, others, distances = part
            lower, higher = np.minimum(ones, others), np.maximum(ones, others)
            waiting.append((lower.astype(np.int64) * count + higher, distances))
            if sum(len(one) for one, _ in waiting) < max(len(keys), ASKED * NEIGHBOURS):
                continue
        keys = np.concatenate([keys, *(one for one, _ in waiting)])
        lengths = np.concatenate([lengths, *(one for _, one in waiting)])
        waiting.clear()
        order = np.lexsort((lengths, keys))
        keys, lengths = keys[order], lengths[order]
        is_first = np.diff(keys, prepend=-1) > 0
        keys, lengths = keys[is_first], lengths[is_first]
    return keys // count, keys % count, lengths


def _alike(found: Coefficients, threshold: float) -> Iterator[_Found]:
    """Yield images that are near one another, as they are and mirrored."""
    within = _index(found)
    for start in range(0, len(found), ASKED):
        rows = np.arange(start, min(start + ASKED, len(found)))
        for asked in (found[rows], sketches.mirrored(found[rows])):
            ones, others, distances = _near(within, found, asked, threshold)
            apart = rows[ones] != others
            yield rows[ones[apart]], others[apart], distances[apart]


def _cropped(
    greys: sketches.Greys,
    places: npt.NDArray[np.intp],
    found: Coefficients,
    sizes: npt.NDArray[np.integer],
    threshold: float,
) -> Iterator[_Found]:
    """Yield images of which one is the other less a pixel or two of its edges.

    Only sizes tell them: an image of 28 pixels less one looks as different from itself as from
    others, unless it is laid upon the right part. So nothing is done where sizes are all one.

    Args:
        greys: sketches of all images.
        places: of those looked at, among all.
        found: of those looked at.
        sizes: of those looked at.
        threshold: the largest distance that counts.
    """
    by_size = _by_size(sizes)
    for (width, height), wide in by_size.items():
        for lost in product(range(CROPPED + 1), range(CROPPED + 1)):
            others = by_size.get((width - lost[0], height - lost[1]))
            if lost == (0, 0) or others is None:
                continue
            within, twins = _index(found[others]), found[others]
            for start in range(0, len(wide), ASKED):
                rows = wide[start : start + ASKED]
                for left, top in product(range(lost[0] + 1), range(lost[1] + 1)):
                    shown = greys[places[rows]]
                    part = sketches.cropped(shown, (width, height), left, top, lost)
                    for asked in (part, sketches.mirrored(part)):
                        ones, near, distances = _near(within, twins, asked, threshold)
                        yield rows[ones], others[near], distances


def _by_size(sizes: npt.NDArray[np.integer]) -> Mapping[tuple[int, int], npt.NDArray[np.intp]]:
    different, places = np.unique(sizes, axis=0, return_inverse=True)
    order = np.argsort(places, kind="stable")
    parts = np.split(order, np.cumsum(np.bincount(places))[:-1])
    keys = [(int(width), int(height)) for width, height in different]
    return dict(zip(keys, parts, strict=True))


def _index(found: Coefficients) -> _Within:
    """Return what tells which images may be within a distance of others.

    It takes the lowest frequencies of others, and the distance. It returns the numbers of these
    and of the images: of each the NEIGHBOURS + 1 nearest at most.
    """
    n_neighbours = min(NEIGHBOURS + 1, len(found))
    blocks = range(0, len(found), ASKED)
    places = np.concatenate([_indexed(found[one : one + ASKED]) for one in blocks])
    if len(found) <= COMPARED:
        return partial(_compared, places, n_neighbours)
    from scipy.spatial import cKDTree

    tree = cKDTree(places)

    def within(asked: npt.NDArray[np.float32], distance: float) -> tuple[Numbers, Numbers]:
        ranks = np.arange(1, n_neighbours + 1)
        _, near = tree.query(asked, k=ranks, distance_upper_bound=distance)
        ones, column = np.nonzero(near < len(found))
        return ones, near[ones, column]

    return within


def _compared(
    places: npt.NDArray[np.float32],
    n_neighbours: int,
    asked: npt.NDArray[np.float32],
    distance: float,
) -> tuple[Numbers, Numbers]:
    """Return what a tree would, see `_index`, or a little beyond the distance."""
    lengths = np.einsum("ij,ij->i", places, places)
    found: list[tuple[Numbers, Numbers]] = []
    with one_thread():  # see `_threshold`
        for start in range(0, len(asked), BLOCK):
            block = asked[start : start + BLOCK]
            own = np.einsum("ij,ij->i", block, block)[:, None]
            squares = lengths - 2 * block @ places.T + own
            near = squares < distance**2 + ROUNDED
            for row in np.flatnonzero(np.count_nonzero(near, axis=1) > n_neighbours):
                # Of many copies float32's rounding would choose.
                exact = np.square(places.astype(np.float64) - block[row]).sum(axis=1)
                near[row, np.argsort(exact, kind="stable")[n_neighbours:]] = False
            ones, others = np.nonzero(near)
            found.append((ones + start, others))
    ones, others = (np.concatenate(part) for part in zip(*found, strict=True))
    return ones, others


def _indexed(found: Coefficients) -> npt.NDArray[np.float32]:
    """Return the lowest frequencies of shapes: no two are further apart than the images are."""
    low = sketches.shapes(found)[:, :INDEXED, :INDEXED]
    return low.reshape(len(found), -1)[:, 1:]


def _near(within: _Within, found: Coefficients, asked: Coefficients, threshold: float) -> _Found:
    """Return which of `found` are within the threshold of each of `asked`.

    Args:
        within: of `found`, see `_index`.
        found: images.
        asked: images, maybe altered.
        threshold: the largest distance that counts.
    """
    ones, others = within(_indexed(asked), threshold)
    distances = sketches.distances(asked[ones], found[others])
    kept = distances <= threshold
    return ones[kept], others[kept], distances[kept]


def _threshold(found: Coefficients, sizes: npt.NDArray[np.integer]) -> float:
    """Return the distance at which few images have a neighbour that is no copy.

    Neighbours in two rings beyond FURTHEST, where copies hardly ever lie, tell how many there are
    within a radius and how that grows with it, by a power. The same power says how many there are
    within a smaller one.
    """
    draw = np.random.default_rng(0).permutation(len(found))[:SAMPLE]
    counts = np.zeros(len(RINGS))
    with one_thread():  # products as narrow as these; a second thread waits by spinning
        for start in range(0, len(draw), BLOCK):
            rows = draw[start : start + BLOCK]
            for first in range(0, len(found), OTHERS):
                others = slice(first, first + OTHERS)
                excluded = _may_be_cropped(sizes[rows], sizes[others])
                excluded |= rows[:, None] == np.arange(len(found))[others]
                for asked in (found[rows], sketches.mirrored(found[rows])):
                    distances = sketches.all_distances(asked, found[others])
                    distances[excluded] = np.inf
                    counts += [np.count_nonzero(distances <= radius) for radius in RINGS]
    inner, outer = np.diff(counts)
    if inner < COUNTED:
        return FURTHEST
    # Neighbours grow by (r2 / r1) ** power from one radius to the next, and so do rings of them.
    power: float = max(LEAST_POWER, float(np.log(outer / inner) / np.log(RINGS[2] / RINGS[1])))
    grown = (RINGS[1] / FURTHEST) ** power - (RINGS[0] / FURTHEST) ** power
    within = inner / grown / len(draw)  # neighbours of an image within FURTHEST
    share = min(1.0, FALSE_ALARMS / within)
    return max(NEAREST, FURTHEST * float(share ** (1 / power)))


def _may_be_cropped(
    ones: npt.NDArray[np.integer], others: npt.NDArray[np.integer]
) -> npt.NDArray[np.bool_]:
    """Tell which images may be others less their edges by their sizes, (ones, others)."""
    wider, higher = (np.abs(ones[:, None, side] - others[:, side]) for side in (0, 1))
    result: npt.NDArray[np.bool_] = (wider <= CROPPED) & (higher <= CROPPED)
    result &= (wider > 0) | (higher > 0)
    return result
