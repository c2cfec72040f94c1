"""What probabilities are worth where nothing is trained in steps."""

from __future__ import annotations

import numpy as np

TINY = float(np.finfo(np.float32).tiny)
"""What a probability is taken for at least: the smallest that float32 holds in full."""


def worth(probabilities: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Return accuracy and cross-entropy.

    Args:
        probabilities: (images, classes), rows of sum 1.
        labels: class indices (images,).
    """
    right = probabilities.argmax(axis=1) == labels
    own = probabilities[np.arange(len(labels)), labels]
    return float(right.mean()), float(-np.log(np.maximum(own, TINY)).mean())
