"""The pixels that a worker process trains networks on: decoded once, cached, memory-mapped."""

from __future__ import annotations

import time
from functools import cached_property
from pathlib import Path

from automl_cv.features import recipe
from automl_cv.features.pixels import PixelCache
from automl_cv.orders.messages import OnProgress, Prepare, Prepared
from automl_cv.worker.versions import versions


class HeldPixels:
    """Decodes images once and holds their pixels.

    Args:
        given: the images of the search.
        report: is told how far the decoding is.
    """

    def __init__(self, given: Prepare, report: OnProgress) -> None:
        self._given = given
        self._report = report

    @cached_property
    def image_size(self) -> int:
        """Height and width that images are resized to, in pixels: the study's backbone's."""
        return recipe(self._given.backbone).image_size

    def prepare(self) -> Prepared:
        """Make sure that pixels are cached, and open them as `array`.

        Raises:
            AutomlError: a file can't be read any more.
        """
        from automl_cv.engine import pixels

        started, decoded = time.perf_counter(), 0

        def report(done: int, total: int, images_per_second: float) -> None:
            nonlocal decoded
            decoded = done
            self._report(done, total, images_per_second)

        images, cache, size = self._given.images, PixelCache(self._given.cache_dir), self.image_size
        paths = [Path(path) for path in images.paths]
        self.array = pixels.load(
            cache, paths, images.content_hashes, size, report, window=images.window
        )
        return Prepared(
            extracted=decoded,
            dimension=size * size * 3,
            seconds=time.perf_counter() - started,
            versions=versions(),
        )
