"""Features that another tool made: a file of vectors, and one that says which image each is of.

They go into the feature cache as if a backbone had made them, so that nothing else has to know.
No network comes with them: what needs one is refused by who would run it.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from automl_cv.errors import UserError
from automl_cv.features import weightfile
from automl_cv.features.cache import FeatureCache, Matrix
from automl_cv.features.recipes import Recipe
from automl_cv.study.studyfile import Backbone

KEY = "backbone.features"
COLUMNS = ("path", "content_hash")


def fill(
    backbone: Backbone,
    paths: Sequence[str],
    content_hashes: Sequence[str],
    cache: FeatureCache,
    recipe: Recipe,
) -> int:
    """Put the vectors of images into the cache, as far as it lacks them.

    Args:
        backbone: a study's, of a file of vectors.
        paths: files of images.
        content_hashes: of their pixels, one for each path.
        cache: where the vectors go.
        recipe: `features.recipe(backbone)`.

    Returns:
        How many vectors were taken over.

    Raises:
        UserError: the files are not what they should be, or an image has no vector.
    """
    missing = set(cache.missing(recipe, content_hashes, backbone.features))
    if not missing:
        return 0
    vectors = _vectors(weightfile.path_of(backbone))
    rows = _rows(weightfile.ids_of(backbone), len(vectors), paths, content_hashes)
    taken = {known: row for known, row in zip(content_hashes, rows, strict=True)}
    wanted = [known for known in taken if known in missing]
    block = np.asarray(vectors[[taken[known] for known in wanted]], np.float32)
    if not np.isfinite(block).all():
        raise UserError(f"{KEY}: {weightfile.path_of(backbone)} holds numbers that are not finite")
    cache.add(recipe, wanted, [block])
    return len(wanted)


def _vectors(path: Path) -> Matrix:
    """Open the vectors, a row an image; nothing but numbers is read."""
    try:
        found: NDArray[np.generic] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise UserError(f"{KEY}: {path} is no file of NumPy's: {error}") from None
    if found.ndim != 2 or found.dtype.kind not in "fiu" or not found.shape[1]:
        raise UserError(
            f"{KEY}: {path} has shape {found.shape} and type {found.dtype}; expected numbers, a "
            "row an image"
        )
    return found  # type: ignore[return-value]


def _rows(path: Path, count: int, paths: Sequence[str], content_hashes: Sequence[str]) -> list[int]:
    """Return the row of each image's vector."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        table = csv.DictReader(file)
        names = [name for name in COLUMNS if name in (table.fieldnames or ())]
        if not names:
            raise UserError(f"backbone.ids: {path} has no column {' or '.join(COLUMNS)}")
        ids = [str(row[names[0]]) for row in table]
    if len(ids) != count:
        raise UserError(
            f"backbone.ids: {path} has {len(ids):,} rows, and {KEY} {count:,}; expected as many, "
            "in the same order"
        )
    if names[0] == "path":
        ids = [Path(one).as_posix().removeprefix("./") for one in ids]
    places = {one: row for row, one in enumerate(ids)}
    if len(places) < count:
        twice = next(one for row, one in enumerate(ids) if places[one] != row)
        raise UserError(f"backbone.ids: {path} names {twice} twice")
    if names[0] == "path":
        found = [_place(places, image) for image in paths]
    else:
        found = [places.get(known) for known in content_hashes]
    absent = [image for image, row in zip(paths, found, strict=True) if row is None]
    if absent:
        raise UserError(
            f"backbone.ids: {len(absent):,} of {len(paths):,} images have no row in {path}, the "
            f"first is {absent[0]}; expected paths as below the folder of the images, or whole"
        )
    return [row for row in found if row is not None]


def _place(places: dict[str, int], image: str) -> int | None:
    """Return the row of an image, by its whole path or the longest end of it that is named."""
    parts = Path(image).as_posix().split("/")
    ends = ("/".join(parts[start:]) for start in range(len(parts)))
    return next((places[end] for end in ends if end in places), None)
