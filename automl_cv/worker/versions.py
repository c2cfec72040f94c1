"""Versions of the packages that decide numbers, whether TensorFlow is loaded or not."""

from __future__ import annotations

import sys
from importlib import metadata

import numpy as np


def versions() -> dict[str, str]:
    """Return the versions, by package.

    What is installed says what would be loaded: `engine.runtime.versions` says the same.
    """
    if "tensorflow" not in sys.modules:
        try:
            found = {name: metadata.version(name) for name in ("tensorflow", "keras")}
        except metadata.PackageNotFoundError:
            pass  # TensorFlow has other names too: tensorflow-cpu, tf-nightly
        else:
            return {**found, "numpy": np.__version__}
    from automl_cv.engine import runtime

    return runtime.versions()
