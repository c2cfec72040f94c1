"""What trials said of the images that validated them, packed into text for the database.

A trial's probabilities at its best epoch, their logarithms as float16: a probability of 0.99 is
kept to five figures, one of 1e-6 to two, and the smallest that float32 has is not lost. 360 images
of ten classes are 7 kB before they are compressed.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from automl_cv.measures import LEAST_PROBABILITY

# Numbers kept of a trial: 800 kB before compression. Of more, every second image or third is.
MOST_NUMBERS = 400_000


@dataclass(frozen=True, eq=False)
class Predictions:
    """What one trial said of images that it was not trained on.

    Args:
        every: 1 where all images that validate are among them, 2 where every second is, from the
            first.
        probabilities: float32, shape (images, classes).
    """

    every: int
    probabilities: np.ndarray


def packed(probabilities: np.ndarray) -> dict[str, Any]:
    """Return probabilities as JSON.

    Args:
        probabilities: of all images that validate, in their order, (images, classes).
    """
    every = -(-probabilities.size // MOST_NUMBERS)
    kept = np.log(np.maximum(probabilities[::every], LEAST_PROBABILITY)).astype("<f2")
    # Base 85 is shorter, but its loop in Python takes 1.2 ms for 360 images of ten classes.
    text = base64.b64encode(zlib.compress(kept.tobytes(), 6)).decode()
    return {"every": every, "shape": list(kept.shape), "logarithms": text}


def unpacked(stored: Mapping[str, Any]) -> Predictions:
    """Return what `packed` wrote."""
    raw = zlib.decompress(base64.b64decode(stored["logarithms"]))
    kept = np.frombuffer(raw, "<f2").reshape(stored["shape"])
    return Predictions(stored["every"], np.exp(kept.astype(np.float32)))
