"""The features that a worker process trains on: extracted once, held, memory-mapped."""

from __future__ import annotations

import math
import shutil
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from automl_cv.data.texts import Texts
from automl_cv.errors import UserError
from automl_cv.features import FeatureCache, Recipe, recipe, vectors, view_names, weightfile
from automl_cv.orders.messages import (
    Extract,
    OnProgress,
    Prepare,
    Prepared,
    PrepareFeatures,
    SpaceNeeded,
)
from automl_cv.study.studyfile import Backbone
from automl_cv.worker.versions import versions

if TYPE_CHECKING:
    from automl_cv.engine.backbone_parts import Cut
    from automl_cv.engine.extract import Loaded, Network

MUCH_SPACE = 10**9  # bytes of the disk that are worth a word
AT_ONCE = 2**16  # images that are extracted in one go: their paths are held; whole batches


class HeldFeatures:
    """Extracts features and maps, and holds those that were asked for.

    Args:
        given: the images of the search.
        report: is told how far an extraction is.
        tell: is told how much of the disk a large extraction will take.
    """

    def __init__(
        self, given: Prepare, report: OnProgress, tell: Callable[[SpaceNeeded], None]
    ) -> None:
        self._given = given
        self._report = report
        self._tell = tell
        self._cache = FeatureCache(given.cache_dir)
        self._arrays: dict[PrepareFeatures, np.ndarray] = {}
        self._networks: dict[Backbone, Network] = {}
        self._parts: dict[tuple[Backbone, int], Cut] = {}
        # While others extract too: rows that the cache lacked before that, and the network.
        self._lacked: dict[PrepareFeatures, np.ndarray] = {}
        self._loaded: dict[Recipe, Loaded] = {}

    def of(self, order: PrepareFeatures) -> np.ndarray:
        """Return what an order made ready, float32, shape (rows, numbers)."""
        return self._arrays[order]

    def plain(self, backbone: Backbone) -> np.ndarray:
        """Return the features of all images as they are, float32, shape (images, features)."""
        return self._arrays[PrepareFeatures(backbone)]

    def network(self, backbone: Backbone) -> Network:
        """Return a backbone that runs in each epoch; an order with "online" views loaded it."""
        return self._networks[backbone]

    def widths(self, backbone: Backbone) -> tuple[int, ...]:
        """Return how many of the features each block of a backbone gives."""
        hashes = self._given.images.content_hashes
        return tuple(self._cache.open(recipe(backbone), hashes, backbone.features).widths)

    def of_last_block(self, backbone: Backbone) -> np.ndarray:
        """Return the last block's features of all images, whichever the study's heads get."""
        hashes = self._given.images.content_hashes
        return self._cache.open(recipe(backbone), hashes, "last").array

    def prepare(self, order: PrepareFeatures) -> Prepared:
        """Make sure that features are cached, and open them.

        Raises:
            UserError: the backbone or its weights can't be had.
            AutomlError: a file can't be read any more.
        """
        self._loaded.clear()
        if order.views == "online":
            return self._prepare_online(order.backbone)
        started = time.perf_counter()
        wanted, names = self.recipe(order), self._names(order)
        extracted = 0
        if weightfile.is_vectors(order.backbone):
            paths = self._given.images.paths.take(self.rows(order))
            extracted = vectors.fill(order.backbone, paths, names, self._cache, wanted)
        else:
            extracted = self._extracted(order, self.lacking(order))
        self._lacked.clear()
        features = self._cache.open(wanted, names, order.backbone.features).array
        self._arrays[order] = features
        return Prepared(
            extracted=extracted,
            dimension=int(features.shape[1]),
            seconds=time.perf_counter() - started,
            versions=versions(),
            milliseconds=self._cache.speed(wanted),
        )

    def lacking(self, order: PrepareFeatures) -> np.ndarray:
        """Return which of the images, or views of them, have to pass a backbone, int64.

        Raises:
            UserError: the backbone or its weights can't be had, or the disk has no room.
        """
        if order.views == "online" or weightfile.is_vectors(order.backbone):
            return np.empty(0, np.int64)
        names, wanted = self._names(order), self.recipe(order)
        missing = self._cache.missing_rows(wanted, names, order.backbone.features)
        if order.n_blocks and len(missing):
            self._check_space(order, len(missing))
        self._lacked = {order: missing}
        return missing

    def extract(self, share: Extract) -> int:
        """Run a share of the images through a backbone; return how many that were.

        Raises:
            UserError: the backbone or its weights can't be had.
            AutomlError: a file can't be read any more.
        """
        lacked = None if share.is_begun else self._lacked.get(share.order)
        if lacked is None:
            lacked = self.lacking(share.order)
        names = self._names(share.order).take(lacked)
        own = np.array([is_in_share(one, share) for one in names], bool)
        return self._extracted(share.order, lacked[own])

    def _extracted(self, order: PrepareFeatures, missing: np.ndarray) -> int:
        """Run images that are not cached through a backbone; return how many those were."""
        if not len(missing):
            return 0
        from automl_cv.engine.extract import extract

        assert order.views != "online", "that caches nothing"
        names, rows, done = self._names(order), self.rows(order), 0

        def report(now: int, total: int, images_per_second: float) -> None:
            self._report(done + now, len(missing), images_per_second)

        views = order.views if order.augmentation is not None else 1
        for start in range(0, len(missing), AT_ONCE):
            some = missing[start : start + AT_ONCE]
            paths, hashes = self.files(rows[np.unique(some // views)])
            done += extract(
                order.backbone,
                paths,
                hashes,
                self._cache,
                self.recipe(order),
                on_progress=report,
                views=views,
                window=self._given.images.window,
                missing=names.take(some),
                loaded=self._loaded,
            )
        return done

    def _names(self, order: PrepareFeatures) -> Texts:
        """Return what the rows of an order's features are called in the cache."""
        hashes = self._given.images.content_hashes.take(self.rows(order))
        if order.augmentation is None or order.views == "online":
            return hashes
        return view_names(hashes, order.views)

    def parts(self, order: PrepareFeatures) -> Cut:
        """Return a backbone cut before the blocks that an order's maps stand before."""
        from automl_cv.engine.backbone_parts import cut

        size = self.recipe(order).image_size
        key = (order.backbone, order.n_blocks)
        if key not in self._parts:
            self._parts[key] = cut(order.backbone, size, order.n_blocks)
        return self._parts[key]

    def recipe(self, order: PrepareFeatures) -> Recipe:
        """Return all that determines what an order makes ready."""
        own = recipe(order.backbone, order.augmentation, self._given.seed)
        return own.before_blocks(order.n_blocks) if order.n_blocks else own

    def rows(self, order: PrepareFeatures) -> np.ndarray:
        """Return which images an order is about; nothing needs maps of the test images."""
        splits = self._given.images.splits
        if order.augmentation is not None:
            return np.flatnonzero(np.isin(splits, order.splits))
        if order.n_blocks:
            return np.flatnonzero(np.isin(splits, ("train", "validation")))
        return np.arange(len(splits))

    def files(self, rows: np.ndarray) -> tuple[list[Path], Texts]:
        """Return the files of images and the hashes of their content."""
        images = self._given.images
        return [*map(Path, images.paths.take(rows))], images.content_hashes.take(rows)

    def _prepare_online(self, backbone: Backbone) -> Prepared:
        """Load a backbone that runs in each epoch, and measure it."""
        from automl_cv.engine.extract import load
        from automl_cv.engine.views import measured

        self._networks[backbone] = load(backbone, self._cache.kept(recipe(backbone)))
        train = np.flatnonzero(self._given.images.splits == "train")
        count, seconds = measured(
            backbone, self._networks[backbone], *self.files(train), window=self._given.images.window
        )
        dimension = self.plain(backbone).shape[1]
        return Prepared(count, int(dimension), seconds, versions())

    def _check_space(self, order: PrepareFeatures, n_missing: int) -> None:
        """Tell how much of the disk maps will take, where it is much; refuse what has no room.

        Raises:
            UserError: the disk has no room for them.
        """
        # Once as they come, once in the order of the study.
        n_bytes = 2 * n_missing * 4 * math.prod(self.parts(order).shape)
        folder = self._given.cache_dir
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
        if n_bytes > free:
            raise UserError(
                f"fine_tune.blocks: feature maps of {order} take "
                f"{n_bytes / 1e9:.1f} GB, and {folder} has {free / 1e9:.1f} GB left; take fewer "
                "views or a smaller image_size, or give another --cache-dir"
            )
        if n_bytes >= MUCH_SPACE:
            self._tell(SpaceNeeded(n_bytes, free, folder))


def is_in_share(name: str, share: Extract) -> bool:
    """Tell whether an image, or a view of it, is in a share; all views of an image are in one."""
    content_hash = name.partition("/")[0]
    return zlib.crc32(content_hash.encode()) % share.shares == share.share
