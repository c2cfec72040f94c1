"""What folds say of the images that they were not trained on, in the order of the images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class OutOfFold:
    """Where each image stands among those that validate, fold after fold.

    Args:
        rows: of the images, in their order, int64 (images,).
        places: where each of them stands when folds are joined one after the other.
    """

    rows: np.ndarray
    places: np.ndarray

    @classmethod
    def of(cls, validation: Sequence[np.ndarray]) -> OutOfFold:
        """Return the order of the images that folds validate on.

        Args:
            validation: rows of each fold.
        """
        joined = np.concatenate(validation)
        places = np.argsort(joined, kind="stable")
        return cls(joined[places], places)

    def joined(self, parts: Sequence[np.ndarray]) -> np.ndarray:
        """Return what folds say of their images, (images, …), in the order of the images."""
        found: np.ndarray = np.concatenate(parts)[self.places]
        return found
