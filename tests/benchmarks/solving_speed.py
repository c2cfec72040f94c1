"""What a path of penalties out of folds costs, against scikit-learn's solver in a loop.

    python tests/benchmarks/solving_speed.py [--images 2000] [--features 2048] [--classes 10]

Prints seconds of processor time, and of the wall, and their ratio to scikit-learn's, whose
`LogisticRegression` is begun from its last solution (`warm_start`) for each fold and penalty, as
`LogisticRegressionCV` does. Few of its penalties are timed (`--every`), and the rest estimated.
BLAS has one thread in both: two, on cores that others use too, wait by spinning.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable

import numpy as np
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from automl_cv.solving.discriminant import Discriminant
from automl_cv.solving.logistic import Logistic, out_of_fold
from automl_cv.solving.ridge import Ridge

PENALTIES = np.logspace(5, 0, 24)
FOLDS = 5


def drawn(images: int, features: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return features of 60 hidden ones, rectified and standardised, and labels."""
    draw = np.random.default_rng(0)
    labels = draw.integers(0, classes, images)
    hidden = draw.normal(size=(images, 60)) * np.linspace(2, 0.3, 60)
    hidden += 0.5 * draw.normal(size=(classes, 60))[labels]
    seen = hidden @ draw.normal(size=(60, features)) / 6
    seen = np.maximum(seen + 0.5 * draw.normal(size=seen.shape), 0)
    return (seen - seen.mean(axis=0)) / seen.std(axis=0), labels


def timed(action: Callable[[], object]) -> tuple[float, float]:
    """Return seconds of processor time and of the wall."""
    processor, wall = time.process_time(), time.perf_counter()
    action()
    return time.process_time() - processor, time.perf_counter() - wall


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--features", type=int, default=2048)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--every", type=int, default=1, help="fold of scikit-learn's to time")
    given = parser.parse_args()
    features, labels = drawn(given.images, given.features, given.classes)
    folds = np.arange(given.images) % FOLDS
    rest = folds != 0

    def theirs() -> None:
        for fold in range(given.every):
            head = LogisticRegression(warm_start=True, max_iter=1000)
            for penalty in PENALTIES:
                head.set_params(C=1 / penalty).fit(features[folds != fold], labels[folds != fold])

    def ours() -> list[np.ndarray]:
        return list(out_of_fold(features, labels, given.classes, folds, PENALTIES))

    with threadpool_limits(1), warnings.catch_warnings(action="ignore"):
        processor, wall = (FOLDS / given.every * one for one in timed(theirs))
    print(f"scikit-learn, estimated of all folds: {processor:.2f} s, wall {wall:.2f} s")
    for _ in range(2):
        own_processor, own_wall = timed(ours)
        print(
            f"out_of_fold: {own_processor:.2f} s, wall {own_wall:.2f} s: "
            f"{processor / own_processor:.1f} and {wall / own_wall:.1f} times as fast"
        )
    one = (features[rest], labels[rest], given.classes)
    for name, action in {
        "Logistic, one penalty of 100": lambda: Logistic(*one).solve(100.0),
        "Discriminant, 8 shrinkages": lambda: list(
            map(Discriminant(*one).solve, np.linspace(0.01, 1, 8))
        ),
        "Ridge, 24 penalties": lambda: list(map(Ridge(*one).solve, PENALTIES)),
    }.items():
        processor, wall = timed(action)
        print(f"{name}, of {rest.sum()} images: {processor:.2f} s, wall {wall:.2f} s")


if __name__ == "__main__":
    main()
