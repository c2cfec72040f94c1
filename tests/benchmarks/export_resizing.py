"""What resizing in exported graphs costs, and how near it comes to TensorFlow's.

    python tests/benchmarks/export_resizing.py [FORM …]

Graphs of resizing to 224 × 224 pixels alone, random pixels, threads as each runtime takes them
(`taskset -c 0` for one): milliseconds (the best of five), and the largest difference from
`tf.image.resize` between two values, of 255. ONNX also as two matrix products, to compare.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from automl_cv.catalog.exports import EXPORTS
from automl_cv.engine import export_graphs, saved_network

SIZE = 224
SIZES = [(32, 32), (61, 90), (300, 200), (640, 480), (1200, 1600), (3000, 4000)]
ROUNDS = 5


def main() -> None:
    pixels = keras.Input((None, None, 3), dtype="uint8")
    floats = layers.Rescaling(1.0)(pixels)
    resized = layers.Resizing(
        SIZE, SIZE, "bilinear", antialias=True, name=saved_network.RESIZED, dtype="float32"
    )(floats)
    model = keras.Model(pixels, layers.Rescaling(1.0)(resized))
    pictures = [
        np.random.default_rng(0).integers(0, 256, (1, *size, 3), np.uint8) for size in SIZES
    ]
    expected = [
        tf.image.resize(tf.cast(picture, tf.float32), (SIZE, SIZE), antialias=True).numpy()
        for picture in pictures
    ]
    chosen = sys.argv[1:] or EXPORTS.names
    writers = [(name, EXPORTS[name].load_writer(), name) for name in chosen]
    if "onnx" in chosen:
        writers.append(("onnx", export_graphs.with_products, "onnx, products"))
    print(f"{'':16s}", *(f"{height}×{width}" for height, width in SIZES), sep="  ")
    for name, write, title in writers:
        entry = EXPORTS[name]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / entry.files[0]
            write(model, entry.keras_format, path)
            run = entry.load()(path)
            cells = []
            for picture, own in zip(pictures, expected, strict=True):
                difference = np.abs(run(picture)[0] - own).max()
                seconds = min(timed(run, picture) for _ in range(ROUNDS))
                cells.append(f"{1000 * seconds:.1f} ({difference:.1e})")
        print(f"{title:16s}", *cells, sep="  ", flush=True)


def timed(run, picture) -> float:
    started = time.perf_counter()
    run(picture)
    return time.perf_counter() - started


if __name__ == "__main__":
    tf.config.threading.set_intra_op_parallelism_threads(1)
    main()
