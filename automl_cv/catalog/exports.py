"""The forms in which a saved classifier can be exported for other runtimes."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Any

from automl_cv.errors import UserError, installing
from automl_cv.registry import Entry, Table, load

EXTRA = "export"
"""Installs all that exporting needs."""


@dataclass(frozen=True, kw_only=True)
class ExportEntry(Entry):
    """A form; its target is a function (path) -> run, which loads a file in its own runtime.

    `run` takes what the exported graph takes, shape (batch, height, width, 3), and returns a list
    of what it gives: float32 probabilities, shape (batch, classes), and distances, (batch, 1), of
    a classifier that knows foreign images; in the order that the runtime has.

    Args:
        keras_format: what `keras.Model.export` calls it.
        files: what is written; the first is what a runtime is given.
        writer: "package.module:attribute", a function (model, keras_format, path) that writes the
            graph, resizing in it. What the default writes, all runtimes have.
        needs: packages beyond automl-cv's own, as they are imported; to write it and to run it.
    """

    keras_format: str
    files: tuple[str, ...]
    writer: str = "automl_cv.engine.export_graphs:with_products"
    needs: tuple[str, ...] = ()

    def load_writer(self) -> Any:
        """Import and return the function that writes the graph."""
        return load(self.writer)

    @property
    def missing(self) -> tuple[str, ...]:
        """Packages of `needs` that are not installed. Imports none of them."""
        return tuple(name for name in self.needs if importlib.util.find_spec(name) is None)

    def check_installed(self) -> None:
        """Raise a UserError where a package is missing."""
        if self.missing:
            packages = f"the packages {', '.join(self.missing)}, which are"
            if len(self.missing) == 1:
                packages = f"the package {self.missing[0]}, which is"
            raise UserError(
                f"--format {self.name}: needs {packages} not installed; {installing(EXTRA)}"
            )


EXPORTS: Table[ExportEntry] = Table(
    "format",
    [
        ExportEntry(
            name="savedmodel",
            about="TensorFlow, TensorFlow Serving",
            target="automl_cv.engine.export_runtimes:savedmodel",
            keras_format="tf_saved_model",
            files=("saved_model",),
            writer="automl_cv.engine.export_graphs:as_it_is",
        ),
        ExportEntry(
            name="onnx",
            about="ONNX Runtime and whatever else reads ONNX",
            target="automl_cv.engine.export_runtimes:onnx",
            keras_format="onnx",
            files=("model.onnx",),
            writer="automl_cv.engine.export_graphs:with_onnx_resize",
            needs=("tf2onnx", "onnx", "onnxruntime"),
        ),
        ExportEntry(
            name="litert",
            about="LiteRT (TensorFlow Lite): telephones, small computers",
            target="automl_cv.engine.export_runtimes:litert",
            keras_format="litert",
            files=("model.tflite",),
            needs=("ai_edge_litert",),
        ),
        ExportEntry(
            name="openvino",
            about="OpenVINO: processors of Intel",
            target="automl_cv.engine.export_runtimes:openvino",
            keras_format="openvino",
            files=("model.xml", "model.bin"),
            needs=("openvino",),
        ),
    ],
)
