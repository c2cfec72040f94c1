"""A backbone compiled for another engine or precision, once it gives what TensorFlow gives."""

from __future__ import annotations

import keras
import numpy as np

from automl_cv.catalog.engines import BFLOAT16, ENGINES, FLOAT16, FLOAT32, TENSORFLOW
from automl_cv.engine.backbone import Calls
from automl_cv.errors import UserError

# Largest difference in the numbers of a block, as a share of the largest of them. float32: what
# rounding in another order comes to is below 1e-5 (docs/benchmarks.md). bfloat16 has 8 bits, so
# each layer adds up to 0.004; this finds what is wrong, not what is coarse. float16 has 11.
TOLERANCES = {FLOAT32: 1e-4, BFLOAT16: 0.1, FLOAT16: 0.02}


class Unsuited(Exception):
    """An engine can't run a network, or gives something else; says why in one line."""


def compile_compared(
    network: keras.Model,
    batch_size: int,
    engine: str,
    precision: str,
    pixels: np.ndarray,
    *,
    tolerance: float | None = None,
) -> Calls:
    """Compile a network for an engine, and compare it with TensorFlow in float32.

    Args:
        network: of `backbone.build`.
        batch_size: images of a full batch.
        engine: an entry of the table of engines.
        precision: one of the entry's.
        pixels: of images that features are wanted of, float32 in [0, 255], shape (up to
            batch_size, height, width, 3).
        tolerance: as TOLERANCES, which None takes.

    Raises:
        Unsuited: it does not convert, or its numbers differ by more than that.
        UserError: a package is missing, or the machine can't compute in this precision.
    """
    what = engine if precision == FLOAT32 else f"{engine} in {precision}"
    try:
        call: Calls = ENGINES[engine].compile(network, batch_size, precision)
        found = call(pixels)
    except UserError:
        raise
    except Exception as error:  # of converters and runtimes, anything
        said = (str(error).strip() or type(error).__name__).split("\n")[0]
        raise Unsuited(f"{what} can't run it ({said[:200]})") from error
    # Not in full batches: a GPU that holds one in half precision may not in float32.
    expected = ENGINES[TENSORFLOW].compile(network, len(pixels), FLOAT32)(pixels)
    off = max(map(_relative, found, expected)) if len(found) == len(expected) else np.inf
    tolerance = TOLERANCES[precision] if tolerance is None else tolerance
    if not off <= tolerance:
        raise Unsuited(
            f"{what} gives other features than TensorFlow, by up to {off:.2g} of the largest "
            f"(at most {tolerance:g} is rounding)"
        )
    return call


def _relative(found: np.ndarray, expected: np.ndarray) -> float:
    """Return the largest difference, as a share of the largest number that is expected."""
    if found.shape != expected.shape:
        return float("inf")
    # Where all is 0, so must be what is found.
    largest = max(float(np.abs(expected).max()), float(np.finfo(np.float32).tiny))
    return float(np.abs(found - expected).max()) / largest
