"""Residual networks trained from scratch, and the layout of the embedded backbone.

Depths and widths are those of He et al. 2015 (https://arxiv.org/abs/1512.03385), table 1; for
the order of layers in a block see `blocks`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import keras
from keras import layers

from automl_cv.engine.blocks import Style, convolve, follow, residual_block

WIDTHS = (64, 128, 256, 512)  # of the 3x3 convolutions in each stage: He et al. 2015, table 1


@dataclass(frozen=True)
class Layout:
    """The depth of a network.

    Args:
        name: of the model.
        blocks: residual blocks in each stage.
        bottleneck: whether they are bottlenecks.
    """

    name: str
    blocks: tuple[int, ...]
    bottleneck: bool = False


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """What the entries of `catalog.networks` let a study choose.

    Args:
        block: order of the layers in a block, a key of `blocks.ORDERS`.
        stem: a key of `STEMS`.
        width: what all numbers of channels are multiplied by.
        stochastic_depth: how often training leaves the last block's residual out of an image;
            from the first block on it rises in a line up to there, as in Huang et al. 2016
            (Bello's code rises stage by stage).
        squeeze_excitation: whether each block weighs its channels.
        dropout: share of the pooled features that a training step leaves out.
    """

    block: str
    stem: str
    width: float
    stochastic_depth: float
    squeeze_excitation: bool
    dropout: float


def build(
    layout: Layout, input_shape: tuple[int, int, int], classes: int, **parameters
) -> keras.Model:
    """Build a network with first weights, drawn from Keras's seed as it stands.

    So are the seeds of stochastic depth and dropout; how far their random numbers have come is
    kept in the model's `variables` (not in its `weights`).

    Args:
        layout: the depth.
        input_shape: height, width and channels of the images.
        classes: number of classes.
        parameters: fields of `Parameters`, all of them.

    Returns:
        A model from float32 pixels in [0, 255], shape (batch, height, width, channels), to
        float32 logits, shape (batch, classes), under mixed precision too.
    """
    given = Parameters(**parameters)
    style = Style(given.block, layout.bottleneck, given.squeeze_excitation)
    widths = [scaled(filters, given.width) for filters in WIDTHS]
    pixels = keras.Input(input_shape, name="pixels")
    # In float32 whatever the policy: half precision has no room for 255 and fractions.
    x = layers.Rescaling(1 / 127.5, offset=-1.0, dtype="float32", name="scaling")(pixels)
    x = STEMS[given.stem](x, widths[0], style)
    x = _stages(x, layout.blocks, widths, style, drop=given.stochastic_depth, stem_activates=True)
    x = layers.GlobalAveragePooling2D(name="pooled")(x)
    if given.dropout > 0:
        x = layers.Dropout(given.dropout, name="dropout")(x)
    logits = layers.Dense(classes, dtype="float32", name="logits")(x)
    return keras.Model(pixels, logits, name=layout.name)


# Simon, Rodner and Denzler 2016, arXiv 1612.01452: ResNet-18 with one block a stage.
resnet10 = partial(build, Layout("resnet10", (1, 1, 1, 1)))
resnet18 = partial(build, Layout("resnet18", (2, 2, 2, 2)))
resnet34 = partial(build, Layout("resnet34", (3, 4, 6, 3)))
resnet50 = partial(build, Layout("resnet50", (3, 4, 6, 3), bottleneck=True))
resnet101 = partial(build, Layout("resnet101", (3, 4, 23, 3), bottleneck=True))
resnet152 = partial(build, Layout("resnet152", (3, 8, 36, 3), bottleneck=True))


def scaled(filters: int, width: float) -> int:
    """Return a number of channels times the width multiplier, rounded, at least 1."""
    return max(1, round(filters * width))


def small_image_resnet(
    widths: Sequence[int], blocks: Sequence[int], name: str, channels: int = 3
) -> keras.Model:
    """Build the embedded backbone: a headless full pre-activation ResNet for small images.

    It differs from the table's networks where weights were trained so: the stem is a bare
    convolution, which the first block normalises for its residual alone; BatchNorm and first
    weights are Keras's defaults.

    Args:
        widths: filters of each stage; each stage after the first halves height and width.
        blocks: number of residual blocks in each stage, as many as `widths`.
        name: name of the model.
        channels: channels of the input image.

    Returns:
        A model from images, shape (batch, height, width, channels), to the last
        block's normalised and rectified output, layer `post_relu`.
    """
    style = Style(momentum=0.99, epsilon=1e-3, initializer="glorot_uniform")
    inputs = keras.Input((None, None, channels), name="image")
    x = convolve(inputs, widths[0], 3, 1, "stem_conv", style=style)
    x = _stages(x, blocks, widths, style, drop=0.0, stem_activates=False)
    return keras.Model(inputs, x, name=name)


def _stages(
    x, blocks: Sequence[int], widths: Sequence[int], style: Style, *, drop: float, stem_activates
):
    """Add all blocks, and after pre-activation blocks BatchNorm and ReLU (2016, appendix).

    Where the stem ends in BatchNorm and ReLU, these are the first block's, before its paths
    part (likewise).
    """
    total, number = sum(blocks), 0
    for stage, (filters, count) in enumerate(zip(widths, blocks, strict=True), start=1):
        for block in range(1, count + 1):
            number += 1
            x = residual_block(
                x,
                filters,
                2 if stage > 1 and block == 1 else 1,
                f"stage{stage}_block{block}",
                style,
                drop=drop * number / total,
                bare=stem_activates and number == 1,
            )
    return follow(x, ("bn", "relu"), "post_{}", style) if style.order.first else x


def _imagenet_stem(x, filters: int, style: Style):
    """Add the published stem: height and width shrink to a quarter."""
    x = convolve(x, filters, 7, 2, "stem_conv", style=style)
    x = follow(x, ("bn", "relu"), "stem_{}", style)
    return layers.MaxPooling2D(3, strides=2, padding="same", name="stem_pool")(x)


def _resnet_d_stem(x, filters: int, style: Style):
    """Add ResNet-D's stem (https://arxiv.org/abs/1812.01187): 3x3 three times for 7x7."""
    half = max(1, filters // 2)
    for number, (width, stride) in enumerate(((half, 2), (half, 1), (filters, 1)), start=1):
        x = convolve(x, width, 3, stride, f"stem_conv{number}", style=style)
        x = follow(x, ("bn", "relu"), f"stem_{{}}{number}", style)
    return layers.MaxPooling2D(3, strides=2, padding="same", name="stem_pool")(x)


def _small_stem(x, filters: int, style: Style):
    """Add the stem of the papers' CIFAR networks, which keeps height and width."""
    x = convolve(x, filters, 3, 1, "stem_conv", style=style)
    return follow(x, ("bn", "relu"), "stem_{}", style)


STEMS = {"imagenet": _imagenet_stem, "small": _small_stem, "resnet_d": _resnet_d_stem}
