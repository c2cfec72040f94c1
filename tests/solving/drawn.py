"""Features of clusters that overlap, with what solvers stumble over."""

from __future__ import annotations

import numpy as np

from automl_cv.solving.scaling import measured
from tests.later import later

with later():
    from sklearn.datasets import load_digits

CASES = {
    "more images": (240, 30, 4),
    "more features": (60, 200, 4),
    "two classes": (100, 20, 2),
    "twenty classes": (200, 50, 20),
}


def drawn(case: str, seed: int = 0) -> tuple[np.ndarray, np.ndarray, int]:
    """Return scaled features, one constant and one twice, labels, and the number of classes."""
    if case == "digits":
        images, labels = load_digits(return_X_y=True)
        features, classes = images[:500].astype(np.float32), 10
        return measured("standard", features).scaled(features), labels[:500], classes
    images_, dimensions, classes = CASES[case]
    draw = np.random.default_rng(seed)
    labels = np.arange(images_) % classes
    features = draw.normal(0, 1, (classes, dimensions))[labels] * 0.5
    features += draw.normal(0, 1, features.shape)
    features[:, 3], features[:, 4] = 7.0, features[:, 5]
    features = features.astype(np.float32)
    return measured("standard", features).scaled(features), labels, classes


def shares_of(logits: np.ndarray) -> np.ndarray:
    """Return probabilities."""
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)
