"""Loads exported graphs in the runtimes that they are for, to see what they give there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

Run = Callable[[np.ndarray], list[np.ndarray]]
"""Takes what the graph takes, (batch, height, width, 3); returns what it gives, in the runtime's
own order: probabilities, float32 (batch, classes), and distances, (batch, 1), where it has them."""


def savedmodel(path: Path) -> Run:
    """Load a SavedModel in TensorFlow; Keras has no part in it."""
    # The object owns the variables: a function that outlives it can't be called.
    loaded = tf.saved_model.load(str(path))
    return lambda batch: [one.numpy() for one in tf.nest.flatten(loaded.serve(batch))]


def onnx(path: Path) -> Run:
    """Load an ONNX file in ONNX Runtime, on the processor."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    return lambda batch: session.run(None, {given.name: batch})


def litert(path: Path) -> Run:
    """Load a LiteRT file in its interpreter."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path))
    (given,), results = interpreter.get_input_details(), interpreter.get_output_details()

    def run(batch: np.ndarray) -> list[np.ndarray]:
        interpreter.resize_tensor_input(given["index"], batch.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(given["index"], batch)
        interpreter.invoke()
        return [interpreter.get_tensor(result["index"]) for result in results]

    return run


def openvino(path: Path) -> Run:
    """Load an OpenVINO file in its runtime, on the processor."""
    import openvino as runtime

    # Left to itself, OpenVINO may calculate in less than float32: differences of 0.002 were
    # measured, and 4e-7 with this. They say nothing of the file.
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = runtime.Core().compile_model(str(path), "CPU", exact)

    def run(batch: np.ndarray) -> list[np.ndarray]:
        found = compiled(batch)
        return [found[number] for number in range(len(compiled.outputs))]

    return run
