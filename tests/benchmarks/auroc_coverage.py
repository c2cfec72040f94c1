"""How often AUROC's 95 % interval holds the true AUROC, beside the percentiles of a bootstrap.

    python -m tests.benchmarks.auroc_coverage [--repeats 1000]

Logits are normal, the right class's raised by `apart`; the true AUROC is that of 100,000 images.
"few" has an eighth of its images in the class that AUROC is of. Coverage, and mean width.
"""

from __future__ import annotations

import argparse

import numpy as np
from scipy.special import softmax

from automl_cv.measures import Judged, auroc, auroc_interval
from automl_cv.scoring import _percentiles, _resample

CASES = [
    *((2, n_images, apart, False) for n_images in (20, 50, 200) for apart in (0.5, 1.5, 2.5)),
    (2, 50, 1.5, True),
    *((3, 50, apart, False) for apart in (0.5, 1.5, 2.5)),
    *((10, n_images, apart, False) for n_images in (50, 200) for apart in (1.0, 2.5, 4.0)),
]


def judged(
    draw: np.random.Generator, n_classes: int, n_images: int, apart: float, few: bool
) -> Judged:
    """Draw images."""
    labels = np.arange(n_images) % n_classes
    if few:
        labels = (np.arange(n_images) < n_images // 8).astype(int)
    logits = draw.normal(0, 1, (n_images, n_classes))
    logits[np.arange(n_images), labels] += apart
    return Judged(labels, softmax(logits, axis=1))


def value(of: Judged) -> float:
    """Return the AUROC."""
    values = auroc(of, np.ones((1, len(of.labels)), np.uint16))
    assert values is not None
    return float(values[0])


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=1000)
    repeats = parser.parse_args().repeats
    draw = np.random.default_rng(0)
    print("classes  images  true AUROC  covers, width   bootstrap covers, width")
    for n_classes, n_images, apart, few in CASES:
        true = value(judged(draw, n_classes, 100_000, apart, few))
        held, widths = np.zeros(2), np.zeros(2)
        for number in range(repeats):
            one = judged(draw, n_classes, n_images, apart, few)
            found = value(one)
            resampled = auroc(one, _resample(one.labels, 300, number))
            low, high = _percentiles(resampled, found)
            both = auroc_interval(one, found, 1.96), (found if low is None else low, high or found)
            held += [low <= true <= high for low, high in both]
            widths += [high - low for low, high in both]
        held, widths = held / repeats, widths / repeats
        print(
            f"{n_classes:>7}  {n_images:>6}{' few' * few:4}  {true:>6.4f}"
            f"{held[0]:>10.3f}, {widths[0]:.3f}{held[1]:>18.3f}, {widths[1]:.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
