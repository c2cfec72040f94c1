"""The feature cache: what a backbone makes of an image, computed once and kept on disk.

    CACHE/features/RECIPE KEY/
        recipe.json               what determines these features, for people and `cache`
        speed.json                milliseconds an image, and how many images that was measured on
        shards/TIME-RANDOM/       features of some images, never changed once they are there
            index.json            content hashes of the images (names of views, where images
                                  are altered), a checksum of each array
            block_000.npy, …      float32 (images, width), one file for each block
        assembled/ORDER KEY/      rows of the shards in the order that a study asked for
            index.json
            features.npy          float32 (images, sum of widths)
    CACHE/engines/RECIPE KEY      why an engine can't make these features: TensorFlow's stand
                                  in for them, in whatever is asked for them

A shard is one write: a kill loses at most the features since the last. Processes may write
at once; at worst an image's features are there twice. Arrays are memory-mapped, so that
processes share them, and checked before they are used (see `arrays`).
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from automl_cv.data.texts import Texts
from automl_cv.errors import AutomlError, naming, warn
from automl_cv.features import arrays
from automl_cv.features.recipes import Recipe
from automl_cv.features.wanted import Rows, Wanted

ASSEMBLY_BYTES = 64 * 2**20  # rows held in memory while arrays are joined

FeatureSet = Literal["last", "all"]
Matrix = NDArray[np.float32]


@dataclass(frozen=True)
class Features:
    """Features of images, one row an image.

    Args:
        array: float32 (images, sum of widths), memory-mapped and read-only.
        widths: how many columns each block has, in the order of the blocks.
    """

    array: Matrix
    widths: tuple[int, ...]


@dataclass(frozen=True)
class CacheEntry:
    """What the cache holds for one recipe.

    Args:
        key: name of its folder.
        recipe: None where `recipe.json` is damaged or of another version.
        n_images: images whose features are there, each counted once; of altered images the
            views.
        n_bytes: size on disk.
        written: when something was last added, local time.
    """

    key: str
    recipe: Recipe | None
    n_images: int
    n_bytes: int
    written: datetime


class FeatureCache:
    """Features on disk; see the module's text for the layout.

    Args:
        folder: the cache folder, which may not exist yet; features go to `features` in it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "features"
        self._refusals = folder / "engines"

    def refuse(self, recipe: Recipe, reason: str) -> None:
        """Note that a recipe's engine can't make its features, so that TensorFlow does.

        Args:
            recipe: of whichever views.
            reason: one line.
        """
        with naming(self._refusals):
            self._refusals.mkdir(parents=True, exist_ok=True)
            arrays.write_text(self._refusals / replace(recipe, view=None).key, reason)

    def refusal(self, recipe: Recipe) -> str | None:
        """Return why TensorFlow makes a recipe's features in place of its engine, if it does."""
        if recipe.is_reference:
            return None
        try:
            return (self._refusals / replace(recipe, view=None).key).read_text("utf-8")
        except OSError:
            return None

    def note_batch_size(self, recipe: Recipe, images: int) -> None:
        """Keep how many images were found to suit this machine's GPU at once.

        Args:
            recipe: of whichever views.
            images: of a batch.
        """
        with naming(self._refusals):
            self._refusals.mkdir(parents=True, exist_ok=True)
            arrays.write_text(self._batch_size_file(recipe), str(images))

    def batch_size(self, recipe: Recipe) -> int | None:
        """Return what `note_batch_size` kept; None where nothing was."""
        try:
            return int(self._batch_size_file(recipe).read_text("utf-8"))
        except (OSError, ValueError):
            return None

    def _batch_size_file(self, recipe: Recipe) -> Path:
        return self._refusals / f"{replace(recipe, view=None).key}.batch"

    def kept(self, recipe: Recipe) -> Recipe:
        """Return how features of a recipe are made here; see `refuse`."""
        return recipe if self.refusal(recipe) is None else recipe.by_tensorflow()

    def knows_most(self, recipe: Recipe, content_hashes: Sequence[str]) -> bool:
        """Tell whether half of some images' features are there, by what the shards say."""
        wanted = Wanted(content_hashes)
        is_known = np.zeros(len(wanted.first), bool)
        for index in (self.folder / self.kept(recipe).key).glob("shards/*/index.json"):
            try:
                hashes = Texts.of(arrays.read_index(index.parent)["content_hashes"])
            except arrays.Damaged:
                continue
            is_known[wanted.look_up(hashes.fixed())[0]] = True
        return bool(2 * is_known.sum() >= len(is_known))

    def missing(
        self, recipe: Recipe, content_hashes: Sequence[str], features: FeatureSet = "all"
    ) -> Texts:
        """Return the distinct hashes of images whose features are not there.

        Args:
            recipe: how the features are made.
            content_hashes: of the images, in any order, repeats allowed.
            features: which blocks must be undamaged: the last, or all.

        Returns:
            Hashes in the order in which they came, each once.
        """
        return Texts.of(content_hashes).take(self.missing_rows(recipe, content_hashes, features))

    def missing_rows(
        self, recipe: Recipe, content_hashes: Sequence[str], features: FeatureSet = "all"
    ) -> Rows:
        """Return where the hashes stand that `missing` returns, ascending: int64 (missing,)."""
        wanted = Wanted(content_hashes)
        is_there = np.zeros(len(wanted.first), bool)
        for _, hashes in self._shards(recipe, features):
            is_there[wanted.look_up(hashes)[0]] = True
        return np.sort(wanted.first[~is_there])

    def has_some(self, recipe: Recipe) -> bool:
        """Tell whether features of any image are there, without a look into them."""
        return any((self.folder / self.kept(recipe).key / "shards").glob("*"))

    def add(self, recipe: Recipe, content_hashes: Sequence[str], blocks: Sequence[Matrix]) -> None:
        """Write one shard.

        Args:
            recipe: how the features were made.
            content_hashes: one for each image.
            blocks: for each block float32 (images, width), in the order of the blocks.
        """
        with naming(self.folder):
            self._add(recipe, content_hashes, blocks)

    def _add(self, recipe: Recipe, content_hashes: Sequence[str], blocks: Sequence[Matrix]) -> None:
        recipe = self.kept(recipe)
        folder = self.folder / recipe.key
        shards = folder / "shards"
        temporary = arrays.temporary_folder(shards)
        arrays.remove_abandoned(folder)
        if not (folder / "recipe.json").is_file():
            arrays.write_text(folder / "recipe.json", json.dumps(recipe.as_data(), indent=2))
        for number, block in enumerate(blocks):
            np.save(temporary / _block_file(number), np.asarray(block, np.float32))
        # Names sort by time, so that of two copies of an image the older is always taken.
        name = f"{time.time_ns():020d}-{uuid.uuid4().hex[:8]}"
        arrays.publish(temporary, shards / name, {"content_hashes": list(content_hashes)})

    def note_speed(self, recipe: Recipe, milliseconds: float, images: int) -> None:
        """Keep how long an image took, unless that was measured on more images before.

        Args:
            recipe: how the features were made; some are there.
            milliseconds: an image, all cores together.
            images: that it was measured on.
        """
        before = self._speed(recipe)
        if before is None or images >= before[1]:
            text = json.dumps({"milliseconds": milliseconds, "images": images})
            arrays.write_text(self.folder / self.kept(recipe).key / "speed.json", text)

    def speed(self, recipe: Recipe) -> float | None:
        """Return milliseconds an image took to extract here; None where that is not known."""
        known = self._speed(recipe)
        return None if known is None else known[0]

    def _speed(self, recipe: Recipe) -> tuple[float, int] | None:
        try:
            path = self.folder / self.kept(recipe).key / "speed.json"
            known = json.loads(path.read_text("utf-8"))
            return float(known["milliseconds"]), int(known["images"])
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def open(
        self, recipe: Recipe, content_hashes: Sequence[str], features: FeatureSet = "last"
    ) -> Features:
        """Return the features of images, in the order asked for.

        What has to be gathered from several files is gathered once and kept, for all
        processes and later runs.

        Args:
            recipe: how the features were made.
            content_hashes: of the images, one for each row; repeats allowed.
            features: "last" for the last block's, "all" for those of every block, side by side.

        Raises:
            AutomlError: features of some images are not there (see `missing`).
        """
        names = Texts.of(content_hashes)
        if not names:
            raise ValueError("features of no images were asked for")
        order = hashlib.blake2b(features.encode(), digest_size=16)
        for chunk in names.chunks():
            order.update("\n".join(["", *chunk]).encode())
        assembled = self.folder / self.kept(recipe).key / "assembled" / order.hexdigest()
        found = _read_assembled(assembled)
        if found is not None:
            return found
        wanted = Wanted(names)
        shards: list[_Shard] = []
        # Of each distinct hash its shard and its row there; of two copies the older.
        places = np.full((len(wanted.first), 2), -1)
        for shard, hashes in self._shards(recipe, features):
            if len(shard.names) == 1 and np.array_equal(hashes, wanted.names):
                (block,) = shard.open()
                return Features(block, (block.shape[1],))
            known, rows = wanted.look_up(hashes)
            is_new = places[known, 0] < 0
            # Of a hash that stands in a shard twice the first counts: it is written last.
            known, rows = known[is_new][::-1], rows[is_new][::-1]
            places[known, 0], places[known, 1] = len(shards), rows
            shards.append(shard)
        rows = places[wanted.inverse]
        absent = int((rows[:, 0] < 0).sum())
        if absent:
            raise AutomlError(
                f"{absent} of {len(names)} images have no features in {self.folder}: "
                "they must be extracted first"
            )
        _assemble(assembled, shards, rows)
        found = _read_assembled(assembled)
        if found is None:
            raise AutomlError(f"{assembled}: damaged as soon as it was written; check the disk")
        return found

    def entries(self) -> list[CacheEntry]:
        """Return what the cache holds, one entry a recipe, sorted by key."""
        folders = sorted(self.folder.iterdir()) if self.folder.is_dir() else []
        return [_describe(folder) for folder in folders if folder.is_dir()]

    def clear(self) -> int:
        """Remove everything, leftovers of killed processes too; return the bytes freed."""
        return arrays.remove_folder(self.folder) + arrays.remove_folder(self._refusals)

    def _shards(
        self, recipe: Recipe, features: FeatureSet
    ) -> Iterator[tuple[_Shard, NDArray[np.bytes_]]]:
        """Yield undamaged shards and their hashes; warn of each damaged one, and remove it.

        Removing keeps the next run from warning again of images that are back by then.
        """
        shards = self.folder / self.kept(recipe).key / "shards"
        for folder in sorted(shards.iterdir()) if shards.is_dir() else []:
            if folder.name.startswith(arrays.TEMPORARY_PREFIX):
                continue
            try:
                yield _checked_shard(folder, features)
            except arrays.Damaged as damage:
                if not folder.is_dir():
                    continue  # another process has removed it
                warn(
                    f"cached features are damaged ({damage}); the folder {folder} was removed, "
                    "its images are extracted again"
                )
                shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class _Shard:
    folder: Path
    index: dict[str, Any]  # without the hashes
    names: list[str]  # files of the blocks asked for

    def open(self) -> list[Matrix]:
        """Memory-map the blocks: an open file each, so no more than one shard's at a time."""
        return [arrays.open_array(self.folder / name, self.index) for name in self.names]


def _checked_shard(folder: Path, features: FeatureSet) -> tuple[_Shard, NDArray[np.bytes_]]:
    index = arrays.read_index(folder)
    names = sorted(index["files"])
    hashes = Texts.of(index.pop("content_hashes", ())).fixed()
    shard = _Shard(folder, index, names[-1:] if features == "last" else names)
    for name, block in zip(shard.names, shard.open(), strict=True):
        if len(block) != len(hashes):
            raise arrays.Damaged(f"{folder / name} has {len(block)} rows for {len(hashes)} images")
    return shard, hashes


def _block_file(number: int) -> str:
    return f"block_{number:03d}.npy"


def _describe(folder: Path) -> CacheEntry:
    try:
        found = Recipe.from_data(json.loads((folder / "recipe.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError):
        found = None
    hashes: set[str] = set()
    times = [folder.stat().st_mtime]
    for index in folder.glob("shards/*/index.json"):
        times.append(index.stat().st_mtime)
        try:
            hashes.update(arrays.read_index(index.parent)["content_hashes"])
        except arrays.Damaged:
            continue  # counted as nothing here; the next search removes it
    return CacheEntry(
        key=folder.name,
        recipe=found,
        n_images=len(hashes),
        n_bytes=arrays.folder_size(folder),
        written=datetime.fromtimestamp(max(times)),
    )


def _assemble(folder: Path, shards: list[_Shard], rows: NDArray[np.int64]) -> None:
    """Write the rows (shard, row in shard) of all blocks side by side into one array."""
    widths = [block.shape[1] for block in shards[rows[0, 0]].open()]
    temporary = arrays.temporary_folder(folder.parent)
    joined = np.lib.format.open_memmap(
        temporary / "features.npy", "w+", np.float32, (len(rows), sum(widths))
    )
    step = max(1, ASSEMBLY_BYTES // (4 * max(widths)))
    for number in np.unique(rows[:, 0]):
        here = np.flatnonzero(rows[:, 0] == number)
        column = 0
        for block in shards[number].open():
            columns = slice(column, column + block.shape[1])
            for start in range(0, len(here), step):
                some = here[start : start + step]
                joined[some, columns] = block[rows[some, 1]]
            column = columns.stop
    joined.flush()
    arrays.publish(temporary, folder, {"widths": widths})


def _read_assembled(folder: Path) -> Features | None:
    """Open an assembled array; None where there is none, or only a damaged one."""
    if not folder.is_dir():
        return None
    try:
        index = arrays.read_index(folder)
        return Features(arrays.open_array(folder / "features.npy", index), tuple(index["widths"]))
    except arrays.Damaged as damage:
        warn(f"cached features are damaged ({damage}); they are put together again")
        shutil.rmtree(folder, ignore_errors=True)
        return None
