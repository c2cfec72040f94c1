"""Levels: whether the folders at the top of a source can be its classes at all."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from automl_cv.data.candidates import SPLIT_NAMES
from automl_cv.errors import UserError
from automl_cv.words import listed

_LIKE_SPLITS = re.compile(
    rf"^({'|'.join(sorted(SPLIT_NAMES, key=len, reverse=True))})(?![a-z])", re.IGNORECASE
)


def check_classes(root: Path, inside: Mapping[str, tuple[Sequence[str], bool]]) -> None:
    """Refuse folders that are a level above the classes.

    Args:
        root: the source.
        inside: for each folder at its top, the names of its sub-folders, and whether images
            lie beside them.

    Raises:
        UserError: they are named like splits, or hold the same sub-folders and no images of
            their own: those are more likely the classes.
    """
    names = sorted(inside)
    if len(names) < 2:
        return
    like = [match for name in names if (match := _LIKE_SPLITS.match(name))]
    splits = {SPLIT_NAMES[match[1].lower()] for match in like}
    if len(like) == len(names) and "train" in splits and len(splits) > 1:
        raise UserError(
            f"{root}: {listed(names)} are named like splits, not like classes; for splits rename "
            "them to train, val and test, for classes say --class-level 1"
        )
    below = [set(folders) for folders, has_pictures in inside.values() if not has_pictures]
    if len(below) < len(names):
        return
    shared, either = set.intersection(*below), set.union(*below)
    if len(shared) >= 2 and 2 * len(shared) >= len(either):
        raise UserError(
            f"{root}: {listed(names)} hold the same sub-folders, {listed(sorted(shared))}, and no "
            f"images beside them; if {listed(sorted(shared))} are the classes, say "
            f"--class-level 2, if {listed(names)} are, --class-level 1"
        )
