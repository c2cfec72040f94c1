"""What each backbone of the table costs and gives: a row of docs/backbones.md for each.

    python tests/benchmarks/backbone_speed.py [NAME …] [--batches 4]

Weights are drawn at random: time and widths do not depend on them. An image is one of a batch of
16 at the backbone's own size, through preprocessing, network and pooling, compiled, as extraction
runs it. The figure is processor time, all threads together, of the quickest batch: other programs
on the machine hardly change it. Divide by the cores for what extraction takes; decoding and
resizing are not in it. Blocks are "rectified" where no number of their maps
is below zero for any of the images, "linear" where some are.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from automl_cv.engine import runtime  # noqa: F401, decides how TensorFlow loads

BATCH_SIZE = 16


def row(name: str, n_batches: int) -> str:
    """Build a backbone, run it, and return its row."""
    import keras

    from automl_cv.catalog.backbones import BACKBONES
    from automl_cv.engine import backbone as backbones

    keras.utils.set_random_seed(0)
    entry = BACKBONES[name]
    size = entry.image_size
    network = backbones.unweighted(entry, size)
    ends = backbones.block_outputs(entry, network)
    blocks = keras.Model(network.input, ends)
    whole = backbones.on_pixels(blocks, entry.preprocessing, size, backbones.pool)
    call = backbones.compile_calls(whole, BATCH_SIZE)
    draw = np.random.default_rng(0)
    pixels = draw.uniform(0, 255, (BATCH_SIZE, size, size, 3)).astype(np.float32)
    side = size if entry.patch else min(size, 64)
    small = backbones.on_pixels(blocks, entry.preprocessing, side, lambda maps: maps)
    maps = keras.tree.flatten(small(pixels[:4, :side, :side]))
    lowest = [one.numpy().min() for one in maps]
    kinds = "".join("r" if one >= 0 else "l" for one in lowest)
    call(pixels)
    seconds = []
    for _ in range(n_batches):
        start = time.process_time()
        call(pixels)
        seconds.append(time.process_time() - start)
    milliseconds = 1000 * min(seconds) / BATCH_SIZE
    widths = [vectors.shape[-1] for vectors in whole.outputs]
    megabytes = network.count_params() * 4 / 1e6
    return (
        f"| `{name}` | {size} | {len(ends)} ({kinds}) | {sum(widths):,} / {widths[-1]:,} "
        f"| {entry.weights.licence} | {megabytes:.1f} | {milliseconds:.1f} |"
    )


def main() -> None:
    """Print the rows."""
    from automl_cv.catalog.backbones import BACKBONES

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=BACKBONES.names)
    parser.add_argument("--batches", type=int, default=4)
    options = parser.parse_args()
    print("| name | size | blocks | numbers, all / last | licence | MB | processor ms an image |")
    print("|---|---|---|---|---|---|---|")
    for name in options.names:
        print(row(name, options.batches), flush=True)


if __name__ == "__main__":
    main()
