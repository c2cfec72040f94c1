"""What a backbone does to pixels before its first layer: what its weights were trained behind."""

from __future__ import annotations

from automl_cv.registry import Entry, Table

UNCHANGED = "none"
"""Of a network that carries its own preprocessing: a saved model, a newer one of Keras's."""

PREPROCESSINGS: Table[Entry] = Table(
    "preprocessing",
    [
        Entry(
            name="caffe",
            about="channels in the order blue, green, red, less ImageNet's means",
            target="automl_cv.engine.preprocessing:caffe",
        ),
        Entry(
            name="tf",
            about="scaled from 0 … 255 to -1 … 1",
            target="automl_cv.engine.preprocessing:tf",
        ),
        Entry(
            name="torch",
            about="scaled to 0 … 1, less ImageNet's means, divided by its standard deviations",
            target="automl_cv.engine.preprocessing:torch",
        ),
        Entry(
            name="lite",
            about="less 127, divided by 128: about -1 to 1, as EfficientNet-Lite was trained",
            target="automl_cv.engine.preprocessing:lite",
        ),
        Entry(
            name=UNCHANGED,
            about="left as it is, 0 … 255, for a network with its own",
            target="automl_cv.engine.preprocessing:unchanged",
        ),
    ],
)
"""The target is a function (pixels) -> pixels, of Keras's own layers and operations: symbolic
tensors, float32, shape (batch, height, width, 3). It becomes part of a saved network, which is
loaded without automl-cv."""
