"""Splits: stratified by class, copies and groups kept together, the same on every machine.

scikit-learn has no function for this: `train_test_split` knows no groups,
`StratifiedGroupKFold` only equal folds, and both draw by a row's place in the
table. Here an image's place in the draw is a hash of the seed and its content,
so neither file names, their order, nor a library's version can move it.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from automl_cv.errors import UserError
from automl_cv.words import counted

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, slots=True)
class _Unit:
    """Images that must stay together: copies of one image, members of one group.

    Args:
        rows: their places in the table.
        classes: how many of them each class has.
        key: the smallest content hash among them.
    """

    rows: tuple[int, ...]
    classes: Mapping[str, int]
    key: str


def assign(
    labels: Sequence[str],
    content_hashes: Sequence[str],
    groups: Sequence[str | None],
    shares: Mapping[str, float],
    seed: int,
    *,
    everywhere: bool = True,
) -> list[str]:
    """Choose a split for each image.

    Units go, large ones first, otherwise in the order of their hashes, to the split that lacks
    the largest part of what is left of their classes. For images without copies or groups this
    ends within one image of the share in each class and split, as long as the share is at least
    one image. (Greedy stratification, close to Sechidis, Tsoumakas and Vlahavas 2011,
    https://doi.org/10.1007/978-3-642-23808-6_10.)

    Args:
        labels: class of each image.
        content_hashes: of each image, see `images.content_hash`.
        groups: images of one name stay in one split; None for those of no group.
        shares: of each wanted split, above 0; they sum to 1.
        seed: another seed gives another draw.
        everywhere: every class must be in every split; else a class goes into as many as it can.

    Returns:
        The name of a split for each image.

    Raises:
        UserError: a class can't be in every split.
    """
    units = sorted(
        _units(labels, content_hashes, groups),
        key=lambda unit: (-len(unit.rows), _draw(seed, unit.key)),
    )
    sizes = Counter(labels)
    left = Counter(labels)
    waiting = Counter(label for unit in units for label in unit.classes)
    if everywhere:
        _check_enough(sizes, waiting, shares)
    lacking = {label: set(shares) for label in sizes}
    room = {
        name: {label: share * sizes[label] for label in sizes} for name, share in shares.items()
    }
    total_room = {name: share * len(labels) for name, share in shares.items()}
    chosen = [""] * len(labels)
    for unit in units:
        # A class that has no more units left than splits still without it can't wait.
        urgent = [label for label in unit.classes if waiting[label] <= len(lacking[label])]
        candidates = [
            name for name in shares if not urgent or any(name in lacking[u] for u in urgent)
        ]
        # Rounded so that splits of equal shares tie; then the emptier one takes the unit.
        fit = {
            name: (round(_need(unit, room[name], left), 9), total_room[name]) for name in candidates
        }
        best = max(candidates, key=fit.__getitem__)
        total_room[best] -= len(unit.rows)
        for label, count in unit.classes.items():
            room[best][label] -= count
            left[label] -= count
            waiting[label] -= 1
            lacking[label].discard(best)
        for row in unit.rows:
            chosen[row] = best
    if everywhere:
        _check_everywhere(lacking)
    return chosen


def sample(
    labels: Sequence[str],
    content_hashes: Sequence[str],
    groups: Sequence[str | None],
    share: float,
    seed: int,
    *,
    least: int,
) -> list[int]:
    """Choose about the same share of each class, copies and groups whole.

    Units are taken in the order of their hashes while one of their classes lacks images or units.
    So, where groups hold one class each, a larger sample holds the smaller ones.

    Args:
        labels: class of each image.
        content_hashes: of each image, see `images.content_hash`.
        groups: images of one name are chosen together; None for those of no group.
        share: of the images of a class, above 0.
        seed: another seed gives another draw.
        least: images or groups of a class that are chosen in any case, if it has as many.

    Returns:
        Places of the chosen images, ascending.
    """
    wanted = {label: round(share * size) for label, size in Counter(labels).items()}
    images: Counter[str] = Counter()
    units: Counter[str] = Counter()
    chosen: list[int] = []
    by_hash = sorted(
        _units(labels, content_hashes, groups), key=lambda unit: _draw(f"{seed} sample", unit.key)
    )
    for unit in by_hash:
        if any(images[one] < wanted[one] or units[one] < least for one in unit.classes):
            images.update(unit.classes)
            units.update(unit.classes.keys())
            chosen += unit.rows
    return sorted(chosen)


def _need(unit: _Unit, room: Mapping[str, float], left: Mapping[str, int]) -> float:
    """Return which part of the images left a split still lacks, summed over the unit's images.

    Relative to those left rather than to all: a class that runs out can't be put right later.
    """
    return sum(count * room[label] / left[label] for label, count in unit.classes.items())


def _draw(seed: int | str, key: str) -> bytes:
    return hashlib.blake2b(f"{seed} {key}".encode(), digest_size=8).digest()


def _units(
    labels: Sequence[str], content_hashes: Sequence[str], groups: Sequence[str | None]
) -> list[_Unit]:
    """Join images that share an image or a group, also by way of others (union-find)."""
    parents = list(range(len(labels)))

    def root(row: int) -> int:
        while parents[row] != row:
            parents[row] = parents[parents[row]]
            row = parents[row]
        return row

    of_content: dict[str, int] = {}
    of_group: dict[str, int] = {}
    for row, (content, group) in enumerate(zip(content_hashes, groups, strict=True)):
        parents[root(row)] = root(of_content.setdefault(content, row))
        if group is not None:
            parents[root(row)] = root(of_group.setdefault(group, row))
    roots = np.fromiter(map(root, range(len(labels))), np.intp, len(labels))
    order = np.argsort(roots, kind="stable")
    ends = np.flatnonzero(np.diff(roots[order], append=-1)) + 1
    alone = {label: {label: 1} for label in set(labels)}  # one for all units of one image
    units = []
    for start, end in pairwise([0, *ends.tolist()]):
        rows = tuple(order[start:end].tolist())
        if len(rows) == 1:
            units.append(_Unit(rows, alone[labels[rows[0]]], content_hashes[rows[0]]))
        else:
            classes = Counter(labels[row] for row in rows)
            units.append(_Unit(rows, classes, min(content_hashes[row] for row in rows)))
    return units


def _check_enough(
    sizes: Mapping[str, int], n_units: Mapping[str, int], shares: Mapping[str, float]
) -> None:
    for label in sorted(sizes):
        if n_units[label] < len(shares):
            found = counted(sizes[label], "image")
            if n_units[label] < sizes[label]:
                found += f" in {counted(n_units[label], 'group')} (copies of an image are a group)"
            raise UserError(
                f"class {label!r} has {found}; {len(shares)} are needed, one each for "
                f"{', '.join(shares)}: add images or leave the class out"
            )


def _check_everywhere(lacking: Mapping[str, set[str]]) -> None:
    for label in sorted(lacking):
        if lacking[label]:
            raise UserError(
                f"class {label!r} can't be in every split: its groups hold other classes as well, "
                f"and none is left for {', '.join(sorted(lacking[label]))}; use smaller groups"
            )
