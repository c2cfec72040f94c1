"""Near copies: images stored again as JPEG, smaller, cropped by a pixel or two, or mirrored.

Found by their sketches, before there are features. Where images are many and alike, two that
are not copies of one another come as near as copies do; so the distance that counts follows from
how dense the set is, see `_threshold`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from automl_cv.data import sketches
from automl_cv.data.sketches import Coefficients
from automl_cv.solving.threads import one_thread

if TYPE_CHECKING:
    from scipy.spatial import cKDTree

Pairs = npt.NDArray[np.intp]

# Measured on digits, clothes, cut-outs and surfaces (docs/benchmarks.md).
FURTHEST = 0.065  # distance of a near copy at most
NEAREST = 0.03  # and where a set is dense; of 70,000 clothes one in 1,000 has such a neighbour
FALSE_ALARMS = 0.001  # share of the images that may have a neighbour taken for a copy
FLAT = 0.5  # grey levels of contrast below which sketches say nothing

CROPPED = 2  # pixels of width or height that a crop has lost at most
SAMPLE = 1000  # images that density is measured around
RINGS = (0.09, 0.125, 0.175)  # radii of two rings around them; copies hardly ever reach so far
COUNTED = 10  # neighbours in the inner ring, from which it says something
LEAST_POWER = 4.0  # of the growth; less is of copies and of images of one film
BLOCK = 64  # images compared with all others at a time
NEIGHBOURS = 16  # looked at of each image; of more copies, those are copies of one another
INDEXED = 3  # frequencies each way by which neighbours are looked for


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
    drawn: Sequence[str], sizes: Sequence[tuple[int, int]], contents: Sequence[str]
) -> NearCopies:
    """Find near copies, in less than quadratic time.

    Args:
        drawn: sketches of all images, see `sketches.draw`.
        sizes: width and height of all images, in pixels.
        contents: hashes of their pixels; of identical images the first stands for all.
    """
    first: dict[str, int] = {}
    for row, content in enumerate(contents):
        first.setdefault(content, row)
    if not first:
        return none()
    rows = np.fromiter(first.values(), np.intp, len(first))
    greys = sketches.read([drawn[row] for row in rows])
    found = sketches.coefficients(greys)
    telling = sketches.contrast(found) >= FLAT
    rows, greys, found = rows[telling], greys[telling], found[telling]
    shown = np.array([sizes[row] for row in rows], np.intp).reshape(-1, 2)
    if len(rows) < 2:
        return none()
    threshold = _threshold(found, shown)
    near: dict[tuple[int, int], float] = {}
    for ones, others, distances in (
        *_alike(found, threshold),
        *_cropped(greys, found, shown, threshold),
    ):
        for one, other, distance in zip(ones, others, distances, strict=True):
            pair = (int(min(one, other)), int(max(one, other)))
            near[pair] = min(near.get(pair, np.inf), float(distance))
    if not near:
        return NearCopies(none().pairs, none().distances, threshold)
    pairs = rows[np.array(sorted(near), np.intp)]
    lengths = np.array([near[pair] for pair in sorted(near)], np.float32)
    return NearCopies(pairs, lengths, threshold)


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


def _alike(found: Coefficients, threshold: float) -> Iterator[_Found]:
    """Yield images that are near one another, as they are and mirrored."""
    everything = np.arange(len(found))
    tree = _tree(found)
    for asked in (found, sketches.mirrored(found)):
        yield from _near(tree, found, everything, asked, threshold)


def _cropped(
    greys: sketches.Greys,
    found: Coefficients,
    sizes: npt.NDArray[np.intp],
    threshold: float,
) -> Iterator[_Found]:
    """Yield images of which one is the other less a pixel or two of its edges.

    Only sizes tell them: an image of 28 pixels less one looks as different from itself as from
    others, unless it is laid upon the right part. So nothing is done where sizes are all one.
    """
    by_size = _by_size(sizes)
    tree: cKDTree | None = None
    for (width, height), rows in by_size.items():
        for lost in product(range(CROPPED + 1), range(CROPPED + 1)):
            others = by_size.get((width - lost[0], height - lost[1]))
            if lost == (0, 0) or others is None:
                continue
            tree = _tree(found[others])
            for left, top in product(range(lost[0] + 1), range(lost[1] + 1)):
                part = sketches.cropped(greys[rows], (width, height), left, top, lost)
                for asked in (part, sketches.mirrored(part)):
                    for ones, twins, distances in _near(
                        tree, found[others], rows, asked, threshold
                    ):
                        yield ones, others[twins], distances


def _by_size(sizes: npt.NDArray[np.intp]) -> Mapping[tuple[int, int], npt.NDArray[np.intp]]:
    different, places = np.unique(sizes, axis=0, return_inverse=True)
    order = np.argsort(places, kind="stable")
    parts = np.split(order, np.cumsum(np.bincount(places))[:-1])
    keys = [(int(width), int(height)) for width, height in different]
    return dict(zip(keys, parts, strict=True))


def _tree(found: Coefficients) -> cKDTree:
    from scipy.spatial import cKDTree

    return cKDTree(_indexed(found))


def _indexed(found: Coefficients) -> npt.NDArray[np.float32]:
    """Return the lowest frequencies of shapes: no two are further apart than the images are."""
    low = sketches.shapes(found)[:, :INDEXED, :INDEXED]
    return low.reshape(len(found), -1)[:, 1:]


def _near(
    tree: cKDTree,
    found: Coefficients,
    rows: npt.NDArray[np.intp],
    asked: Coefficients,
    threshold: float,
) -> Iterator[_Found]:
    """Yield which of `found` are within the threshold of each of `asked`, itself left out.

    Args:
        tree: of `found`.
        found: images.
        rows: of the images that are asked for, among all.
        asked: these images, maybe altered.
        threshold: the largest distance that counts.
    """
    n_neighbours = min(NEIGHBOURS + 1, len(found))
    _, places = tree.query(
        _indexed(asked), k=np.arange(1, n_neighbours + 1), distance_upper_bound=threshold
    )
    ones, column = np.nonzero(places < len(found))
    others = places[ones, column]
    if not len(ones):
        return
    distances = sketches.distances(asked[ones], found[others])
    kept = distances <= threshold
    if len(rows) == len(found):
        kept &= rows[ones] != others
    yield rows[ones][kept], others[kept], distances[kept]


def _threshold(found: Coefficients, sizes: npt.NDArray[np.intp]) -> float:
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
            excluded = _may_be_cropped(sizes[rows], sizes)
            excluded[np.arange(len(rows)), rows] = True
            for asked in (found[rows], sketches.mirrored(found[rows])):
                distances = sketches.all_distances(asked, found)
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
    ones: npt.NDArray[np.intp], others: npt.NDArray[np.intp]
) -> npt.NDArray[np.bool_]:
    """Tell which images may be others less their edges by their sizes, (ones, others)."""
    wider, higher = (np.abs(ones[:, None, side] - others[:, side]) for side in (0, 1))
    result: npt.NDArray[np.bool_] = (wider <= CROPPED) & (higher <= CROPPED)
    result &= (wider > 0) | (higher > 0)
    return result
