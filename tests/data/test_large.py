"""Pictures of very many pixels give what others give, in parts, and few are held at a time."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from automl_cv.data import file_kinds, images, large
from automl_cv.data.inspection import inspect

WINDOW = images.Window(1000, 60000)
PICTURE = np.random.default_rng(0).integers(0, 256, (61, 47, 3), dtype=np.uint8)


@pytest.fixture
def in_parts(monkeypatch):
    """Every picture is a large one, in parts of a few rows or columns."""

    def switch():
        monkeypatch.setattr(images, "LEAST", 1)
        monkeypatch.setattr(large, "PART", 200)

    return switch


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> list[Path]:
    """A file of every kind, and one of every orientation of a camera."""
    folder = tmp_path_factory.mktemp("files")
    for window in (None, WINDOW):
        own = folder / f"{window is None}"
        own.mkdir()
        assert len(list(file_kinds.write(PICTURE, own, window))) > 5
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.fromarray(PICTURE).save(folder / f"turned{orientation}.png", exif=exif)
        Image.fromarray(PICTURE).save(folder / f"turned{orientation}.jpg", exif=exif)
    deep = PICTURE[..., 0].astype(np.uint16) * 200
    Image.fromarray(deep).save(folder / "deep.png", exif=exif)
    Image.fromarray(deep.astype(np.int32) - 900).save(folder / "deep.tif")
    Image.fromarray(deep.astype(np.float32) / 7).save(folder / "float.tif")
    return sorted(path for path in folder.rglob("*") if path.is_file())


def seen(path: Path, window: images.Window | None) -> object:
    try:
        with images.held(path, window) as pixels:
            known = images.content_hash(pixels)
            whole = pixels.whole() if isinstance(pixels, large.Large) else pixels
            return known, whole.tobytes(), images.read(path, window).format
    except images.DamagedImage as damage:
        return str(damage)


@pytest.mark.slow
@pytest.mark.parametrize("window", [None, WINDOW])
def test_parts_are_the_pixels_of_the_whole(files, in_parts, window):
    assert len(files) > 40
    whole = [seen(path, window) for path in files]
    in_parts()
    for path, expected in zip(files, whole, strict=True):
        assert seen(path, window) == expected, path
    assert any(isinstance(one, str) for one in whole) == (window is None)


def test_inspection_finds_the_same(files, in_parts, tmp_path):
    names = [str(path) for path in files]
    whole = inspect(names, memory=tmp_path / "whole.json", window_of=lambda deep: WINDOW)
    in_parts()
    parts = inspect(names, memory=tmp_path / "parts.json", window_of=lambda deep: WINDOW)
    assert parts == whole
    assert {one.depth for one in whole} >= {"", "16-bit", "32-bit", "float"}


def test_a_picture_is_let_go_at_the_end_of_its_block(files, in_parts):
    in_parts()
    with images.held(files[0], WINDOW) as pixels:
        assert pixels.size != (1, 1)
    with pytest.raises(Exception, match="outside"):
        pixels.pixels((0, 0, 9, 9))
        raise AssertionError("outside")


def test_all_threads_together_hold_a_bounded_number_of_pixels():
    flight = large.InFlight(10)
    held, most, lock = 0, 0, threading.Lock()

    def hold(pixels: int) -> None:
        nonlocal held, most
        with flight.holding(pixels), flight.holding(5):  # the second waits for nothing
            with lock:
                held += min(pixels, 10)
                most = max(most, held)
            time.sleep(0.002)
            with lock:
                held -= min(pixels, 10)

    threads = [threading.Thread(target=hold, args=(1 + n % 12,)) for n in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 5 < most <= 10
    assert held == 0


def test_turned_as_pillow_turns(files):
    """What the table of turns is held against, beside all that stands above."""
    for path in files:
        if path.name.startswith("turned"):
            with Image.open(path) as image:
                upright = ImageOps.exif_transpose(image)
            found = large.Large(Image.open(path), "PNG")
            assert found.size == upright.size
            assert np.array_equal(found.whole(), np.asarray(upright))
