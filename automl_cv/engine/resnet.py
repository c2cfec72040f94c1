"""Residual networks of full pre-activation blocks.

The block is variant (e) of He et al., "Identity Mappings in Deep Residual
Networks", 2016 (https://arxiv.org/abs/1603.05027), figure 4: BatchNorm and
ReLU stand before each convolution, nothing stands on the identity path, and
one BatchNorm and ReLU follow the last block.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers


def preactivation_block(x, filters: int, stride: int, name: str):
    """Add one two-layer 3x3 residual block of the full pre-activation kind.

    Args:
        x: the tensor the block continues, shape (batch, height, width, channels).
        filters: channels of the block's output.
        stride: step of the first convolution; height and width shrink by it.
        name: prefix of the block's layer names.

    Returns:
        The sum of shortcut and residual, not yet normalised, shape
        (batch, ceil(height / stride), ceil(width / stride), filters).
    """
    preactivated = layers.BatchNormalization(name=f"{name}_preact_bn")(x)
    preactivated = layers.ReLU(name=f"{name}_preact_relu")(preactivated)
    if stride != 1 or x.shape[-1] != filters:
        # The projection reads the pre-activated tensor, as in the paper's
        # section 4.1: a bare x would reach the sum without normalisation.
        shortcut = layers.Conv2D(
            filters, 1, strides=stride, use_bias=False, name=f"{name}_projection"
        )(preactivated)
    else:
        shortcut = x
    residual = layers.Conv2D(
        filters, 3, strides=stride, padding="same", use_bias=False, name=f"{name}_conv1"
    )(preactivated)
    residual = layers.BatchNormalization(name=f"{name}_bn2")(residual)
    residual = layers.ReLU(name=f"{name}_relu2")(residual)
    residual = layers.Conv2D(filters, 3, padding="same", use_bias=False, name=f"{name}_conv2")(
        residual
    )
    return layers.Add(name=f"{name}_add")([shortcut, residual])


def small_image_resnet(
    widths: Sequence[int],
    blocks: Sequence[int],
    name: str,
    channels: int = 3,
) -> keras.Model:
    """Build a headless ResNet whose stem keeps the resolution (3x3, stride 1).

    The stem of the paper's CIFAR networks: images of 32 pixels are too small
    for the 7x7 stride-2 stem and the pooling of the ImageNet networks.

    Args:
        widths: filters of each stage; each stage after the first halves height and width.
        blocks: number of residual blocks in each stage, as many as `widths`.
        name: name of the model.
        channels: channels of the input image.

    Returns:
        A model from images, shape (batch, height, width, channels), to the last
        block's normalised and rectified output, layer `post_relu`.
    """
    inputs = keras.Input((None, None, channels), name="image")
    x = layers.Conv2D(widths[0], 3, padding="same", use_bias=False, name="stem_conv")(inputs)
    for stage, (filters, count) in enumerate(zip(widths, blocks, strict=True), start=1):
        for block in range(1, count + 1):
            stride = 2 if stage > 1 and block == 1 else 1
            x = preactivation_block(x, filters, stride, f"stage{stage}_block{block}")
    x = layers.BatchNormalization(name="post_bn")(x)
    x = layers.ReLU(name="post_relu")(x)
    return keras.Model(inputs, x, name=name)
