"""Operations of TensorFlow that tf2onnx 1.17 does not know; it does once this is imported."""

from __future__ import annotations

from typing import Any

import numpy as np
from tf2onnx.handler import tf_op


@tf_op("Erfc")
class Erfc:
    """1 - erf(x), which TensorFlow's exact GELU has."""

    @classmethod
    def version_9(cls, ctx: Any, node: Any, **unused: Any) -> None:
        """Replace the node; ONNX has Erf from version 9 on."""
        (output,) = node.output
        shape, number = ctx.get_shape(output), ctx.get_dtype(output)
        ctx.remove_node(node.name)
        erf = ctx.make_node("Erf", list(node.input), shapes=[shape], dtypes=[number])
        one = ctx.make_const(f"{node.name}_one", np.array(1, np.float32)).output[0]
        ctx.make_node(
            "Sub", [one, erf.output[0]], outputs=[output], shapes=[shape], dtypes=[number]
        )
