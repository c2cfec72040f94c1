"""What half precision costs in accuracy: probes on EfficientNet-Lite0's features in both.

    python tests/benchmarks/precision.py --root debian [--precision float16] [--out FILE]

Sets and splits of `photographs.py`. A probe is logistic regression (C = 0.01) on standardised
features, fitted on train and validation images, judged on the test images; the same of both.
float16 is TensorFlow's. Where the processor has bfloat16 OpenVINO computes in it. Elsewhere it is
imitated: weights, pixels and what each layer gives are rounded to bfloat16, sums are float32, as
such processors do it. OpenVINO joins layers and so rounds less often. `stored` computes in float32
and keeps the features in float16, half as large on the disk.
"""

from __future__ import annotations

import argparse
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import photographs
import worth_sets
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from automl_cv.engine import runtime  # noqa: F401, decides how TensorFlow loads

BACKBONE = "EfficientNetLite0"
STORED = "stored"


def calls(size: int, batch_size: int, precision: str) -> tuple[dict[str, Any], str]:
    """Return the network in float32 and in a precision, and how that came about."""
    import keras

    from automl_cv.catalog.engines import BFLOAT16, ENGINES, FLOAT16, FLOAT32
    from automl_cv.engine import backbone as backbones
    from automl_cv.errors import UserError
    from automl_cv.study.studyfile import Backbone

    blocks, preprocessing = backbones.load_blocks(Backbone(name=BACKBONE), size)
    whole = backbones.on_pixels(blocks, preprocessing, size, backbones.pool)
    full = backbones.compile_calls(whole, batch_size)
    if precision == STORED:

        def stored(pixels: np.ndarray) -> list[np.ndarray]:
            return [block.astype(np.float16).astype(np.float32) for block in full(pixels)]

        return {FLOAT32: full, STORED: stored}, "TensorFlow, float16 on the disk"
    if precision == FLOAT16:
        half = backbones.compile_calls(whole, batch_size, FLOAT16)
        return {FLOAT32: full, FLOAT16: half}, "TensorFlow"
    try:
        coarse = ENGINES["openvino"].compile(whole, batch_size, BFLOAT16)
        return {FLOAT32: full, BFLOAT16: coarse}, "OpenVINO"
    except UserError:
        pass

    def rounded(value: Any) -> Any:
        return keras.ops.cast(keras.ops.cast(value, "bfloat16"), "float32")

    def call_rounded(layer: Any, *given: Any, **options: Any) -> Any:
        return keras.tree.map_structure(
            rounded, layer(*keras.tree.map_structure(rounded, given), **options)
        )

    imitated = keras.models.clone_model(blocks, call_function=call_rounded)
    imitated.set_weights([np.asarray(rounded(one)) for one in blocks.get_weights()])
    imitated.trainable = False
    whole = backbones.on_pixels(imitated, preprocessing, size, backbones.pool)
    return {FLOAT32: full, BFLOAT16: backbones.compile_calls(whole, batch_size)}, "imitated"


def features(call: Any, paths: list[Path], size: int, batch_size: int) -> np.ndarray:
    """Return the features of all blocks of files, float32 (images, numbers)."""
    from automl_cv.data.images import content_hash, decode
    from automl_cv.engine import images

    cores = os.cpu_count() or 1
    hashes = [content_hash(decode(path)) for path in paths]
    pixels = images.batches(paths, hashes, size, batch_size, cores)
    with ThreadPoolExecutor(cores) as pool:
        return np.concatenate([np.hstack(one) for one in images.in_order(pool, call, pixels, 2)])


def accuracy(found: np.ndarray, labels: np.ndarray, parts: np.ndarray) -> tuple[float, np.ndarray]:
    """Return a probe's accuracy on the test images, and what it says of them."""
    test = parts == "test"
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000))
    said = probe.fit(found[~test], labels[~test]).predict(found[test])
    return float((said == labels[test]).mean()), said


def main() -> None:
    """Measure and print a row for each set and each choice of blocks."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, default=Path("/"), help="unpacked packages")
    parser.add_argument("--sets", nargs="*", default=photographs.SETS, choices=photographs.SETS)
    parser.add_argument("--precision", default="bfloat16", choices=["bfloat16", "float16", STORED])
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--cache", type=Path, default=Path("photographs/cache"))
    parser.add_argument("--out", type=Path, help="file for JSON")
    asked = parser.parse_args()
    from automl_cv.catalog.backbones import BACKBONES
    from automl_cv.catalog.engines import FLOAT32
    from automl_cv.engine.extract import BATCH_SIZE

    size = BACKBONES[BACKBONE].image_size
    ways, how = calls(size, BATCH_SIZE, asked.precision)
    told = f"float32 | {asked.precision}"
    print(f"{asked.precision}: {how}\n")
    print(f"| set | images | blocks | {told} | points | test images told otherwise |")
    print("|---|---:|---|---:|---:|---:|---:|")
    rows = []
    for name in asked.sets:
        pool = worth_sets.build(name, asked.cache, asked.root)
        paths, labels = list(pool.paths), np.asarray(pool.labels)
        every = {way: features(call, paths, size, BATCH_SIZE) for way, call in ways.items()}
        last = 1280
        for blocks, width in (("last", last), ("all", every[FLOAT32].shape[1])):
            pairs, otherwise = [], []
            for number in range(asked.splits):
                parts = photographs.divided(pool, number)
                full, coarse = (
                    accuracy(every[way][:, -width:], labels, parts)
                    for way in (FLOAT32, asked.precision)
                )
                pairs.append((full[0], coarse[0]))
                otherwise.append(float((full[1] != coarse[1]).mean()))
            before, after = np.mean(pairs, axis=0)
            rows.append({"set": name, "blocks": blocks, "how": how, "accuracies": pairs})
            print(
                f"| {name} | {len(paths):,} | {blocks} | {before:.4f} | {after:.4f} "
                f"| {100 * (after - before):+.2f} | {np.mean(otherwise):.4f} |",
                flush=True,
            )
    if asked.out is not None:
        asked.out.write_text(json.dumps(rows, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
