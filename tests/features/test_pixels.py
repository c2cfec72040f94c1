"""The pixel cache on a real disk: whole or not there, checked, shared."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from automl_cv.errors import AutomlWarning
from automl_cv.features.pixels import PixelCache

HASHES = ["a", "b", "c", "d", "e"]
PIXELS = np.random.default_rng(0).integers(0, 256, (5, 6, 6, 3), np.uint8)


@pytest.fixture
def cache(tmp_path: Path) -> PixelCache:
    """Return a cache that holds five images of 6 pixels."""
    filled = PixelCache(tmp_path / "cache")
    np.testing.assert_array_equal(filled.write(HASHES, 6, [PIXELS[:3], PIXELS[3:]]), PIXELS)
    return filled


def files(cache: PixelCache) -> list[str]:
    return sorted(path.name for path in cache.folder.rglob("*") if path.is_file())


def test_what_was_written_is_found_and_shared(cache):
    found = cache.find(HASHES, 6)
    np.testing.assert_array_equal(found, PIXELS)
    assert isinstance(found, np.memmap) and not found.flags.writeable
    assert found.dtype == np.uint8


@pytest.mark.parametrize(
    ("hashes", "size"), [(HASHES, 7), (HASHES[::-1], 6), (HASHES[:4], 6), ([*HASHES, "a"], 6)]
)
def test_other_images_another_order_or_size_are_not_found(cache, hashes, size):
    assert cache.find(hashes, size) is None


def test_damage_is_told_and_removed(cache):
    (path,) = cache.folder.glob("*/pixels.npy")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.warns(AutomlWarning, match="cached pixels are damaged .*checksum"):
        assert cache.find(HASHES, 6) is None
    assert files(cache) == []
    np.testing.assert_array_equal(cache.write(HASHES, 6, [PIXELS]), PIXELS)


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_an_interrupted_write_leaves_nothing(tmp_path, error):
    def batches() -> Iterator[np.ndarray]:
        yield PIXELS[:3]
        assert cache.entries() == [], "half of it is nothing yet"
        raise error

    cache = PixelCache(tmp_path)
    with pytest.raises(error):
        cache.write(HASHES, 6, batches())
    assert list(cache.folder.iterdir()) == []
    assert cache.find(HASHES, 6) is None


def test_too_few_images_are_not_kept(tmp_path):
    cache = PixelCache(tmp_path)
    with pytest.raises(ValueError, match="3 images came for 5"):
        cache.write(HASHES, 6, [PIXELS[:3]])
    with pytest.raises(ValueError, match="no images"):
        cache.write([], 6, [])
    assert cache.entries() == []


@pytest.mark.slow
def test_two_processes_may_write_at_once(tmp_path):
    """Both write before either is done; both get the pixels, one copy stays."""
    code = (
        "import sys, numpy as np\nfrom pathlib import Path\n"
        "from automl_cv.features.pixels import PixelCache\n"
        "def batches():\n    print('writes', flush=True); sys.stdin.readline()\n"
        "    yield np.full((2, 4, 4, 3), 9, np.uint8)\n"
        f"found = PixelCache(Path({str(tmp_path)!r})).write(['a', 'b'], 4, batches())\n"
        "print(int(found.sum()))"
    )
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    for writer in writers:
        assert writer.stdout.readline() == "writes\n"
    for writer in writers:
        assert writer.communicate("\n", timeout=60)[0] == f"{2 * 4 * 4 * 3 * 9}\n"
    assert len(list(tmp_path.glob("pixels/*"))) == 1


def test_entries_tell_what_is_there(cache):
    cache.write(["z"], 4, [np.zeros((1, 4, 4, 3), np.uint8)])
    entries = {entry.image_size: entry for entry in cache.entries()}
    assert (entries[6].n_images, entries[4].n_images) == (5, 1)
    assert entries[6].n_bytes > PIXELS.nbytes
    (cache.folder / entries[4].key / "index.json").unlink()
    damaged = next(entry for entry in cache.entries() if entry.key == entries[4].key)
    assert (damaged.image_size, damaged.n_images) == (None, 0)
    assert cache.clear() > PIXELS.nbytes
    assert cache.entries() == []
