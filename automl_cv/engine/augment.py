"""Views of images: seeded alterations of pixels, cached or drawn anew in each epoch.

What happens to an image is drawn from a hash of the seed, the image's content, the number of
the view and the name of the operation. So a view depends on nothing else: neither order nor
company in a batch, threads nor library versions.

Drawing (`draw`, NumPy) is apart from altering (`alter`, TensorFlow): what is drawn are a few
numbers an image, that tf.data or a traced loop take as inputs. All moves of an image are one
warp, so that its pixels are interpolated once. Places beyond the edge show the nearest pixel,
as Keras's `ImageDataGenerator` had it: mirrored edges, the default of Keras's layers, draw a
second copy of the object there.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from automl_cv.catalog.augmentations import Augmentation

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Change:
    """What happens to each image of a batch.

    Args:
        moves: float64 (images, 3, 3), from a place in the altered image to the place that it
            shows, both as (x, y, 1) with the origin in the centre and sides of length 1.
        gain: float64 (images,), what pixels are multiplied by.
        lift: float64 (images,), how much of the image's mean colour is added to them.
        recolours: whether some operation works on colours at all. Where none does, `alter`
            saves that step for every image, so that a view never depends on its company.
    """

    moves: Numbers
    gain: Numbers
    lift: Numbers
    recolours: bool = False

    def then(self, other: Change) -> Change:
        """Return the change of this one, followed by another."""
        return Change(
            moves=self.moves @ other.moves,
            gain=self.gain * other.gain,
            # The mean that the second change sees is (gain + lift) times the first one's.
            lift=self.lift * other.gain + (self.gain + self.lift) * other.lift,
            recolours=self.recolours or other.recolours,
        )

    def transforms(self, size: int) -> NDArray[np.float32]:
        """Return the moves as `alter` takes them.

        Args:
            size: height and width of the images, in pixels.

        Returns:
            float32 (images, 8): the first two rows of the moves in pixels, then two zeros.
        """
        rows = self.moves[:, :2].copy()
        # The origin goes to the centre of the first pixel. At identity and mirror this is
        # exact, so that such images come out as they were, to the bit.
        centre = (size - 1) / 2
        rows[:, :, 2] = rows[:, :, 2] * size + centre - rows[:, :, :2].sum(axis=2) * centre
        flat = rows.reshape(-1, 6).astype(np.float32)
        return np.concatenate([flat, np.zeros((len(flat), 2), np.float32)], axis=1)

    def colours(self) -> NDArray[np.float32] | None:
        """Return gain and lift as `alter` takes them, float32 (images, 2), or None for neither."""
        if not self.recolours:
            return None
        return np.stack([self.gain, self.lift], axis=1).astype(np.float32)


def uniform(seed: int, views: Sequence[str], name: str) -> Numbers:
    """Draw a number of [0, 1) for each view, which depends on its arguments alone.

    A hash rather than a generator, since setting up one of NumPy's for each view takes ten
    times as long, and the operations of TensorFlow take one seed for a whole batch.

    Args:
        seed: of all views.
        views: names of views (see `features.view_name`).
        name: what the number is for; other names give independent numbers.

    Returns:
        float64 (views,).
    """
    digests = (
        hashlib.blake2b(f"{seed}/{name}/{view}".encode(), digest_size=8).digest() for view in views
    )
    bits = np.frombuffer(b"".join(digests), "<u8") >> np.uint64(11)
    numbers: Numbers = bits * np.float64(2.0**-53)
    return numbers


def draw(augmentation: Augmentation, seed: int, views: Sequence[str]) -> Change:
    """Draw what happens to images.

    Args:
        augmentation: operations of level "image"; at least one.
        seed: another seed gives other changes.
        views: names of views (see `features.view_name`), one an image.
    """
    changes = [
        operation.entry.load()(seed, views, **dict(operation.parameters))
        for operation in augmentation.operations
    ]
    return functools.reduce(Change.then, changes)


def alter(pixels: tf.Tensor, transforms: tf.Tensor, colours: tf.Tensor | None = None) -> tf.Tensor:
    """Move and recolour images; runs eagerly, traced, and in tf.data.

    Args:
        pixels: float32 in [0, 255], shape (images, size, size, 3).
        transforms: `Change.transforms`, float32 (images, 8).
        colours: `Change.colours`, float32 (images, 2); None leaves colours as they are.

    Returns:
        float32 in [0, 255], shape (images, size, size, 3).
    """
    moved = keras.ops.image.affine_transform(
        pixels,
        transforms,
        interpolation="bilinear",
        fill_mode="nearest",
        data_format="channels_last",
    )
    if colours is None:
        return moved
    # tf.image and Keras have a function for contrast that takes one factor for all images.
    mean = tf.reduce_mean(moved, axis=(1, 2), keepdims=True)
    gain, lift = (colours[:, place, None, None, None] for place in (0, 1))
    return tf.clip_by_value(moved * gain + mean * lift, 0.0, 255.0)


# The operations of the table.


def horizontal_flip(seed: int, views: Sequence[str], probability: float) -> Change:
    """Mirror left and right, with a probability."""
    mirrored = uniform(seed, views, "horizontal_flip") < probability
    return _mirrored(mirrored)


def zoom(seed: int, views: Sequence[str], fraction: float) -> Change:
    """Enlarge about the centre by a factor of 1 - fraction to 1 + fraction, proportions kept."""
    return _enlarged(fraction * _either_way(seed, views, "zoom"))


def rotation(seed: int, views: Sequence[str], degrees: float) -> Change:
    """Turn about the centre, by up to an angle either way."""
    return _turned(degrees * _either_way(seed, views, "rotation"))


def width_shift(seed: int, views: Sequence[str], fraction: float) -> Change:
    """Move by up to a fraction of the width, either way."""
    return _moved_right(fraction * _either_way(seed, views, "width_shift"))


def height_shift(seed: int, views: Sequence[str], fraction: float) -> Change:
    """Move by up to a fraction of the height, either way."""
    return _moved_down(fraction * _either_way(seed, views, "height_shift"))


def brightness(seed: int, views: Sequence[str], fraction: float) -> Change:
    """Multiply pixels by 1 - fraction to 1 + fraction, as Pillow and torchvision do."""
    return _brightened(fraction * _either_way(seed, views, "brightness"))


def contrast(seed: int, views: Sequence[str], fraction: float) -> Change:
    """Multiply distances from each channel's mean, as `tf.image.adjust_contrast` does."""
    return _contrasted(fraction * _either_way(seed, views, "contrast"))


def rand_augment(seed: int, views: Sequence[str], magnitude: float, operations: int) -> Change:
    """Apply operations drawn for each image, at one strength, in a direction drawn for each.

    RandAugment (https://arxiv.org/abs/1909.13719) on those of its operations that are
    in our table, doing nothing among them, and on zoom. The others (shears, posterize, solarize,
    equalize, sharpness, …) are left out.

    Args:
        seed: of the views.
        views: names of views.
        magnitude: 0 to 10, where 10 are the ranges of `RAND_AUGMENT_RANGES`.
        operations: how many are drawn, one after the other, repeats allowed.
    """
    change = _unchanged(len(views))
    for step in range(operations):
        # One more than there are operations: the last one does nothing.
        choices = len(RAND_AUGMENT_RANGES) + 1
        chosen = np.floor(choices * uniform(seed, views, f"rand_augment {step} operation"))
        direction = np.where(uniform(seed, views, f"rand_augment {step} direction") < 0.5, -1, 1)
        for place, (make, highest) in enumerate(RAND_AUGMENT_RANGES.items()):
            amount = direction * highest * magnitude / 10
            change = change.then(make(np.where(chosen == place, amount, 0.0)))
    return change


def _either_way(seed: int, views: Sequence[str], name: str) -> Numbers:
    return 2 * uniform(seed, views, name) - 1


def _unchanged(images: int) -> Change:
    return Change(np.tile(np.eye(3), (images, 1, 1)), np.ones(images), np.zeros(images))


def _mirrored(mirrored: NDArray[np.bool_]) -> Change:
    change = _unchanged(len(mirrored))
    change.moves[:, 0, 0] = np.where(mirrored, -1.0, 1.0)
    return change


def _enlarged(by: Numbers) -> Change:
    """Enlarge by fractions: 0.5 shows the middle two thirds."""
    change = _unchanged(len(by))
    change.moves[:, 0, 0] = change.moves[:, 1, 1] = 1 / (1 + by)
    return change


def _turned(degrees: Numbers) -> Change:
    """Turn by degrees, clockwise where they are above 0."""
    change = _unchanged(len(degrees))
    angle = np.radians(degrees)
    change.moves[:, 0, 0] = change.moves[:, 1, 1] = np.cos(angle)
    change.moves[:, 0, 1] = np.sin(angle)
    change.moves[:, 1, 0] = -np.sin(angle)
    return change


def _moved_right(by: Numbers) -> Change:
    change = _unchanged(len(by))
    change.moves[:, 0, 2] = -by
    return change


def _moved_down(by: Numbers) -> Change:
    change = _unchanged(len(by))
    change.moves[:, 1, 2] = -by
    return change


def _brightened(by: Numbers) -> Change:
    return replace(_unchanged(len(by)), gain=1 + by, recolours=True)


def _contrasted(by: Numbers) -> Change:
    return replace(_unchanged(len(by)), gain=1 + by, lift=-by, recolours=True)


# What rand_augment draws from, with its amount at magnitude 10: as in AutoAugment
# (https://arxiv.org/abs/1805.09501: translations by 150 of 331 pixels), whose scale
# RandAugment takes over; the zoom's is ours.
RAND_AUGMENT_RANGES: Mapping[Callable[[Numbers], Change], float] = {
    _turned: 30.0,
    _moved_right: 150 / 331,
    _moved_down: 150 / 331,
    _enlarged: 0.5,
    _brightened: 0.9,
    _contrasted: 0.9,
}
