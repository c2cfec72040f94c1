"""Trains the embedded backbone `compact`; run once, its result is committed.

    python -m automl_cv.engine.pretraining FASHION_MNIST_DIR --out compact.weights.h5

FASHION_MNIST_DIR holds the four IDX files of Fashion-MNIST (Xiao, Rasul and
Vollgraf 2017, https://arxiv.org/abs/1708.07747, MIT licence), as Debian's
package `dataset-fashion-mnist` installs them. Only the 60,000 training images
are trained on; the 10,000 test images give the accuracy that is printed.

Images are altered so that the features serve other images than clothes:
moved, turned and scaled; blurred to a lower resolution; tinted and inverted,
since the network sees colour photographs but learns from grey ones. They are
never mirrored: which way a shape faces is kept as information.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from automl_cv.catalog.datasets import read_idx
from automl_cv.engine.resnet import small_image_resnet

IMAGE_SIZE = 32
WIDTHS = (24, 48, 96, 192)
BLOCKS = (1, 1, 1, 1)
BATCH_SIZE = 128
PEAK_LEARNING_RATE = 0.1
WEIGHT_DECAY = 5e-4  # with SGD, momentum 0.9 and this rate: He et al. 2016, section 5 and appendix

# Bounds of the alterations; shifts and scales are fractions of the image's side.
MAX_ROTATION = math.radians(15)
MAX_SHIFT = 0.125
SCALE = (0.8, 1.2)
RESOLUTIONS = (8, 12, 16, 32)  # pixels the image is reduced to before it is enlarged again
INVERTED_SHARE = 0.25


def build() -> keras.Model:
    """Return the untrained `compact` network: (batch, 32, 32, 3) in [-1, 1] to feature maps."""
    return small_image_resnet(WIDTHS, BLOCKS, name="compact")


def alter(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Move, blur, tint and invert a batch of grey images at random.

    Args:
        images: float32 in [0, 1], shape (batch, 32, 32, 1).
        seed: int32, shape (2,); the same seed gives the same alteration.

    Returns:
        float32 in [-1, 1], shape (batch, 32, 32, 3).
    """
    count = tf.shape(images)[0]
    seeds = tf.random.split(seed, 6)
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=_affine_transforms(count, seeds[0]),
        output_shape=(IMAGE_SIZE, IMAGE_SIZE),
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )
    choice = tf.random.stateless_uniform((), seeds[1], 0, len(RESOLUTIONS), tf.int32)
    resolution = tf.gather(tf.constant(RESOLUTIONS), choice)
    blurred = tf.image.resize(moved, (resolution, resolution), method="area")
    blurred = tf.image.resize(blurred, (IMAGE_SIZE, IMAGE_SIZE), method="bilinear")
    gain = tf.random.stateless_uniform((count, 1, 1, 3), seeds[2], 0.5, 1.0)
    offset = tf.random.stateless_uniform((count, 1, 1, 3), seeds[3], 0.0, 1.0) * (1.0 - gain)
    tinted = blurred * gain + offset
    inverted = tf.random.stateless_uniform((count, 1, 1, 1), seeds[4]) < INVERTED_SHARE
    return tf.where(inverted, 1.0 - tinted, tinted) * 2.0 - 1.0


def _affine_transforms(count: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Draw rotation, scale and shift about the centre: (count, 8), as the TensorFlow op wants."""
    draws = tf.random.stateless_uniform((count, 4), seed, -1.0, 1.0)
    angle = draws[:, 0] * MAX_ROTATION
    low, high = SCALE
    scale = (low + high) / 2 + draws[:, 1] * (high - low) / 2
    shift_x, shift_y = (draws[:, axis] * MAX_SHIFT * IMAGE_SIZE for axis in (2, 3))
    centre = (IMAGE_SIZE - 1) / 2
    a, b = tf.cos(angle) / scale, -tf.sin(angle) / scale
    c, d = -b, a
    zero = tf.zeros_like(a)
    return tf.stack(
        [
            *(a, b, centre - a * centre - b * centre + shift_x),
            *(c, d, centre - c * centre - d * centre + shift_y),
            *(zero, zero),
        ],
        axis=1,
    )


def training_batches(images: np.ndarray, labels: np.ndarray, epochs: int, seed: int):
    """Return a tf.data pipeline of altered batches; its order depends on `seed` alone."""
    steps = len(images) // BATCH_SIZE
    pixels, targets = tf.constant(images), tf.constant(labels)

    def batch(step, chosen):
        grey = tf.cast(tf.gather(pixels, chosen), tf.float32)[..., tf.newaxis] / 255.0
        altered = alter(grey, tf.stack([seed, tf.cast(step, tf.int32)]))
        return altered, tf.gather(targets, chosen)

    order = tf.data.Dataset.range(len(images)).shuffle(len(images), seed=seed).repeat(epochs)
    chosen = order.batch(BATCH_SIZE, drop_remainder=True).enumerate()
    return chosen.map(batch, num_parallel_calls=1).prefetch(8), steps


def load_images(folder: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Read one split, "train" or "t10k".

    Returns:
        Images padded with black, uint8 (n, 32, 32), and labels, int32 (n,).
    """
    images = read_idx(folder / f"{split}-images-idx3-ubyte.gz")
    labels = read_idx(folder / f"{split}-labels-idx1-ubyte.gz")
    margin = (IMAGE_SIZE - images.shape[1]) // 2
    return np.pad(images, ((0, 0), (margin, margin), (margin, margin))), labels.astype(np.int32)


def train(folder: Path, out: Path, epochs: int, seed: int) -> float:
    """Train `compact` as a classifier, write its headless weights, return the test accuracy."""
    keras.utils.set_random_seed(seed)
    backbone = build()
    pooled = keras.layers.GlobalAveragePooling2D()(backbone.output)
    classifier = keras.Model(backbone.input, keras.layers.Dense(10)(pooled))
    images, labels = load_images(folder, "train")
    batches, steps = training_batches(images, labels, epochs, seed)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, steps * epochs - steps, warmup_target=PEAK_LEARNING_RATE, warmup_steps=steps
    )
    classifier.compile(
        keras.optimizers.SGD(schedule, momentum=0.9, nesterov=True, weight_decay=WEIGHT_DECAY),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=False,
    )
    test_images, test_labels = load_images(folder, "t10k")
    test_pixels = np.repeat(test_images[..., np.newaxis] / np.float32(127.5) - 1, 3, axis=-1)
    classifier.fit(
        batches,
        steps_per_epoch=steps,
        epochs=epochs,
        validation_data=(test_pixels, test_labels),
        validation_batch_size=500,
        verbose=2,
    )
    accuracy = classifier.evaluate(test_pixels, test_labels, batch_size=500, verbose=0)[1]
    backbone.save_weights(out)
    return accuracy


def main() -> None:
    """Read the command line, train, print the accuracy on the 10,000 test images."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder of Fashion-MNIST's IDX files")
    parser.add_argument("--out", type=Path, required=True, help="the .weights.h5 file to write")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    accuracy = train(options.folder, options.out, options.epochs, options.seed)
    print(f"Fashion-MNIST test accuracy {accuracy:.4f}; weights in {options.out}")


if __name__ == "__main__":
    main()
