"""What can run a frozen backbone to make features: TensorFlow, or another runtime if installed."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from automl_cv.errors import UserError, installing
from automl_cv.registry import Entry, Table
from automl_cv.words import listed

AUTO = "auto"
"""Whatever suits the images and this machine, decided when a run begins."""

TENSORFLOW = "tensorflow"
FLOAT32, BFLOAT16, FLOAT16 = "float32", "bfloat16", "float16"


@dataclass(frozen=True, kw_only=True)
class EngineEntry(Entry):
    """An engine; its target is a function (network, batch_size, precision) -> call.

    The network is a Keras model of `engine.backbone.build`. `call` takes float32 pixels, shape
    (up to batch_size, height, width, 3), and returns a list of float32 arrays, shape (images,
    width), in the order of the network's outputs. Threads share it, a core each: one call may
    take one core. UserError where this machine can't compute in the precision.

    Args:
        needs: packages beyond automl-cv's own, as they are imported.
        extra: of `pyproject.toml`, which brings them.
        precisions: types that it can compute in.
        worthwhile: 224 × 224 pixels of so many images from which on "auto" takes it: converting
            a network takes a while. 0 for always.
        speed: ResNet50's images a second beside TensorFlow's, measured with AVX-512 and without
            (docs/benchmarks.md). Of several "auto" takes the fastest on its kind of processor.
    """

    needs: tuple[str, ...] = ()
    extra: str = ""
    precisions: tuple[str, ...] = (FLOAT32,)
    worthwhile: int = 0
    speed: tuple[float, float] = (1.0, 1.0)

    @property
    def missing(self) -> tuple[str, ...]:
        """Packages of `needs` that are not installed. Imports none of them."""
        return tuple(name for name in self.needs if importlib.util.find_spec(name) is None)

    @property
    def versions(self) -> dict[str, str]:
        """Versions of what it is installed from, by package; of TensorFlow others tell."""
        return {name: metadata.version(name) for name in self.needs if name not in self.missing}

    def check_precision(self, precision: str) -> None:
        """Raise a ValueError where it has no such precision."""
        if precision not in self.precisions:
            able = listed([one.name for one in ENGINES if precision in one.precisions])
            raise ValueError(
                f"precision: the engine {self.name!r} computes in {listed(self.precisions)}; "
                f"{precision!r} is of {able}"
            )

    def compile(self, network: Any, batch_size: int, precision: str) -> Any:
        """Return the call, see the class.

        Raises:
            UserError: a package is missing, or the machine can't compute in this precision.
        """
        if self.missing:
            raise UserError(
                f"backbone.engine: {self.name!r} needs {', '.join(self.missing)}, not installed; "
                f"{installing(self.extra)}, or take {TENSORFLOW!r}"
            )
        return self.load()(network, batch_size, precision)


ENGINES: Table[EngineEntry] = Table(
    "engine",
    [
        EngineEntry(
            name="openvino",
            about="OpenVINO: processors of Intel and AMD",
            target="automl_cv.engine.openvino_calls:compile_calls",
            needs=("openvino",),
            extra="openvino",
            precisions=(FLOAT32, BFLOAT16),
            worthwhile=2000,
            speed=(1.31, 1.07),
        ),
        EngineEntry(
            name="onnxruntime",
            about="ONNX Runtime",
            target="automl_cv.engine.onnx_calls:compile_calls",
            needs=("onnxruntime", "onnx", "tf2onnx"),
            extra="export",
            worthwhile=10_000,
            speed=(1.21, 1.32),
        ),
        EngineEntry(
            name=TENSORFLOW,
            about="TensorFlow, which is always there, on GPUs too",
            target="automl_cv.engine.backbone:compile_calls",
            precisions=(FLOAT32, FLOAT16),
        ),
    ],
)
