"""Seconds a training step of a network of the table takes, and its number of parameters.

    python tests/benchmarks/resnet_step.py [NETWORK] [--size 224] [--batch-size 8] [--stem imagenet]

SGD with momentum on random images, in float32, with one thread an operation and with one a
core. The fastest of several steps counts, and the median is told.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time

import numpy as np
import tensorflow as tf

from automl_cv.catalog.heads import shape_of
from automl_cv.catalog.networks import NETWORKS
from automl_cv.engine.runtime import keras

STEPS = 12


def main() -> None:
    """Measure with the threads asked for, or in a process each with one and with all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network", nargs="?", default="ResNet34", choices=NETWORKS.names)
    parser.add_argument("--size", type=int, default=224, help="height and width, in pixels")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--block", default="full_preactivation")
    parser.add_argument("--stem", default="imagenet")
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--threads", type=int, help="of an operation; without it 1, then all cores")
    options = parser.parse_args()
    if options.threads is None:
        for threads in sorted({1, os.cpu_count() or 1}):
            command = [sys.executable, __file__, *sys.argv[1:], "--threads", str(threads)]
            subprocess.run(command, check=True)
        return
    # The engine sets one thread when it loads; no operation has run yet.
    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    entry = NETWORKS[options.network]
    given = {"block": options.block, "stem": options.stem, "width": options.width}
    shape = (options.size, options.size, 3)
    model = entry.load()(shape, options.classes, **shape_of(entry.completed(given)))
    weights = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    optimizer = keras.optimizers.SGD(0.01, momentum=0.9)
    optimizer.build(model.trainable_variables)

    @tf.function(jit_compile=False)
    def step(pixels, labels):
        with tf.GradientTape() as tape:
            logits = model(pixels, training=True)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
            loss = tf.reduce_mean(losses)
        variables = model.trainable_variables
        optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    draw = np.random.default_rng(0)
    pixels = tf.constant(draw.uniform(0, 255, (options.batch_size, *shape)), tf.float32)
    labels = tf.constant(draw.integers(0, options.classes, options.batch_size), tf.int32)
    step(pixels, labels).numpy()  # traces
    seconds = []
    for _ in range(STEPS):
        started = time.perf_counter()
        loss = float(step(pixels, labels))
        seconds.append(time.perf_counter() - started)
    assert np.isfinite(loss)
    print(
        f"{options.network}, {options.block}, {options.stem} stem, width {options.width:g}: "
        f"{weights:,} trainable parameters; {options.batch_size} images of {options.size} px, "
        f"{options.threads} thread(s) an operation: {min(seconds):.2f} s a step "
        f"(median {statistics.median(seconds):.2f})"
    )


if __name__ == "__main__":
    main()
