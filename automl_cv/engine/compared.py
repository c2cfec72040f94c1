"""A backbone compiled for another engine than TensorFlow, once it is seen to give the same."""

from __future__ import annotations

import keras
import numpy as np

from automl_cv.catalog.engines import BFLOAT16, ENGINES, FLOAT32, TENSORFLOW
from automl_cv.engine.backbone import Calls
from automl_cv.errors import UserError

# Largest difference in the numbers of a block, as a share of the largest of them. float32: what
# rounding in another order comes to is below 1e-5 (docs/benchmarks.md). bfloat16 has 8 bits, so
# each layer adds up to 0.004; this finds what is wrong, not what is coarse.
TOLERANCES = {FLOAT32: 1e-4, BFLOAT16: 0.1}


class Unsuited(Exception):
    """An engine can't run a network, or gives something else; says why in one line."""


def compile_compared(
    network: keras.Model, batch_size: int, engine: str, precision: str, pixels: np.ndarray
) -> Calls:
    """Compile a network for an engine, and compare it with TensorFlow.

    Args:
        network: of `backbone.build`.
        batch_size: images of a full batch.
        engine: an entry of the table of engines.
        precision: one of the entry's.
        pixels: of images that features are wanted of, float32 in [0, 255], shape (up to
            batch_size, height, width, 3).

    Raises:
        Unsuited: it does not convert, or its numbers differ by more than TOLERANCES.
        UserError: a package is missing, or the machine can't compute in this precision.
    """
    try:
        call: Calls = ENGINES[engine].compile(network, batch_size, precision)
        found = call(pixels)
    except UserError:
        raise
    except Exception as error:  # of converters and runtimes, anything
        said = (str(error).strip() or type(error).__name__).split("\n")[0]
        raise Unsuited(f"{engine} can't run it ({said[:200]})") from error
    expected = ENGINES[TENSORFLOW].compile(network, batch_size, FLOAT32)(pixels)
    off = max(map(_relative, found, expected)) if len(found) == len(expected) else np.inf
    if not off <= TOLERANCES[precision]:
        raise Unsuited(
            f"{engine} gives other features than TensorFlow, by up to {off:.2g} of the largest "
            f"(at most {TOLERANCES[precision]:g} is rounding)"
        )
    return call


def _relative(found: np.ndarray, expected: np.ndarray) -> float:
    """Return the largest difference, as a share of the largest number that is expected."""
    if found.shape != expected.shape:
        return float("inf")
    # Where all is 0, so must be what is found.
    largest = max(float(np.abs(expected).max()), float(np.finfo(np.float32).tiny))
    return float(np.abs(found - expected).max()) / largest
