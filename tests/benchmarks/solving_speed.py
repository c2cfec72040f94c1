"""What paths of penalties out of five folds cost, beside scikit-learn's solver in a loop.

    python tests/benchmarks/solving_speed.py [--images 2000] [--features 2048] [--classes 10]

The penalties are those of the exact heads (22, from 1e4 to 1e-3) or, `--lowest 1`, those of them
that are no smaller. Each fold is solved as a worker of a search solves it: by itself, two folds
side by side, and with features that the fold's own images standardise; fold after fold, from the
first one again, until 500 heads are solved. Prints their seconds of processor time, and of the
wall, and the ratio to scikit-learn's, whose `LogisticRegression` is begun from its last solution
(`warm_start`) for each fold and penalty, as `LogisticRegressionCV` does. Few of its folds are timed
(`--every`, 0 for none), and the rest estimated. BLAS has one thread in both: two, on cores that
others use too, wait by spinning.
"""

from __future__ import annotations

import argparse
import math
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from automl_cv.catalog.exact_heads import EXACT_HEADS, PENALTIES
from automl_cv.solving.discriminant import Discriminant
from automl_cv.solving.kernel import Kernel
from automl_cv.solving.logistic import Logistic
from automl_cv.solving.ridge import Ridge
from automl_cv.solving.scaling import unit_length
from automl_cv.solving.threads import one_thread
from automl_cv.worker.exact_heads import THREADS

FOLDS = 5
HEADS = 500


def drawn(images: int, features: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return features of 60 hidden ones, rectified, and labels."""
    draw = np.random.default_rng(0)
    labels = draw.integers(0, classes, images)
    hidden = draw.normal(size=(images, 60)) * np.linspace(2, 0.3, 60)
    hidden += 0.5 * draw.normal(size=(classes, 60))[labels]
    seen = hidden @ draw.normal(size=(60, features)) / 6
    return np.maximum(seen + 0.5 * draw.normal(size=seen.shape), 0), labels


def timed(action: Callable[[], object]) -> tuple[float, float]:
    """Return seconds of processor time and of the wall."""
    processor, wall = time.process_time(), time.perf_counter()
    action()
    return time.process_time() - processor, time.perf_counter() - wall


def main() -> None:
    """Time each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--features", type=int, default=2048)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--every", type=int, default=1, help="folds of scikit-learn's to time")
    parser.add_argument("--lowest", type=float, default=0.0, help="penalty")
    given = parser.parse_args()
    features, labels = drawn(given.images, given.features, given.classes)
    folds = np.arange(given.images) % FOLDS

    def images(fold: int) -> tuple[np.ndarray, np.ndarray, int]:
        rest = folds != fold
        own = features[rest]
        return (own - own.mean(axis=0)) / own.std(axis=0), labels[rest], given.classes

    def falling(strengths: tuple[float, ...]) -> list[float]:
        return [one for one in strengths if one >= given.lowest]

    penalties = falling(PENALTIES)

    def theirs() -> None:
        for fold in range(given.every):
            own, classes, _ = images(fold)
            head = LogisticRegression(warm_start=True, max_iter=1000)
            for penalty in penalties:
                head.set_params(C=1 / penalty).fit(own, classes)

    def solved(path: Callable[[int], object], paths: int) -> Callable[[], object]:
        def all_paths() -> None:
            with one_thread(), ThreadPoolExecutor(THREADS) as threads:
                list(threads.map(path, (number % FOLDS for number in range(paths))))

        return all_paths

    processor = wall = 0.0
    if given.every:
        with threadpool_limits(1), warnings.catch_warnings(action="ignore"):
            processor, wall = (FOLDS / given.every * one for one in timed(theirs))
        print(f"scikit-learn, {len(penalties)} penalties, estimated of all folds: ", end="")
        print(f"{processor:.2f} s, wall {wall:.2f} s")

    def kernel(fold: int) -> list[object]:
        own, classes, count = images(fold)
        strengths = falling(EXACT_HEADS["kernel"].strengths)
        return list(Kernel(unit_length(own), classes, count, reach=0.3).path(strengths))

    shrinkages = EXACT_HEADS["lda"].strengths
    ways: dict[str, tuple[int, Callable[[int], object]]] = {
        "logistic": (len(penalties), lambda fold: list(Logistic(*images(fold)).path(penalties))),
        "ridge": (len(penalties), lambda fold: list(Ridge(*images(fold)).path(penalties))),
        "lda": (
            len(shrinkages),
            lambda fold: list(Discriminant(*images(fold)).path(shrinkages)),
        ),
        "kernel": (len(falling(EXACT_HEADS["kernel"].strengths)), kernel),
    }
    for name, (strengths, path) in ways.items():
        paths = math.ceil(HEADS / strengths)
        own_processor, own_wall = timed(solved(path, paths))
        line = f"{name}, {paths * strengths} heads: {own_processor:.1f} s, wall {own_wall:.1f} s"
        if name == "logistic" and given.every:
            ratio = processor / FOLDS * paths / own_processor
            line += f"; {ratio:.1f} times as fast as scikit-learn's"
        print(line, flush=True)


if __name__ == "__main__":
    main()
