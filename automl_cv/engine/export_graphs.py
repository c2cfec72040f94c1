"""Writes a classifier's graph for another runtime, with whatever resizes images there.

TensorFlow's antialiased resizing (ScaleAndTranslate) has no counterpart in tf2onnx 1.17, LiteRT
2.3 and OpenVINO 2026.4. ONNX has one of its own. Elsewhere the same is two products with matrices
that the graph makes from the image's shape; docs/models.md has what was measured of each.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from automl_cv.engine import saved_network

PIXELS, RESIZED = "pixels", "resized"

OPSET = 18  # of ONNX, from which Resize can antialias


class ProductResizing(layers.Layer):
    """Resizing as TensorFlow does it, bilinear and antialiased, of operations that all have.

    Within 0.006 of TensorFlow's, of 255, which is what the rounding of that comes to. For
    exported graphs alone: saved classifiers hold Keras's own layers.

    Args:
        height: of the result, in pixels.
        width: of the result, in pixels.
    """

    def __init__(self, height: int, width: int) -> None:
        super().__init__(dtype="float32", name=RESIZED)
        self._height, self._width = height, width

    def call(self, pixels):
        """Return float32 (batch, height, width, 3) of uint8 images of any size."""
        batch, height, width, channels = tf.unstack(tf.shape(pixels))
        # Rows first, all columns and channels side by side: one large product in place of many.
        rows = tf.reshape(tf.cast(pixels, tf.float32), [batch, height, width * channels])
        fewer = tf.matmul(triangles(height, self._height)[None], rows)
        columns = tf.reshape(fewer, [batch, self._height, width, channels])
        resized = tf.matmul(triangles(width, self._width)[None, None], columns)
        return tf.reshape(resized, [batch, self._height, self._width, 3])

    def compute_output_shape(self, input_shape):
        """Return the shape of what `call` returns."""
        return (input_shape[0], self._height, self._width, 3)


def triangles(old: tf.Tensor, new: int) -> tf.Tensor:
    """Return what each new pixel takes of each old one along a side, rows of sum 1.

    A triangle around the new pixel's centre, as wide as two pixels, of the old ones or the new,
    whichever are larger. Distances are whole numbers, in units of 1 / (2 × old × new) of the
    side: a runtime that calculates in 16-bit floats would lose places beyond a few hundred
    pixels. They hold as long as 2 × old × new is below 2**31.

    Args:
        old: pixels along the side, an integer.
        new: pixels along the side of the result.

    Returns:
        float32, (new, old).
    """
    apart = (2 * tf.range(old) + 1)[None] * new - (2 * tf.range(new) + 1)[:, None] * old
    reach = 2 * tf.maximum(old, new)
    near = tf.maximum(reach - tf.maximum(apart, -apart), 0)
    shares = tf.cast(near, tf.float32) / tf.cast(reach, tf.float32)
    return shares / tf.reduce_sum(shares, axis=1, keepdims=True)


def as_it_is(model: keras.Model, keras_format: str, path: Path) -> None:
    """Write a graph that resizes with TensorFlow's own operation.

    Args:
        model: as `saved_network.load` returns it.
        keras_format: what `keras.Model.export` calls the form.
        path: of the first of its files.
    """
    write(model, keras_format, path)


def with_products(model: keras.Model, keras_format: str, path: Path) -> None:
    """Write a graph that resizes with two matrix products; arguments as of `as_it_is`."""
    behind = saved_network.from_resized(model)
    _, height, width, _ = behind.input_shape
    pixels = keras.Input((None, None, 3), dtype="uint8", name=PIXELS)
    probabilities = behind(ProductResizing(height, width)(pixels), training=False)
    write(keras.Model(pixels, probabilities, name="classifier"), keras_format, path)


def with_onnx_resize(model: keras.Model, keras_format: str, path: Path) -> None:
    """Write a graph that resizes with ONNX's own operation; arguments as of `as_it_is`."""
    import onnx
    import onnx.compose

    behind = saved_network.from_resized(model)
    write(_fixed(behind, RESIZED), keras_format, path, opset_version=OPSET)
    network = onnx.load(path)
    _, height, width, _ = behind.input_shape
    front = _onnx_resize(height, width, network.ir_version)
    joined = onnx.compose.merge_models(
        front, network, io_map=[(front.graph.output[0].name, RESIZED)], name="classifier"
    )
    onnx.save(joined, path)


def fixed(model: keras.Model, keras_format: str, path: Path) -> None:
    """Write a graph that begins behind resizing; arguments as of `as_it_is`."""
    write(_fixed(saved_network.from_resized(model), PIXELS), keras_format, path)


def _fixed(behind: keras.Model, name: str) -> keras.Model:
    pixels = keras.Input(behind.input_shape[1:], dtype="float32", name=name)
    return keras.Model(pixels, behind(pixels, training=False), name="classifier")


def write(graph: keras.Model, keras_format: str, path: Path, **options: Any) -> None:
    """Have Keras write a graph as it is.

    Args:
        graph: its constants are made such that converters know them as constants.
        keras_format: what `keras.Model.export` calls the form.
        path: of the first of its files.
        **options: of the form.
    """
    if keras_format == "onnx":
        from automl_cv.engine import onnx_operations  # noqa: F401, tells tf2onnx of them
    _hold_constants(graph)
    given = graph.inputs[0]
    # Keras refuses to export to ONNX what was never called.
    graph(np.zeros([size or 1 for size in given.shape], given.dtype), training=False)
    graph.export(str(path), format=keras_format, verbose=False, **options)


def _hold_constants(model: keras.Model) -> None:
    """Turn means and variances that are no variables into constants of the graph.

    Tensors would be captured by the traced function, and tf2onnx makes inputs of captures.
    """
    for layer in model._flatten_layers(include_self=False):
        if isinstance(layer, layers.Normalization):
            layer.mean, layer.variance = np.asarray(layer.mean), np.asarray(layer.variance)


def _onnx_resize(height: int, width: int, ir_version: int) -> Any:
    """Return an ONNX model from uint8 (batch, any, any, 3) to float32 (batch, height, width, 3)."""
    from onnx import TensorProto, helper

    nodes = [
        # Of bytes, Resize makes bytes.
        helper.make_node("Cast", [PIXELS], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["floats"], ["channels"], perm=[0, 3, 1, 2]),
        # Naming the two axes instead is refused by ONNX Runtime 1.32 behind a Transpose.
        helper.make_node("Shape", ["channels"], ["batch_and_channels"], start=0, end=2),
        helper.make_node("Concat", ["batch_and_channels", "size"], ["sizes"], axis=0),
        helper.make_node(
            "Resize",
            ["channels", "", "", "sizes"],
            ["smaller"],
            mode="linear",
            coordinate_transformation_mode="half_pixel",
            antialias=1,
            # Else the edge counts again for what lies beyond it: up to 19 of 255 off.
            exclude_outside=1,
        ),
        helper.make_node("Transpose", ["smaller"], ["resized_pixels"], perm=[0, 2, 3, 1]),
    ]
    shape: list[str | int | None] = ["batch", "height", "width", 3]
    done: list[str | int | None] = ["batch", height, width, 3]
    graph = helper.make_graph(
        nodes,
        "resizing",
        [helper.make_tensor_value_info(PIXELS, TensorProto.UINT8, shape)],
        [helper.make_tensor_value_info("resized_pixels", TensorProto.FLOAT, done)],
        [helper.make_tensor("size", TensorProto.INT64, [2], [height, width])],
    )
    opset = helper.make_opsetid("", OPSET)
    return helper.make_model(graph, opset_imports=[opset], ir_version=ir_version)
