"""Resizing in exported graphs is TensorFlow's, whatever operations it is made of."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from tests.later import later

with later():
    import keras
    import tensorflow as tf

    from automl_cv.engine import export_graphs

needs_onnx = pytest.mark.skipif(
    importlib.util.find_spec("onnxruntime") is None or importlib.util.find_spec("tf2onnx") is None,
    reason="no onnxruntime or tf2onnx",
)

# Smaller and larger than what they become, long and narrow, one pixel.
SIZES = [(16, 12), (1, 1), (5, 40), (61, 90), (300, 7), (31, 33)]
CLOSE = 0.005  # of 255; TensorFlow's own rounding


def expected(pictures):
    floats = tf.cast(pictures, tf.float32)
    return tf.image.resize(floats, (16, 12), "bilinear", antialias=True).numpy()


def drawn(size):
    return np.random.default_rng(0).integers(0, 256, (2, *size, 3), np.uint8)


@pytest.mark.parametrize("size", SIZES)
def test_two_products_are_tensorflows_resizing(size):
    found = export_graphs.ProductResizing(16, 12)(drawn(size)).numpy()
    np.testing.assert_allclose(found, expected(drawn(size)), atol=CLOSE)


def test_rows_of_a_photograph_of_any_size_sum_to_one():
    for old in (1, 2, 12000):
        rows = export_graphs.triangles(tf.constant(old), 224).numpy()
        assert rows.shape == (224, old) and rows.min() >= 0
        np.testing.assert_allclose(rows.sum(axis=1), 1, atol=1e-4)


@needs_onnx
# Keras's export to ONNX itself still calls what TensorFlow and NumPy deprecate.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_onnx_has_the_exact_gelu_of_transformers(tmp_path):
    import onnxruntime

    inputs = keras.Input((3,))
    network = keras.Model(inputs, keras.layers.Activation("gelu")(inputs))
    export_graphs.write(network, "onnx", tmp_path / "gelu.onnx", opset_version=export_graphs.OPSET)
    session = onnxruntime.InferenceSession(
        (tmp_path / "gelu.onnx").read_bytes(), providers=["CPUExecutionProvider"]
    )
    values = np.linspace(-6, 6, 300, dtype=np.float32).reshape(-1, 3)
    (found,) = session.run(None, {session.get_inputs()[0].name: values})
    np.testing.assert_allclose(found, network(values), atol=1e-6)


@needs_onnx
def test_onnx_has_tensorflows_resizing():
    import onnxruntime

    graph = export_graphs._onnx_resize(16, 12, ir_version=8)
    session = onnxruntime.InferenceSession(
        graph.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    for size in SIZES:
        (found,) = session.run(None, {"pixels": drawn(size)})
        np.testing.assert_allclose(found, expected(drawn(size)), atol=CLOSE)
