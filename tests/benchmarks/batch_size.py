"""What images at once are the fastest on this processor, beside the fixed number of them.

    python tests/benchmarks/batch_size.py [BACKBONE …] [--engines tensorflow …] [--rounds 3]

`extraction.py`'s images and callers: the same number of images in each turn, in batches of 8 to 64;
the sizes take turns. Prints milliseconds of the processor an image, the least of the rounds, and
the ratio to batches of `extract.BATCH_SIZE`: the processor's time, not the wall's, since others use
the cores.
"""

from __future__ import annotations

import argparse
import os
import time
from concurrent.futures import ThreadPoolExecutor

from extraction import network_of, pictures

SIZES = (8, 16, 32, 64)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("backbones", nargs="*", default=["EfficientNetLite0"])
    parser.add_argument("--engines", nargs="*", default=["tensorflow"])
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    from automl_cv.catalog.engines import ENGINES, FLOAT32
    from automl_cv.engine.extract import BATCH_SIZE

    cores = os.cpu_count() or 1
    for name in asked.backbones:
        network = network_of(name)
        pixels = pictures(max(SIZES), network.input_shape[1])
        for engine in asked.engines:
            calls = {size: ENGINES[engine].compile(network, size, FLOAT32) for size in SIZES}
            best: dict[int, float] = {}
            with ThreadPoolExecutor(cores) as pool:
                for number in range(asked.rounds + 1):
                    for size, call in calls.items():
                        batches = [pixels[:size]] * (cores * max(SIZES) // size)
                        spent = time.process_time()
                        list(pool.map(call, batches))
                        spent = 1000 * (time.process_time() - spent) / (cores * max(SIZES))
                        if number:  # the first round traces and warms up
                            best[size] = min(spent, best.get(size, spent))
            for size, spent in best.items():
                ratio = best[BATCH_SIZE] / spent
                print(f"{name}, {engine}, {size} at once: {spent:.1f} ms, {ratio:.2f}", flush=True)


if __name__ == "__main__":
    main()
