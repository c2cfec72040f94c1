"""Views of images: right pixels, drawn from seed, content and number of the view alone."""

from __future__ import annotations

import numpy as np
import pytest

from automl_cv.catalog.augmentations import AUGMENTATIONS, Augmentation, augmentation
from automl_cv.features import view_name
from tests.later import later

with later():
    import tensorflow as tf
    from scipy import ndimage

    from automl_cv.engine import augment

SIZE = 12
IMAGE_LEVEL = [entry.name for entry in AUGMENTATIONS if entry.level == "image"]
ALL = augmentation(dict.fromkeys(IMAGE_LEVEL, True))
ALL_MOVES = augmentation(
    {"horizontal_flip": True, "zoom": 0.3, "rotation": 40, "width_shift": 0.2, "height_shift": 0.1}
)
IDENTITY = np.eye(3)


def pictures(count: int, size: int = SIZE) -> np.ndarray:
    draw = np.random.default_rng(0)
    return draw.uniform(0, 255, (count, size, size, 3)).astype(np.float32)


def names(count: int, view: int = 0) -> list[str]:
    return [view_name(f"image{number}", view) for number in range(count)]


def altered(
    pixels: np.ndarray, augmentation: Augmentation, seed: int, views: list[str]
) -> np.ndarray:
    change = augment.draw(augmentation, seed, views)
    return augment.alter(pixels, change.transforms(pixels.shape[1]), change.colours()).numpy()


def either_way(name: str, view: str) -> float:
    """Return where in -1 … 1 an operation's draw for a view lies."""
    return 2 * float(augment.uniform(0, [view], name)[0]) - 1


def one_by(operation, name: str, amount: float, pixels: np.ndarray) -> np.ndarray:
    """Alter an image by exactly `amount`: the range is such that the draw comes out there."""
    view = next(known for known in names(100) if either_way(name, known) * np.sign(amount) > 0.2)
    change = operation(0, [view], abs(amount / either_way(name, view)))
    return augment.alter(pixels[None], change.transforms(len(pixels)), change.colours()).numpy()[0]


# What is drawn


def test_draws_are_the_same_on_every_machine():
    assert augment.uniform(7, ["0123abcd/2"], "zoom")[0] == 0.9023065927245036


@pytest.mark.parametrize("name", ["zoom", "rand_augment 1 operation"])
def test_draws_are_uniform_and_do_not_hang_together(name):
    count = 10_000
    drawn = augment.uniform(3, names(count), name)
    assert 0 <= drawn.min() and drawn.max() < 1
    found = np.histogram(drawn, bins=20, range=(0, 1))[0]
    # Chi-square of 19 degrees of freedom: 60 is exceeded once in 300,000.
    assert ((found - count / 20) ** 2 / (count / 20)).sum() < 60
    for other in (
        augment.uniform(3, names(count, view=1), name),
        augment.uniform(4, names(count), name),
        augment.uniform(3, names(count), "other"),
        np.roll(drawn, 1),
    ):
        # The deviation of a correlation of nothing is 0.01.
        assert abs(np.corrcoef(drawn, other)[0, 1]) < 0.05


def test_ranges_are_used_up_and_kept():
    change = augment.width_shift(0, names(5000), 0.25)
    shifts = -change.moves[:, 0, 2]
    assert -0.25 <= shifts.min() < -0.249 and 0.249 < shifts.max() < 0.25
    scales = 1 / augment.zoom(0, names(5000), 0.2).moves[:, 0, 0]
    assert 0.8 <= scales.min() < 0.801 and 1.199 < scales.max() <= 1.2
    mirrored = augment.horizontal_flip(0, names(5000), 0.3).moves[:, 0, 0] < 0
    assert abs(mirrored.mean() - 0.3) < 0.035  # five deviations


def test_each_operation_of_rand_augment_is_as_likely_as_doing_nothing():
    change = augment.rand_augment(0, names(7000), magnitude=10, operations=1)
    moves, gain, lift = change.moves, change.gain, change.lift
    kinds = {
        "nothing": (moves == IDENTITY).all(axis=(1, 2)) & (gain == 1) & (lift == 0),
        "right": np.isclose(np.abs(moves[:, 0, 2]), 150 / 331),
        "down": np.isclose(np.abs(moves[:, 1, 2]), 150 / 331),
        "turned": np.isclose(np.abs(moves[:, 0, 1]), 0.5),
        "zoomed": np.isclose(moves[:, 0, 0], 1 / 1.5) | np.isclose(moves[:, 0, 0], 2),
        "brightness": np.isclose(np.abs(gain - 1), 0.9) & (lift == 0),
        "contrast": np.isclose(np.abs(lift), 0.9) & np.isclose(gain + lift, 1),
    }
    for kind, those in kinds.items():
        assert abs(those.sum() - 1000) < 150, kind  # five deviations
    assert sum(those.sum() for those in kinds.values()) == 7000


# What comes of it


def test_the_same_key_gives_the_same_pixels_and_another_gives_others():
    pixels, views = pictures(4), names(4)
    first = altered(pixels, ALL, 5, views)
    np.testing.assert_array_equal(altered(pixels, ALL, 5, views), first)
    for other in (
        altered(pixels, ALL, 6, views),
        altered(pixels, ALL, 5, names(4, view=1)),
    ):
        assert (np.abs(other - first).max(axis=(1, 2, 3)) > 1).all()


def test_a_view_depends_neither_on_order_nor_on_company():
    pixels, views = pictures(9), names(9)
    together = altered(pixels, ALL, 0, views)
    order = [4, 0, 8, 2]
    some = altered(pixels[order], ALL, 0, [views[place] for place in order])
    np.testing.assert_array_equal(some, together[order])
    for place in range(9):
        alone = altered(pixels[place : place + 1], ALL, 0, views[place : place + 1])
        np.testing.assert_array_equal(alone[0], together[place])


def test_an_operation_more_does_not_change_what_the_others_draw():
    views = names(20)
    zoomed = augment.draw(augmentation({"zoom": 0.3}), 0, views)
    both = augment.draw(augmentation({"zoom": 0.3, "brightness": 0.3}), 0, views)
    np.testing.assert_array_equal(both.moves, zoomed.moves)


def test_eager_traced_and_in_a_pipeline_are_the_same():
    pixels = pictures(10)
    change = augment.draw(ALL, 0, names(10))
    inputs = (pixels, change.transforms(SIZE), change.colours())
    eager = augment.alter(*map(tf.constant, inputs)).numpy()
    traced = tf.function(augment.alter, jit_compile=False)(*map(tf.constant, inputs))
    np.testing.assert_array_equal(traced.numpy(), eager)
    pipeline = tf.data.Dataset.from_tensor_slices(inputs).batch(4)
    pipeline = pipeline.map(augment.alter, num_parallel_calls=3)
    batches = list(pipeline.as_numpy_iterator())
    np.testing.assert_array_equal(np.concatenate(batches), eager)


@pytest.mark.parametrize("size", [12, 13, 49])
@pytest.mark.parametrize("name", IMAGE_LEVEL)
def test_ranges_of_zero_leave_every_pixel_as_it_is(name, size):
    entry, pixels = AUGMENTATIONS[name], pictures(5, size)
    parameters = {key: setting.default for key, setting in entry.parameters.items()}
    parameters[next(iter(parameters))] = 0.0
    change = entry.load()(0, names(5), **parameters)
    result = augment.alter(tf.constant(pixels), change.transforms(size), change.colours())
    np.testing.assert_array_equal(result.numpy(), pixels)


@pytest.mark.parametrize("amount", [0.25, -0.25])
def test_shifts_go_right_and_down_by_pixels(amount):
    """A quarter of 12 pixels are 3; what comes in repeats the edge."""
    (pixels,) = pictures(1)
    by, edge = (3, (3, 0)) if amount > 0 else (-3, (0, 3))
    kept = slice(0, 9) if by > 0 else slice(3, 12)
    right = one_by(augment.width_shift, "width_shift", amount, pixels)
    wanted = np.pad(pixels[:, kept], ((0, 0), edge, (0, 0)), mode="edge")
    np.testing.assert_allclose(right, wanted, atol=1e-3)
    down = one_by(augment.height_shift, "height_shift", amount, pixels)
    wanted = np.pad(pixels[kept], (edge, (0, 0), (0, 0)), mode="edge")
    np.testing.assert_allclose(down, wanted, atol=1e-3)


def test_flips_flip():
    pixels = pictures(3)
    flipped = altered(pixels, augmentation({"horizontal_flip": 1.0}), 0, names(3))
    np.testing.assert_array_equal(flipped, pixels[:, :, ::-1])


def test_turning_goes_clockwise_about_the_centre():
    (pixels,) = pictures(1)
    for degrees, quarters in ((90, -1), (-90, 1), (180, 2)):
        turned = one_by(augment.rotation, "rotation", degrees, pixels)
        np.testing.assert_allclose(turned, np.rot90(pixels, quarters), atol=1e-2)


def test_zooming_keeps_the_centre():
    (pixels,) = pictures(1)
    smaller = one_by(augment.zoom, "zoom", -0.5, pixels)
    halved = pixels.reshape(6, 2, 6, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(smaller[3:9, 3:9], halved, atol=1e-2)
    np.testing.assert_allclose(
        one_by(augment.zoom, "zoom", 1.0, smaller)[1:-1, 1:-1],
        ndimage.zoom(smaller[3:9, 3:9], (2, 2, 1), order=1, grid_mode=True, mode="nearest")[
            1:-1, 1:-1
        ],
        atol=1e-2,
    )


def test_moves_of_many_operations_are_one_warp():
    """SciPy's warp of the same matrix; its coordinates are (row, column)."""
    pixels = pictures(6, 20)
    views = names(6)
    transforms = augment.draw(ALL_MOVES, 0, views).transforms(20).astype(np.float64)
    for image, transform, result in zip(
        pixels, transforms, altered(pixels, ALL_MOVES, 0, views), strict=True
    ):
        a, b, x, c, d, y = transform[:6]
        for channel in range(3):
            wanted = ndimage.affine_transform(
                image[..., channel], [[d, c], [b, a]], offset=(y, x), order=1, mode="nearest"
            )
            np.testing.assert_allclose(result[..., channel], wanted, atol=0.05)


def test_the_centre_of_the_picture_is_where_the_shifts_put_it():
    """Shifts come last: zoom and rotation neither enlarge nor turn them."""
    views = names(20)
    change = augment.draw(ALL_MOVES, 0, views)
    right = 0.2 * (2 * augment.uniform(0, views, "width_shift") - 1)
    down = 0.1 * (2 * augment.uniform(0, views, "height_shift") - 1)
    places = np.stack([right, down, np.ones(20)], axis=1)[:, :, None]
    np.testing.assert_allclose((change.moves @ places)[:, :2], 0, atol=1e-12)


def test_recolouring_twice_is_as_one_after_the_other():
    pixels, views = pictures(5) / 4 + 60, names(5)  # so that nothing is cut off
    both = augmentation({"brightness": 0.2, "contrast": 0.2})
    once = altered(pixels, both, 0, views)
    bright = altered(pixels, augmentation({"brightness": 0.2}), 0, views)
    twice = altered(bright, augmentation({"contrast": 0.2}), 0, views)
    np.testing.assert_allclose(once, twice, atol=1e-2)


@pytest.mark.parametrize("amount", [-0.6, 0.4])
def test_brightness_multiplies_and_contrast_is_tensorflows(amount):
    (pixels,) = pictures(1)
    bright = one_by(augment.brightness, "brightness", amount, pixels)
    np.testing.assert_allclose(bright, np.clip(pixels * (1 + amount), 0, 255), atol=1e-2)
    wanted = np.clip(tf.image.adjust_contrast(pixels, 1 + amount), 0, 255)
    changed = one_by(augment.contrast, "contrast", amount, pixels)
    np.testing.assert_allclose(changed, wanted, atol=1e-2)
