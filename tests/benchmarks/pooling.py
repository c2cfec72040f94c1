"""What other ways to pool a backbone's maps than their averages are worth, out of fold.

    apt-get download tuxpaint-stamps-default ufoai-textures
    for package in *.deb; do dpkg -x $package debian; done
    python tests/benchmarks/pooling.py --root debian --out photographs

Sets and splits of `photographs.py`; test images play no part. Train and validation images of each
split are classified out of five folds, no photograph in two of them, by discriminant analysis on
features of length 1 ("lda"), by the kernel on their roots, and by the sum of both. How strongly is
chosen by log loss on the same images, for all alike.

Of the maps of each block: averages, deviations and largest numbers of each channel over its
places; and covariances of channels, of more than 64 those of 64 random directions. Covariances
stand as square roots, their signs kept, of length 1 (Perronnin et al. 2010; Lin et al. 2015,
"Bilinear CNN Models for Fine-grained Visual Recognition"), beside the roots of all averages,
which have that length too. Views are mirrored images, whose features are averaged.

What passed a network once is kept in OUT/pooled.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras
import numpy as np
import photographs
import tensorflow as tf
import worth_sets
from scipy.special import softmax
from sklearn.model_selection import StratifiedGroupKFold

from automl_cv.catalog.exact_heads import EXACT_HEADS
from automl_cv.data.images import decode
from automl_cv.engine import backbone as backbones
from automl_cv.engine.extract import BATCH_SIZE
from automl_cv.engine.images import resize_all
from automl_cv.measures import accuracy_and_loss
from automl_cv.solving.discriminant import Discriminant
from automl_cv.solving.kernel import Kernel, likeness
from automl_cv.solving.scaling import formed, measured
from automl_cv.solving.temperature import fitted_to_scores
from automl_cv.study.studyfile import Backbone

DIRECTIONS = 64
FOLDS = 5
REACH = 1.0
VIEWS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "plain": lambda pixels: pixels,
    "left to right": lambda pixels: pixels[:, :, ::-1],
    "upside down": lambda pixels: pixels[:, ::-1],
    "both": lambda pixels: pixels[:, ::-1, ::-1],
}
Pooled = dict[str, np.ndarray]
"""Features by name: "mean1", "deviation1", "largest1", "covariance1" of the first block, …"""


def pooled(maps: list[keras.KerasTensor]) -> list[keras.KerasTensor]:
    """Return averages, deviations, largest numbers and covariances of each block's maps."""
    found = []
    for number, one in enumerate(maps):
        height, width, channels = one.shape[1:]
        found += [call(one, axis=(1, 2)) for call in (keras.ops.mean, keras.ops.std, keras.ops.max)]
        flat = keras.ops.reshape(one, (-1, height * width, channels))
        if channels > DIRECTIONS:
            drawn = np.random.default_rng(number).standard_normal((channels, DIRECTIONS))
            flat = flat @ (drawn / np.sqrt(channels)).astype(np.float32)
        flat -= keras.ops.mean(flat, axis=1, keepdims=True)
        products = keras.ops.matmul(keras.ops.transpose(flat, (0, 2, 1)), flat) / (height * width)
        across = products.shape[-1]
        rows, columns = np.triu_indices(across)
        products = keras.ops.reshape(products, (-1, across * across))
        found.append(keras.ops.take(products, rows * across + columns, axis=1))
    return found


def extracted(pool: worth_sets.Pool, network: str, size: int, view: str, path: Path) -> Pooled:
    """Return the pooled maps of a pool's images, from a file where they were kept."""
    if not path.exists():
        blocks, preprocessing = backbones.load_blocks(Backbone(name=network), size)
        model = backbones.on_pixels(blocks, preprocessing, size, pooled)
        shape = tf.TensorSpec((None, size, size, 3), tf.float32)
        call = tf.function(lambda pixels: model(pixels, training=False), input_signature=[shape])
        call = call.get_concrete_function()

        def of_batch(start: int) -> list[np.ndarray]:
            files = pool.paths[start : start + BATCH_SIZE]
            pixels = VIEWS[view](resize_all(map(decode, files), size))
            return [one.numpy() for one in call(tf.constant(np.ascontiguousarray(pixels)))]

        with ThreadPoolExecutor(2) as threads:
            batches = list(threads.map(of_batch, range(0, len(pool.paths), BATCH_SIZE)))
        columns = [np.concatenate(parts) for parts in zip(*batches, strict=True)]
        kinds = ("mean", "deviation", "largest", "covariance")
        names = [f"{kind}{1 + block}" for block in range(len(blocks.outputs)) for kind in kinds]
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, **dict(zip(names, columns, strict=True)))
    with np.load(path) as kept:
        return dict(kept)


def ways(of: Pooled) -> dict[str, np.ndarray]:
    """Return what is compared, by name."""
    blocks = range(1, 1 + sum(name.startswith("mean") for name in of))

    def side(*kinds: str) -> np.ndarray:
        return np.hstack([of[f"{kind}{block}"] for block in blocks for kind in kinds])

    def with_covariance(*chosen: int) -> np.ndarray:
        parts = [formed("root", side("mean")) * len(chosen) ** 0.5]
        parts += [formed("root", of[f"covariance{block}"]) for block in chosen]
        stacked = np.hstack(parts)
        return np.sign(stacked) * np.square(stacked)  # the heads take roots

    found = {
        "averages": side("mean"),
        "deviations": side("deviation"),
        "averages and deviations": side("mean", "deviation"),
        "averages and largest": side("mean", "largest"),
    }
    found |= {f"averages, covariances of {block}": with_covariance(block) for block in blocks}
    found["averages, covariances of 3 and 5"] = with_covariance(3, 5)
    return found


def out_of_fold(kind: str, features: np.ndarray, labels: np.ndarray, folds: list) -> np.ndarray:
    """Return logits of the best strength by log loss, divided by their temperature."""
    classes, strengths = int(labels.max()) + 1, EXACT_HEADS[kind].strengths
    logits = np.zeros((len(strengths), len(labels), classes))
    for known, others in folds:
        if kind == "lda":
            scaling = measured("unit", features[known])
            given, asked = scaling.scaled(features[known]), scaling.scaled(features[others])
            path = Discriminant(given, labels[known], classes).path(strengths)
        else:
            given, asked = formed("root", features[known]), formed("root", features[others])
            head = Kernel(given, labels[known], classes, reach=REACH)
            path, asked = head.path(strengths), likeness(asked, given, head.factor)
        for number, (weights, bias) in enumerate(path):
            logits[number, others] = asked @ weights + bias
    tempered = [one / fitted_to_scores(labels, one) for one in logits]
    return min(tempered, key=lambda one: accuracy_and_loss(labels, softmax(one, axis=1))[1])


def figures(pool: worth_sets.Pool, features: np.ndarray, splits: range) -> np.ndarray:
    """Return accuracy and log loss of both heads and their sum, (3, 2), means of splits."""
    names, found = sorted(set(pool.labels)), []
    for split in splits:
        known = np.flatnonzero(photographs.divided(pool, split) != "test")
        labels = np.searchsorted(names, pool.labels[known])
        divide = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=split)
        folds = list(divide.split(labels, labels, pool.groups[known]))
        said = [out_of_fold(kind, features[known], labels, folds) for kind in ("lda", "kernel")]
        said.append(sum(said) / fitted_to_scores(labels, sum(said)))
        found.append([accuracy_and_loss(labels, softmax(one, axis=1)) for one in said])
    return np.mean(found, axis=0)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", nargs="*", default=["cut-outs", "surface-crops"])
    parser.add_argument("--network", default="EfficientNetLite0")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--views", nargs="*", default=["plain"], choices=list(VIEWS))
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--only", nargs="*", help="names of ways of pooling")
    parser.add_argument("--out", type=Path, default=Path("photographs"))
    parser.add_argument("--root", type=Path, default=Path("/"), help="unpacked packages")
    asked = parser.parse_args()
    print(
        "| set | pooled | numbers | lda | kernel | both |",
        "|---|---|---:|---:|---:|---:|",
        sep="\n",
    )
    for name in asked.sets:
        pool = worth_sets.build(name, asked.out / "cache", asked.root)
        views = []
        for view in asked.views:
            path = asked.out / "pooled" / f"{asked.network}-{asked.size}-{name}-{view}.npz"
            views.append(extracted(pool, asked.network, asked.size, view, path))
        mean = {key: np.mean([one[key] for one in views], axis=0) for key in views[0]}
        for way, features in ways(mean).items():
            if asked.only is None or way in asked.only:
                cells = figures(pool, features, range(asked.splits))
                told = " | ".join(f"{accuracy:.3f} / {loss:.3f}" for accuracy, loss in cells)
                print(f"| {name} | {way} | {features.shape[1]:,} | {told} |", flush=True)


if __name__ == "__main__":
    main()
