"""A table of a source's images in which near copies are one group, so that no split parts them."""

from __future__ import annotations

import csv
import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from automl_cv.data import near_copies
from automl_cv.data.splitting import SPLITS
from automl_cv.errors import UserError
from automl_cv.words import counted


@dataclass(frozen=True)
class Written:
    """What a table of groups holds.

    Args:
        n_images: its rows.
        n_groups: groups of near copies.
        n_left_out: images of ready splits that were left out for a near copy in a later split.
    """

    n_images: int
    n_groups: int
    n_left_out: int

    def summary(self) -> str:
        """Return one line: "120 images, 3 groups of near copies"."""
        left = f"; {counted(self.n_left_out, 'image')} left out for a near copy in a later split"
        return (
            f"{counted(self.n_images, 'image')}, {counted(self.n_groups, 'group')} of near copies"
            + (left if self.n_left_out else "")
        )


def check_target(path: Path, source: str) -> None:
    """Raise UserError where a table can't or must not be written.

    Args:
        path: the file.
        source: of the images, which may be a table itself.
    """
    if path.suffix.lower() != ".csv":
        raise UserError(f"--out {path}: expected a file ending in .csv")
    if path.resolve() == Path(source).expanduser().resolve():
        raise UserError(f"--out {path}: is the source itself; name another file")
    if not path.absolute().parent.is_dir():
        raise UserError(f"--out {path}: no such folder {path.parent}")


def write(path: Path, images: pd.DataFrame, pairs: near_copies.Pairs) -> Written:
    """Write path, label, group and ready splits as a table that `search` reads.

    Groups of the source stay, and are joined where near copies stand in two. Of near copies in two
    ready splits those of the later one stay: test images before validation images before training
    images. So the figures on the test images mean what they meant, but for what was learned by
    heart.

    Args:
        path: the file; what it held is lost.
        images: columns `path`, `label`, `split`, `content_hash` and `group`, the last two as the
            source says.
        pairs: rows of near copies.
    """
    contents = images["content_hash"].tolist()
    own = [None if pd.isna(name) else str(name) for name in images["group"]]
    splits = [None if pd.isna(name) else str(name) for name in images["split"]]
    alike = near_copies.groups(pairs, contents)
    together = near_copies.groups(pairs, contents, own)
    left_out = _left_out(alike, splits)
    names = _names(together, own)
    folder = path.absolute().parent
    columns = ["path", "label", *(["split"] if any(splits) else []), "group"]
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        table.writeheader()
        for row, (place, label) in enumerate(zip(images["path"], images["label"], strict=True)):
            if row not in left_out:
                one = Path(place)
                shown = os.path.relpath(one, folder) if one.is_relative_to(folder) else place
                table.writerow(
                    {"path": shown, "label": label, "split": splits[row], "group": names[row]}
                )
    found = {number for number in alike if number is not None}
    return Written(len(contents) - len(left_out), len(found), len(left_out))


def _left_out(alike: Sequence[int | None], splits: Sequence[str | None]) -> set[int]:
    """Return rows that have a near copy in a later split."""
    latest: dict[int, int] = defaultdict(int)
    place = [0 if split is None else SPLITS.index(split) for split in splits]
    for row, number in enumerate(alike):
        if number is not None:
            latest[number] = max(latest[number], place[row])
    return {
        row
        for row, number in enumerate(alike)
        if number is not None and place[row] < latest[number]
    }


def _names(together: Sequence[int | None], own: Sequence[str | None]) -> list[str]:
    """Return the name of each image's group, one of the source's where it has one; or ""."""
    given: dict[int, str] = {}
    for number, name in zip(together, own, strict=True):
        if number is not None and name is not None:
            given.setdefault(number, name)
    taken = set(own)
    fresh = (
        name for n in range(1, len(own) + len(taken) + 2) if (name := f"near {n}") not in taken
    )
    for number in together:
        if number is not None and number not in given:
            given[number] = next(fresh)
    return ["" if number is None else given[number] for number in together]
