"""Runs a frozen network in OpenVINO."""

from __future__ import annotations

import threading

import keras
import numpy as np

from automl_cv.catalog.engines import BFLOAT16, FLOAT32
from automl_cv.engine.backbone import Calls, on_full_batches, traced
from automl_cv.errors import UserError
from automl_cv.features.cache import Matrix
from automl_cv.processors import cores

# What OpenVINO calls them.
PRECISIONS = {FLOAT32: ("f32", "FP32"), BFLOAT16: ("bf16", "BF16")}


def compile_calls(network: keras.Model, batch_size: int, precision: str) -> Calls:
    """Compile a network; see `catalog.engines.EngineEntry`.

    Raises:
        UserError: the processor can't compute in this precision. OpenVINO would take float32
            without a word.
    """
    import openvino

    core = openvino.Core()
    hint, capability = PRECISIONS[precision]
    if capability not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise UserError(
            f"backbone.precision: this processor can't compute in {precision} (AVX-512 or AMX "
            f"with BF16 does); leave it out for {FLOAT32}"
        )
    converted = openvino.convert_model(traced(network, batch_size))
    # Of more than ten outputs OpenVINO sorts the names: Identity, Identity_1, Identity_10.
    order = sorted(range(len(converted.outputs)), key=lambda place: _number(converted, place))
    threads = cores()
    # A thread each call, as in TensorFlow: an image's features do not depend on the cores.
    compiled = core.compile_model(
        converted,
        "CPU",
        {
            "INFERENCE_PRECISION_HINT": hint,
            "NUM_STREAMS": threads,
            "INFERENCE_NUM_THREADS": threads,
        },
    )
    own = threading.local()

    def call(pixels: np.ndarray) -> list[Matrix]:
        if not hasattr(own, "request"):
            own.request = compiled.create_infer_request()
        own.request.infer([pixels], share_inputs=True)
        # The arrays are the request's own, and overwritten by the next call.
        return [np.array(own.request.get_output_tensor(place).data) for place in order]

    return on_full_batches(call, (batch_size, *network.input_shape[1:]))


def _number(converted: object, place: int) -> int:
    """Return which output of the network one of the converted network is."""
    name: str = converted.outputs[place].get_any_name()  # type: ignore[attr-defined]
    return int(name.partition(":")[0].partition("_")[2] or 0)
