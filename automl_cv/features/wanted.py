"""Hashes of images that are looked for among those of shards."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from automl_cv.data.texts import Texts

Rows = NDArray[np.int64]


class Wanted:
    """Hashes, sorted once: dicts and sets of millions take several times their own size.

    Args:
        content_hashes: as bytes they are `names`; repeats allowed.
    """

    def __init__(self, content_hashes: Sequence[str]) -> None:
        self.names = Texts.of(content_hashes).fixed()
        # Each once, where it stands first, and for each name which of them it is.
        self._distinct, self.first, self.inverse = np.unique(
            self.names, return_index=True, return_inverse=True
        )

    def look_up(self, hashes: NDArray[np.bytes_]) -> tuple[Rows, Rows]:
        """Return which of the distinct ones are among some hashes, and in which rows of these."""
        if not len(self._distinct):
            return np.empty(0, np.int64), np.empty(0, np.int64)
        places = np.searchsorted(self._distinct, hashes).clip(max=len(self._distinct) - 1)
        rows = np.flatnonzero(self._distinct[places] == hashes)
        return places[rows], rows
