"""How TensorFlow is set up in a worker process; imported before anything else of the engine.

Head training takes one thread: a second makes it slower, since the matrices are
small, and with one the numbers do not depend on how many workers share the
machine. Work that gains from more cores (extraction) calls TensorFlow from
several Python threads instead.
"""

from __future__ import annotations

import os

import keras as keras  # the search room takes it from here
import numpy as np
import tensorflow as tf


def configure() -> None:
    """Set threads and GPU memory; does nothing once TensorFlow has run an operation."""
    try:
        tf.config.threading.set_intra_op_parallelism_threads(1)
        for device in tf.config.list_physical_devices("GPU"):
            # Otherwise the first process takes the whole card (tensorflow#36465).
            tf.config.experimental.set_memory_growth(device, True)
    except RuntimeError:
        # The caller's program has used TensorFlow before us: its settings stand.
        pass
    tf.get_logger().setLevel("ERROR")


def versions() -> dict[str, str]:
    """Return the versions that decide numbers, by package."""
    return {"tensorflow": tf.__version__, "keras": keras.__version__, "numpy": np.__version__}


def as_tensor(array: np.ndarray) -> tf.Tensor:
    """Return an array as a tensor; a memory-mapped one is shared, not copied.

    Args:
        array: any shape and type that TensorFlow knows; it must not change afterwards.
    """
    path = _whole_file(array)
    if path is not None:
        # DLPack wants a writable buffer; "c" gives one whose changes would stay private.
        # tf.constant would copy: 100,000 images of 2,048 features are 0.8 GB a process.
        assert isinstance(array, np.memmap)
        private = np.memmap(path, array.dtype, mode="c", offset=array.offset, shape=array.shape)
        return tf.experimental.dlpack.from_dlpack(np.asarray(private).__dlpack__())
    return tf.constant(array)


def _whole_file(array: np.ndarray) -> str | None:
    """Return the file of a map that reaches to its end; None for anything else.

    A slice of a map keeps its parent's offset, so mapping it anew would give other rows.
    """
    if not isinstance(array, np.memmap) or array.filename is None or array.size == 0:
        return None
    reaches_end = os.path.getsize(array.filename) == array.offset + array.nbytes
    return str(array.filename) if reaches_end and array.flags.c_contiguous else None


configure()
