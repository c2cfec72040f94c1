"""The preprocessing of the table, as parts of a graph that a saved network holds."""

from __future__ import annotations

import keras
from keras import layers

# Means of ImageNet's training images in blue, green and red
# (keras/src/applications/imagenet_utils.py).
IMAGENET_MEANS = (103.939, 116.779, 123.68)

# Of red, green and blue from 0 to 1; same place.
TORCH_MEANS = (0.485, 0.456, 0.406)
TORCH_DEVIATIONS = (0.229, 0.224, 0.225)


def caffe(pixels: keras.KerasTensor) -> keras.KerasTensor:
    """Put the channels in the order blue, green, red, and take ImageNet's means off."""
    flipped = keras.ops.flip(pixels, axis=-1)
    return layers.Normalization(mean=IMAGENET_MEANS, variance=(1.0, 1.0, 1.0))(flipped)


def tf(pixels: keras.KerasTensor) -> keras.KerasTensor:
    """Scale 0 … 255 to -1 … 1."""
    return layers.Rescaling(1 / 127.5, offset=-1.0)(pixels)


def torch(pixels: keras.KerasTensor) -> keras.KerasTensor:
    """Scale 0 … 255 to 0 … 1, take ImageNet's means off, divide by its standard deviations."""
    means = [255 * mean for mean in TORCH_MEANS]
    variances = [(255 * deviation) ** 2 for deviation in TORCH_DEVIATIONS]
    return layers.Normalization(mean=means, variance=variances)(pixels)


def lite(pixels: keras.KerasTensor) -> keras.KerasTensor:
    """Take 127 off and divide by 128.

    MEAN_RGB and STDDEV_RGB of TensorFlow's efficientnet/lite/efficientnet_lite_builder.py.
    """
    return layers.Rescaling(1 / 128, offset=-127 / 128)(pixels)


def unchanged(pixels: keras.KerasTensor) -> keras.KerasTensor:
    """Leave pixels as they are."""
    return pixels
