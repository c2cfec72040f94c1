"""How TensorFlow is set up, whichever module of the engine is imported first."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.exhaustive
@pytest.mark.slow
def test_one_thread_an_operation_in_prediction():
    """It was not so, since nothing that prediction imports set it."""
    code = (
        "import automl_cv.engine.prediction, tensorflow as tf\n"
        "print(tf.config.threading.get_intra_op_parallelism_threads())"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"
