"""Vision transformers (Dosovitskiy et al. 2020) of Keras's own layers, with DINOv2's weights.

The network is that of dinov2/models/vision_transformer.py (Oquab et al. 2023, Apache-2.0): a class
token before the patches, positions added to all, blocks that normalise first. What DINOv2 has
beside, a factor behind each half of a block (LayerScale), is multiplied into the weights before it:
(Wx + b) g = (Wg) x + bg.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from automl_cv.features import torchfile

EPSILON = 1e-6
WIDER = 4
"""How much wider than a token the hidden layer of a block is."""
UNUSED = {"mask_token"}
"""Tensors of the file that training alone needs."""
OFFSET = 0.1
"""What `interpolate_pos_encoding` of DINOv2 adds to the number of patches of a side."""
SHARPNESS = -0.75
"""The coefficient of PyTorch's cubic convolution (Keys 1981 has -0.5): UpSample.h."""


def build(*, image_size: int, patch: int, width: int, depth: int, heads: int) -> keras.Model:
    """Return a network with random weights, from images to tokens.

    Args:
        image_size: height and width of the images, in pixels; a multiple of `patch`.
        patch: height and width of a patch, in pixels.
        width: numbers of a token.
        depth: blocks.
        heads: of each attention.

    Returns:
        A headless model whose output is the normalised tokens, shape
        (batch, 1 + patches, width), the class token first.
    """
    images = keras.Input((image_size, image_size, 3), name="images")
    patches = (image_size // patch) ** 2
    x = layers.Conv2D(width, patch, patch, name="patches")(images)
    x = layers.Reshape((patches, width), name="tokens")(x)
    # The class token is a zero that gets its numbers with its position.
    x = layers.ZeroPadding1D((1, 0), name="class_token")(x)
    places = ops.cumsum(ops.ones_like(ops.sum(x, axis=-1), dtype="int32"), axis=1) - 1
    positions = layers.Embedding(1 + patches, width, name="positions")(places)
    x = layers.Add(name="placed")([x, positions])
    for number in range(1, depth + 1):
        x = _block(x, f"block{number}", width, heads)
    x = layers.LayerNormalization(epsilon=EPSILON, name="norm")(x)
    return keras.Model(images, x, name="vision_transformer")


def load_weights(network: keras.Model, path: Path) -> None:
    """Put the weights of a file of DINOv2 into a network of `build`.

    Args:
        network: gets them. Positions are interpolated to its patches as DINOv2 does.
        path: a dict of tensors that PyTorch saved.

    Raises:
        ValueError: it holds other tensors, or anything but tensors.
        OSError: it can't be read.
    """
    tensors = torchfile.read(path)
    left = set(tensors) - UNUSED
    for layer in network.layers:
        if not layer.weights:
            continue
        own = _Tensors(tensors, left)
        values = _values(layer, own)
        for value, weight in zip(values, layer.weights, strict=True):
            if value.shape != weight.shape:
                raise ValueError(
                    f"{layer.name}: the tensors give a weight of shape {value.shape}, "
                    f"not {weight.shape}"
                )
        layer.set_weights(values)
    if left:
        raise ValueError(f"a tensor that the network has no place for: {min(left)}")


def _block(x: Any, name: str, width: int, heads: int) -> Any:
    """Add a block: attention, then two dense layers, each beside a shortcut."""
    normalised = layers.LayerNormalization(epsilon=EPSILON, name=f"{name}_norm1")(x)
    attention = layers.MultiHeadAttention(heads, width // heads, name=f"{name}_attention")
    x = layers.Add(name=f"{name}_attended")([x, attention(normalised, normalised)])
    hidden = layers.LayerNormalization(epsilon=EPSILON, name=f"{name}_norm2")(x)
    hidden = layers.Dense(WIDER * width, activation="gelu", name=f"{name}_mlp1")(hidden)
    hidden = layers.Dense(width, name=f"{name}_mlp2")(hidden)
    return layers.Add(name=f"{name}_end")([x, hidden])


class _Tensors:
    """Tensors by name, which notes those that were taken.

    Args:
        tensors: of the file.
        left: names that nothing has taken yet.
    """

    def __init__(self, tensors: Mapping[str, np.ndarray], left: set[str]) -> None:
        self._tensors = tensors
        self._left = left

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._tensors:
            raise ValueError(f"no tensor {name}")
        self._left.discard(name)
        return self._tensors[name]

    def scaled(self, name: str, scale: str) -> tuple[np.ndarray, np.ndarray]:
        """Return weight, (outputs, inputs), and bias of a linear layer with a factor behind it."""
        factor = self[scale]
        return factor[:, None] * self[f"{name}.weight"], factor * self[f"{name}.bias"]


def _values(layer: layers.Layer, tensors: _Tensors) -> list[np.ndarray]:
    """Return the weights of a layer, in Keras's order and shapes."""
    if layer.name == "patches":
        # (outputs, inputs, height, width)
        kernel = tensors["patch_embed.proj.weight"].transpose(2, 3, 1, 0)
        return [kernel, tensors["patch_embed.proj.bias"]]
    if layer.name == "positions":
        (own,), (first,) = tensors["cls_token"], tensors["pos_embed"]
        side = math.isqrt(layer.input_dim - 1)
        return [np.concatenate([own + first[:1], interpolated(first[1:], side)])]
    if layer.name == "norm":
        return [tensors["norm.weight"], tensors["norm.bias"]]
    block, _, part = layer.name.removeprefix("block").partition("_")
    name = f"blocks.{int(block) - 1}"
    if part == "attention":
        return _attention(layer, tensors, name)
    if part == "mlp1":
        return [tensors[f"{name}.mlp.fc1.weight"].T, tensors[f"{name}.mlp.fc1.bias"]]
    if part == "mlp2":
        kernel, bias = tensors.scaled(f"{name}.mlp.fc2", f"{name}.ls2.gamma")
        return [kernel.T, bias]
    return [tensors[f"{name}.{part}.weight"], tensors[f"{name}.{part}.bias"]]


def _attention(layer: layers.MultiHeadAttention, tensors: _Tensors, name: str) -> list[np.ndarray]:
    """Return kernels and biases of query, key, value and output."""
    heads, each = layer.num_heads, layer.key_dim
    width = heads * each
    kernels = tensors[f"{name}.attn.qkv.weight"].reshape(3, width, width)
    biases = tensors[f"{name}.attn.qkv.bias"].reshape(3, heads, each)
    found = []
    for kernel, bias in zip(kernels, biases, strict=True):
        found += [kernel.T.reshape(width, heads, each), bias]
    kernel, bias = tensors.scaled(f"{name}.attn.proj", f"{name}.ls1.gamma")
    return [*found, kernel.T.reshape(heads, each, width), bias]


def interpolated(positions: np.ndarray, side: int) -> np.ndarray:
    """Interpolate the positions of patches to another number of them, as DINOv2 does.

    That is PyTorch's `interpolate(mode="bicubic")`: cubic convolution between the centres of
    patches, the outermost repeated beyond the edge.

    Args:
        positions: float32, shape (patches, width), row by row of a square.
        side: patches of a row that are wanted.

    Returns:
        float32, shape (side * side, width).
    """
    given = math.isqrt(len(positions))
    if given == side:
        return positions
    at = (np.arange(side) + 0.5) * given / (side + OFFSET) - 0.5
    matrix = np.zeros((side, given))
    for tap in range(-1, 3):
        nearest = np.floor(at).astype(int) + tap
        weights = _cubic(np.abs(at - nearest))
        np.add.at(matrix, (np.arange(side), np.clip(nearest, 0, given - 1)), weights)
    square = positions.reshape(given, given, -1)
    found = np.einsum("ya,xb,abc->yxc", matrix, matrix, square, optimize=True)
    return found.reshape(side * side, -1).astype(np.float32)


def _cubic(distance: np.ndarray) -> np.ndarray:
    """Return the weights of cubic convolution at distances of 0 to 2 (Keys 1981)."""
    near = ((SHARPNESS + 2) * distance - (SHARPNESS + 3)) * distance**2 + 1
    far = ((SHARPNESS * distance - 5 * SHARPNESS) * distance + 8 * SHARPNESS) * distance
    return np.where(distance <= 1, near, far - 4 * SHARPNESS)
