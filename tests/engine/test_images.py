"""Pixels on their way to a network: resized as a saved model would, in order, few at a time."""

from __future__ import annotations

import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from automl_cv.data.images import Window, content_hash, decode, held
from automl_cv.errors import AutomlError
from tests.later import later

with later():
    import keras
    import tensorflow as tf

    from automl_cv.engine import images

SHAPES = [(9, 7), (16, 16), (9, 7), (40, 20)]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return PNG files of four shapes in turn, random pixels."""
    folder, draw = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    paths = [folder / f"{number}.png" for number in range(11)]
    for number, path in enumerate(paths):
        shape = (*SHAPES[number % len(SHAPES)], 3)
        Image.fromarray(draw.integers(0, 256, shape, np.uint8)).save(path)
    return paths


def hashes_of(paths: list[Path]) -> list[str]:
    return [content_hash(decode(path)) for path in paths]


def test_resizing_is_what_a_saved_model_can_do_in_its_graph(files):
    layer = keras.layers.Resizing(12, 12, interpolation="bilinear", antialias=True)
    for path in files[:4]:
        pixels = decode(path)
        resized = images.resize(pixels, 12)
        assert (resized.shape, resized.dtype) == ((12, 12, 3), np.float32)
        np.testing.assert_array_equal(resized, layer(pixels.astype(np.float32)).numpy())


def test_an_image_is_resized_the_same_in_any_company(files):
    pixels = [decode(path) for path in files]
    together = images.resize_all(pixels, 12)
    for image, resized in zip(pixels, together, strict=True):
        np.testing.assert_array_equal(images.resize(image, 12), resized)


@pytest.mark.parametrize("size", [1, 12, 32])
def test_resizing_is_tensorflows_to_the_bit(size):
    """Cached features depend on it."""
    draw = np.random.default_rng(0)
    shapes = [
        (1, 1),
        (1, 9),
        (31, 33),
        (32, 32),
        (240, 320),
        (17, 500),
        *draw.integers(1, 90, (9, 2)),
    ]
    pixels = [draw.integers(0, 256, (*shape, 3), np.uint8) for shape in shapes]
    for image, resized in zip(pixels, images.resize_all(pixels, size), strict=True):
        expected = tf.image.resize(image, (size, size), "bilinear", antialias=True)
        np.testing.assert_array_equal(resized, expected)


def test_few_images_are_held_in_their_own_size(monkeypatch):
    monkeypatch.setattr(images, "AT_ONCE", 2 * 20 * 20 * 3)
    held: list[weakref.ref] = []

    def many():
        for number in range(9):
            pixels = np.full((20, 20, 3), number, np.uint8)
            held.append(weakref.ref(pixels))
            assert sum(one() is not None for one in held) <= 3
            yield pixels

    resized = images.resize_all(many(), 2)
    np.testing.assert_allclose(resized[:, 0, 0, 0], range(9), rtol=1e-6)


def test_an_image_of_the_right_size_stays_as_it_is(files):
    pixels = decode(files[1])
    np.testing.assert_array_equal(images.resize(pixels, 16), pixels)


@pytest.mark.parametrize("threads", [1, 3])
def test_batches_come_in_order(files, threads):
    found = list(images.batches(files, hashes_of(files), 12, batch_size=4, threads=threads))
    assert [len(batch) for batch in found] == [4, 4, 3]
    expected = images.resize_all([decode(path) for path in files], 12)
    np.testing.assert_array_equal(np.concatenate(found), expected)


def test_views_of_one_file_decode_it_once(files, monkeypatch):
    decoded = []

    def count(path: Path, window: Window | None) -> np.ndarray:
        decoded.append(path)
        return held(path, window)

    monkeypatch.setattr(images, "held", count)
    repeated = [path for path in files[:4] for _ in range(3)]
    seen = []

    def alter(pixels: np.ndarray, chosen: slice) -> np.ndarray:
        seen.append(chosen)
        return pixels + 1

    hashes = hashes_of(repeated)
    found = list(images.batches(repeated, hashes, 12, batch_size=6, threads=1, alter=alter))
    assert decoded == files[:4]
    assert seen == [slice(0, 6), slice(6, 12)]
    expected = images.resize_all([decode(path) for path in repeated], 12) + 1
    np.testing.assert_array_equal(np.concatenate(found), expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:60]), "now is not"),
        (Path.unlink, "now is not"),
        (lambda path: Image.new("RGB", (9, 7)).save(path), "has changed since"),
    ],
    ids=["truncated", "removed", "another image"],
)
def test_a_file_that_changed_is_named(files, tmp_path, change, message):
    paths = [tmp_path / path.name for path in files]
    for path, original in zip(paths, files, strict=True):
        path.write_bytes(original.read_bytes())
    hashes = hashes_of(paths)
    change(paths[8])
    batches = images.batches(paths, hashes, 12, batch_size=4, threads=2)
    assert len(next(batches)) == 4, "what stands before it is not lost"
    with pytest.raises(AutomlError, match=message) as caught:
        list(batches)
    assert str(caught.value).startswith(f"{paths[8]}: ")
    assert "\n" not in str(caught.value)


def test_few_results_wait():
    started, lock = 0, threading.Lock()

    def work(item: int) -> int:
        nonlocal started
        with lock:
            started += 1
        return item * item

    with ThreadPoolExecutor(4) as pool:
        results = images.in_order(pool, work, range(100), ahead=5)
        assert next(results) == 0
        assert started <= 6
        assert [next(results) for _ in range(3)] == [1, 4, 9]
        results.close()
    assert started <= 9
