"""Engines for tests: TensorFlow's numbers, a little off or far off, so that one can tell whose.

`target` of an `EngineEntry` names them.
"""

from __future__ import annotations

import numpy as np

NEAR, FAR = f"{__name__}:near", f"{__name__}:far"


def near(network, batch_size, precision):
    """Return calls whose numbers are off by what passes as rounding."""
    return _times(np.float32(1 + 2e-5), network, batch_size, precision)


def far(network, batch_size, precision):
    """Return calls whose numbers are wrong."""
    return _times(2, network, batch_size, precision)


def _times(factor, network, batch_size, precision):
    from automl_cv.engine.backbone import compile_calls

    call = compile_calls(network, batch_size, precision)
    return lambda pixels: [factor * block for block in call(pixels)]
