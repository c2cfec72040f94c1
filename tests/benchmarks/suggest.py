"""How many labels `suggest` saves, against labelling images at random; and what it costs.

    apt-get download tuxpaint-stamps-default ufoai-textures dataset-fashion-mnist fonts-aenigma
    for package in *.deb; do dpkg -x $package debian; done
    python tests/benchmarks/suggest.py --root debian --out suggest [--speed]

Of each set (`worth_sets.py`, and all 10,000 test images of Fashion-MNIST as `all-clothes`) 60 %
are a pool without labels, 4,000 images at most, and others, 3,000 at most, are for test. Images
of the pool get labels in rounds, until there are 1, 2, 3, 5, 10 and 20 a class in the mean: those
that `labelling.choice.choose` names, or random ones. After each round logistic regression on the
labelled ones (penalty 1, roots of features) classifies the test images. For each budget the table
says how many random labels give the accuracy that the suggested ones gave, between two measured
budgets by their logarithms, and the ratio of the two numbers; 0.5 is half of the labels.

The features are those of the studies that the product would take, `quickstart` and, for
photographs, `photos`. `--speed` chooses 50 of 100,000 images of 1,280 made-up features that lie
on the disk, with 0, 500 and 5,000 labels, and prints seconds.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import worth_sets
from worth_sets import Pool

from automl_cv.data.images import content_hash, decode
from automl_cv.engine.extract import extract
from automl_cv.features import FeatureCache, recipe
from automl_cv.labelling.choice import choose
from automl_cv.solving.logistic import Logistic
from automl_cv.solving.scaling import measured
from automl_cv.solving.threads import one_thread
from automl_cv.study import library

SETS = {
    "digits": "quickstart",
    "all-clothes": "quickstart",
    "letters": "quickstart",
    "cut-outs": "photos",
    "surfaces": "photos",
}
POOL, MOST_POOL, MOST_TEST = 0.6, 4000, 3000
BUDGETS = (1, 2, 3, 5, 10, 20)  # labels a class, in the mean
RANDOM_BUDGETS = (*(1, 1.5, 2, 3, 4, 5, 7, 10, 14, 20, 28, 40, 60, 80),)
MOST_LABELLED = 0.8  # of the pool: with all of it labelled there is nothing to choose
RANDOM_DRAWS = 3  # a split


def features_of(name: str, out: Path, root: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return features and class indices of a set."""
    cache_dir = out / "cache"
    if name == "all-clothes":
        paths = worth_sets._all_clothes(cache_dir, root)
        pool = Pool(tuple(paths), np.array([path.parent.name for path in paths]))
    else:
        pool = worth_sets.build(name, cache_dir, root)
    backbone = library.load(SETS[name]).backbone
    hashes = [content_hash(decode(path)) for path in pool.paths]
    cache, made = FeatureCache(cache_dir), recipe(backbone)
    extract(backbone, list(pool.paths), hashes, cache, made)
    labels = np.unique(pool.labels, return_inverse=True)[1]
    return np.asarray(cache.open(made, hashes, backbone.features).array), labels


def accuracy(known: np.ndarray, labels: np.ndarray, test: np.ndarray, truth: np.ndarray) -> float:
    """Return what logistic regression on the labelled images classifies right of others."""
    scaling = measured("root", known)
    names, places = np.unique(labels, return_inverse=True)
    if len(names) == 1:
        return float((truth == names[0]).mean())
    with one_thread():
        weights, bias = Logistic(scaling.scaled(known), places, len(names)).solve(1.0)
    said = names[(scaling.scaled(test) @ weights + bias).argmax(axis=1)]
    return float((said == truth).mean())


def measure(
    features: np.ndarray, labels: np.ndarray, splits: int
) -> tuple[dict[float, list[float]], dict[float, list[float]]]:
    """Return accuracies by labels a class: of suggested labels, and of random ones."""
    classes = labels.max() + 1
    suggested, drawn = defaultdict(list), defaultdict(list)
    for split in range(splits):
        draw = np.random.default_rng(split)
        order = draw.permutation(len(labels))
        size = min(round(POOL * len(labels)), MOST_POOL)
        pool, test = order[:size], order[size : size + MOST_TEST]
        own, truth = features[pool], labels[pool]
        asked, right = features[test], labels[test]
        for budget in RANDOM_BUDGETS:
            count = round(budget * classes)
            if count <= size:
                for _ in range(RANDOM_DRAWS):
                    rows = draw.permutation(size)[:count]
                    drawn[budget].append(accuracy(own[rows], truth[rows], asked, right))
        rows = np.empty(0, np.intp)
        for budget in BUDGETS:
            count = budget * classes
            if count <= MOST_LABELLED * size:
                chosen = choose(own, rows, truth[rows].tolist(), count - len(rows), seed=split)
                rows = np.concatenate([rows, [one.row for one in chosen]])
                suggested[budget].append(accuracy(own[rows], truth[rows], asked, right))
    return suggested, drawn


def table(name: str, suggested: dict[float, list[float]], drawn: dict[float, list[float]]) -> str:
    """Return Markdown: for each budget the accuracies, and labels as a share of random ones."""
    budgets = np.array(sorted(drawn))
    # More labels are worth no less in truth; a mean may say so by chance.
    means = np.maximum.accumulate([np.mean(drawn[budget]) for budget in budgets])
    lines = []
    for budget, found in suggested.items():
        reached, random = np.mean(found), np.mean(drawn[budget])
        if reached > means[-1]:
            needed, ratio = f"over {budgets[-1]:g}", f"under {budget / budgets[-1]:.2f}"
        else:
            labels = np.exp(np.interp(reached, means, np.log(budgets)))
            needed, ratio = f"{labels:.1f}", f"{budget / labels:.2f}"
        lines.append(f"| {name} | {budget} | {reached:.3f} | {random:.3f} | {needed} | {ratio} |")
    return "\n".join(lines)


def speed(out: Path) -> None:
    """Print seconds that a choice takes among 100,000 images of 1,280 features."""
    draw = np.random.default_rng(0)
    images, width, kinds = 100_000, 1280, 300
    middles = draw.normal(size=(kinds, 60)).astype(np.float32)
    turn = draw.normal(size=(60, width)).astype(np.float32) / 8
    kind = draw.integers(0, kinds, images)
    place = out / "made-up.npy"
    made = np.lib.format.open_memmap(place, "w+", np.float32, (images, width))
    for start in range(0, images, 5000):
        some = kind[start : start + 5000]
        hidden = middles[some] + draw.normal(size=(len(some), 60)).astype(np.float32)
        noise = 0.3 * draw.normal(size=(len(some), width)).astype(np.float32)
        made[start : start + 5000] = np.maximum(hidden @ turn + noise, 0)
    made.flush()
    features = np.load(place, mmap_mode="r")
    print("| labels | suggested | seconds | of processor time |\n|---|---|---|---|")
    for labels, count in ((0, 50), (0, 1000), (500, 50), (5000, 50), (5000, 1000)):
        rows = draw.permutation(images)[:labels]
        wall, processor = time.perf_counter(), time.process_time()
        found = choose(features, rows, (kind[rows] % 100).tolist(), count, seed=0)
        assert len(found) == count
        took = f"{time.perf_counter() - wall:.1f} | {time.process_time() - processor:.1f}"
        print(f"| {labels:,} | {count:,}, {found[0].reason} | {took} |", flush=True)


def main() -> None:
    """Measure, and print tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", nargs="*", default=list(SETS), choices=list(SETS))
    parser.add_argument("--splits", type=int, default=10)
    parser.add_argument("--out", type=Path, default=Path("suggest"))
    parser.add_argument("--root", type=Path, default=Path("/"), help="unpacked packages")
    parser.add_argument("--speed", action="store_true")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    if asked.speed:
        speed(asked.out)
        return
    print("| set | labels a class | accuracy | of random labels | random labels for it | ratio |")
    print("|---|---|---|---|---|---|")
    for name in asked.sets:
        print(table(name, *measure(*features_of(name, asked.out, asked.root), asked.splits)))


if __name__ == "__main__":
    main()
