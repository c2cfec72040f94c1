"""Residual blocks: one builder for the five orders of layers that He et al. compare.

The orders are those of "Identity Mappings in Deep Residual Networks", 2016
(https://arxiv.org/abs/1603.05027), figure 4 a to e. A block has two convolutions of 3x3, or,
as a bottleneck, 1x1, 3x3 and 1x1 (He et al. 2015, https://arxiv.org/abs/1512.03385, figure 5).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from keras import layers

BOTTLENECK_EXPANSION = 4  # He et al. 2015, table 1: 64, 64, 256
SQUEEZE_RATIO = 0.25  # Bello et al. 2021: tensorflow/tpu, models/official/resnet/resnet_rs/configs


@dataclass(frozen=True)
class Order:
    """Where BatchNorm ("bn") and ReLU ("relu") stand in a block.

    Between two convolutions both stand in every order, and a block that changes the shape has
    a 1x1 convolution on its shortcut, with a BatchNorm of its own where one ends the residual.

    Args:
        first: before the first convolution. Then a 1x1 convolution on the shortcut reads what
            comes out here (the authors' code, KaimingHe/resnet-1k-layers), and the last block
            of a network is followed by both (appendix).
        last: after the last convolution.
        after_sum: after the sum of shortcut and residual.
    """

    first: tuple[str, ...]
    last: tuple[str, ...]
    after_sum: tuple[str, ...]


ORDERS = {
    "original": Order(first=(), last=("bn",), after_sum=("relu",)),
    "bn_after_addition": Order(first=(), last=(), after_sum=("bn", "relu")),
    "relu_before_addition": Order(first=(), last=("bn", "relu"), after_sum=()),
    "relu_only_preactivation": Order(first=("relu",), last=("bn",), after_sum=()),
    "full_preactivation": Order(first=("bn", "relu"), last=(), after_sum=()),
}


@dataclass(frozen=True)
class Style:
    """What all blocks of a network have in common.

    The gammas of all BatchNorms start at 1, as those of He et al.; Bello's code starts the
    last one of an "original" block at 0, which orders that end otherwise have no place for.

    Args:
        block: a key of `ORDERS`.
        bottleneck: whether a block has three convolutions, and four times as many channels
            at its end.
        squeeze_excitation: whether each block weighs its residual's channels.
        momentum: of BatchNorm's stored statistics. 0.9, with the epsilon, is that of
            fb.resnet.torch, torchvision (there called 0.1) and tensorflow/tpu. Keras's 0.99
            would need some hundreds of steps, which small data sets don't have.
        epsilon: likewise.
        initializer: of convolutions; He et al. draw from a normal distribution of
            variance 2 / inputs (https://arxiv.org/abs/1502.01852).
    """

    block: str = "full_preactivation"
    bottleneck: bool = False
    squeeze_excitation: bool = False
    momentum: float = 0.9
    epsilon: float = 1e-5
    initializer: str = "he_normal"

    @property
    def order(self) -> Order:
        """The order of layers in each block."""
        return ORDERS[self.block]


def residual_block(
    x, filters: int, stride: int, name: str, style: Style, *, drop: float = 0.0, bare: bool = False
):
    """Add a residual block.

    Args:
        x: the tensor the block continues, shape (batch, height, width, channels).
        filters: channels of its 3x3 convolutions.
        stride: height and width shrink by it, in the first 3x3 convolution. He et al. 2015
            have it in a bottleneck's first 1x1, which skips three quarters of the pixels;
            torchvision and Bello et al. have it in the 3x3.
        name: prefix of the block's layer names.
        style: what all blocks of the network have in common.
        drop: how often training leaves out an image's residual (stochastic depth).
        bare: leave out what stands before the first convolution, since x is activated already.

    Returns:
        The block's output, shape (batch, ceil(height / stride), ceil(width / stride), filters,
        or four times as many of a bottleneck).
    """
    convolutions = [(3, filters, stride), (3, filters, 1)]
    if style.bottleneck:
        end = BOTTLENECK_EXPANSION * filters
        convolutions = [(1, filters, 1), (3, filters, stride), (1, end, 1)]
    channels = convolutions[-1][1]
    order = style.order
    shortcut = x
    residual = x if bare else follow(x, order.first, f"{name}_preact_{{}}", style)
    if stride != 1 or x.shape[-1] != channels:
        shortcut = convolve(residual, channels, 1, stride, f"{name}_projection", style=style)
        norm = [kind for kind in order.last if kind == "bn"]
        shortcut = follow(shortcut, norm, f"{name}_projection_{{}}", style)
    for number, (kernel, width, step) in enumerate(convolutions, start=1):
        if number > 1:
            residual = follow(residual, ("bn", "relu"), f"{name}_{{}}{number}", style)
        residual = convolve(residual, width, kernel, step, f"{name}_conv{number}", style=style)
    residual = follow(residual, order.last, f"{name}_last_{{}}", style)
    if style.squeeze_excitation:
        residual = _squeeze_and_excite(residual, name, style)
    if drop > 0:
        # One draw an image: stochastic depth (https://arxiv.org/abs/1603.09382), scaled in
        # training as in Bello's code. Its random state is one of the model's `variables`.
        residual = layers.Dropout(drop, noise_shape=(None, 1, 1, 1), name=f"{name}_depth")(residual)
    total = layers.Add(name=f"{name}_add")([shortcut, residual])
    return follow(total, order.after_sum, f"{name}_out_{{}}", style)


def convolve(x, filters: int, kernel: int, stride: int, name: str, *, style: Style):
    """Add a convolution without biases, which the BatchNorms around it make useless."""
    return layers.Conv2D(
        filters,
        kernel,
        strides=stride,
        padding="same",
        use_bias=False,
        kernel_initializer=style.initializer,
        name=name,
    )(x)


def follow(x, kinds: Sequence[str], name: str, style: Style):
    """Add BatchNorms and ReLUs in the order given; `{}` in the name becomes "bn" or "relu"."""
    for kind in kinds:
        if kind == "bn":
            layer = layers.BatchNormalization(
                momentum=style.momentum, epsilon=style.epsilon, name=name.format(kind)
            )
        else:
            layer = layers.ReLU(name=name.format(kind))
        x = layer(x)
    return x


def _squeeze_and_excite(x, name: str, style: Style):
    """Weigh channels by what the whole image holds (https://arxiv.org/abs/1709.01507)."""
    channels = x.shape[-1]
    squeezed = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_squeeze")(x)
    for number, (width, activation) in enumerate(
        ((max(1, int(channels * SQUEEZE_RATIO)), "relu"), (channels, "sigmoid")), start=1
    ):
        squeezed = layers.Conv2D(
            width,
            1,
            activation=activation,
            kernel_initializer=style.initializer,
            name=f"{name}_excite{number}",
        )(squeezed)
    return layers.Multiply(name=f"{name}_weigh")([x, squeezed])
