"""Loads exported graphs in the runtimes that they are for, to see what they give there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

Run = Callable[[np.ndarray], np.ndarray]
"""Takes what the graph takes, (batch, height, width, 3); returns float32 (batch, classes)."""


def savedmodel(path: Path) -> Run:
    """Load a SavedModel in TensorFlow; Keras has no part in it."""
    # The object owns the variables: a function that outlives it can't be called.
    loaded = tf.saved_model.load(str(path))
    return lambda batch: loaded.serve(batch).numpy()


def onnx(path: Path) -> Run:
    """Load an ONNX file in ONNX Runtime, on the processor."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    return lambda batch: session.run(None, {given.name: batch})[0]


def litert(path: Path) -> Run:
    """Load a LiteRT file in its interpreter."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path))
    (given,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()

    def run(batch: np.ndarray) -> np.ndarray:
        interpreter.resize_tensor_input(given["index"], batch.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(given["index"], batch)
        interpreter.invoke()
        return interpreter.get_tensor(result["index"])

    return run


def openvino(path: Path) -> Run:
    """Load an OpenVINO file in its runtime, on the processor."""
    import openvino as runtime

    # Left to itself, OpenVINO may calculate in less than float32: differences of 0.002 were
    # measured, and 4e-7 with this. They say nothing of the file.
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = runtime.Core().compile_model(str(path), "CPU", exact)
    return lambda batch: compiled(batch)[0]
