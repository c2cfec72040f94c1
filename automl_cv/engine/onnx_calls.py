"""Runs a frozen network in ONNX Runtime."""

from __future__ import annotations

import tempfile
from pathlib import Path

import keras
import numpy as np

from automl_cv.engine import export_graphs
from automl_cv.engine.backbone import Calls, on_full_batches
from automl_cv.features.cache import Matrix


def compile_calls(network: keras.Model, batch_size: int, precision: str) -> Calls:
    """Compile a network; see `catalog.engines.EngineEntry`."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # A thread each call, as in TensorFlow: an image's features do not depend on the cores.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        export_graphs.write(network, "onnx", path)
        session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
    (given,) = session.get_inputs()

    def call(pixels: np.ndarray) -> list[Matrix]:
        return session.run(None, {given.name: pixels})

    return on_full_batches(call, (batch_size, *network.input_shape[1:]))
