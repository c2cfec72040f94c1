"""The feature cache on a real disk: order, damage, kills, processes at once."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from automl_cv.errors import AutomlError, AutomlWarning
from automl_cv.features import FeatureCache, Recipe
from automl_cv.features import cache as cache_module

RECIPE = Recipe(
    backbone="tiny",
    network="tests:tiny()",
    block_outputs=".*",
    weights="blake2b:0",
    preprocessing="none",
    image_size=8,
)
WIDTHS = (2, 3)


def blocks_of(hashes: list[str]) -> list[np.ndarray]:
    """Return features that tell image, block and column: image + block / 10 + column / 100."""
    numbers = np.array([int(text) for text in hashes], np.float32)[:, np.newaxis]
    return [
        numbers + np.float32(block / 10) + np.arange(width, dtype=np.float32) / 100
        for block, width in enumerate(WIDTHS)
    ]


def rows_of(hashes: list[str], features: str) -> np.ndarray:
    blocks = blocks_of(hashes)
    return blocks[-1] if features == "last" else np.hstack(blocks)


@pytest.fixture
def cache(tmp_path: Path) -> FeatureCache:
    """Return a cache of two shards: images 0 to 3, and 4 to 6 with a copy of image 1."""
    filled = FeatureCache(tmp_path)
    for hashes in (["0", "1", "2", "3"], ["4", "5", "6", "1"]):
        filled.add(RECIPE, hashes, blocks_of(hashes))
    return filled


def shard_file(cache: FeatureCache, name: str) -> Path:
    return sorted(cache.folder.glob(f"*/shards/*/{name}"))[0]


def test_missing_are_distinct_and_in_order(cache):
    assert cache.missing(RECIPE, ["9", "1", "7", "9", "4"]) == ["9", "7"]
    assert cache.missing(replace(RECIPE, image_size=9), ["1", "1"]) == ["1"]
    assert FeatureCache(cache.folder / "elsewhere").missing(RECIPE, ["1"]) == ["1"]


@pytest.mark.parametrize("features", ["last", "all"])
@pytest.mark.parametrize(
    "hashes",
    [["0", "1", "2", "3"], ["3", "1"], ["6", "0", "6", "1", "4"]],
    ids=["a whole shard", "other order", "two shards and a repeat"],
)
def test_rows_come_in_the_order_asked_for(cache, hashes, features):
    for _ in range(2):  # put together, then found put together
        found = cache.open(RECIPE, hashes, features)
        np.testing.assert_array_equal(found.array, rows_of(hashes, features))
        assert found.array.dtype == np.float32
        assert found.widths == (WIDTHS[-1:] if features == "last" else WIDTHS)
        assert isinstance(found.array, np.memmap)
        assert not found.array.flags.writeable


def test_a_whole_memory_map_starts_at_its_own_offset(cache):
    """`engine.runtime.as_tensor` maps the file again by these attributes."""
    array = cache.open(RECIPE, ["0", "1", "2", "3"], "last").array
    again = np.memmap(array.filename, array.dtype, "r", array.offset, array.shape)
    np.testing.assert_array_equal(again, array)


def test_what_is_gathered_is_gathered_once(cache):
    hashes = ["5", "0"]
    cache.open(RECIPE, hashes, "all")
    (path,) = cache.folder.glob("*/assembled/*/features.npy")
    before = path.stat()
    FeatureCache(cache.folder.parent).open(RECIPE, hashes, "all")
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_images_without_features_are_an_error(cache):
    with pytest.raises(AutomlError, match="2 of 3 images have no features in .*extracted first"):
        cache.open(RECIPE, ["0", "8", "9"])
    with pytest.raises(ValueError, match="no images"):
        cache.open(RECIPE, [])


def flip_last_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-4])


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("block_000.npy", flip_last_byte),
        ("block_001.npy", flip_last_byte),
        ("block_001.npy", truncate),
        ("block_001.npy", Path.unlink),
        ("index.json", truncate),
        ("index.json", lambda path: path.write_text("{}")),
        ("index.json", lambda path: path.write_text('{"files": {"block_000.npy": {}}}')),
    ],
)
def test_a_damaged_shard_is_warned_of_and_made_again(cache, name, damage):
    everything = [str(number) for number in range(7)]
    assert cache.missing(RECIPE, everything) == []
    damage(shard_file(cache, name))
    with pytest.warns(AutomlWarning, match="damaged .*extracted again"):
        missing = cache.missing(RECIPE, everything)
    assert missing == ["0", "2", "3"], "image 1 is in the other shard too"
    cache.add(RECIPE, missing, blocks_of(missing))
    assert cache.missing(RECIPE, everything) == [], "no second warning"
    found = cache.open(RECIPE, everything, "all").array
    np.testing.assert_array_equal(found, rows_of(everything, "all"))


def test_damage_that_keeps_size_and_time_is_found_by_the_checksum(cache):
    path = shard_file(cache, "block_001.npy")
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    flip_last_byte(path)
    os.utime(path, ns=times)
    with pytest.warns(AutomlWarning, match="does not match its checksum"):
        assert cache.missing(RECIPE, ["0"]) == ["0"]


def test_the_last_block_is_read_without_the_others(cache):
    flip_last_byte(shard_file(cache, "block_000.npy"))
    hashes = ["3", "5"]
    assert cache.missing(RECIPE, hashes, "last") == []
    np.testing.assert_array_equal(cache.open(RECIPE, hashes).array, rows_of(hashes, "last"))
    with pytest.warns(AutomlWarning, match="block_000"):
        assert cache.missing(RECIPE, hashes, "all") == ["3"]


def test_a_damaged_assembled_array_is_put_together_again(cache):
    hashes = ["2", "6"]
    cache.open(RECIPE, hashes, "all")
    (path,) = cache.folder.glob("*/assembled/*/features.npy")
    flip_last_byte(path)
    with pytest.warns(AutomlWarning, match="put together again"):
        found = cache.open(RECIPE, hashes, "all")
    np.testing.assert_array_equal(found.array, rows_of(hashes, "all"))


def test_gathering_takes_little_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(cache_module, "ASSEMBLY_BYTES", 2**18)
    cache, hashes = FeatureCache(tmp_path), [str(number) for number in range(4000)]
    for start in (0, 2000):
        block = np.ones((2000, 512), np.float32)
        cache.add(RECIPE, hashes[start : start + 2000], [block, block])
    shuffled = list(reversed(hashes))
    tracemalloc.start()
    found = cache.open(RECIPE, shuffled, "all")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.array.nbytes == 4000 * 1024 * 4
    assert peak < found.array.nbytes / 4


@pytest.mark.slow
def test_many_shards_do_not_run_out_of_open_files(tmp_path):
    cache, hashes = FeatureCache(tmp_path), [str(number) for number in range(60)]
    for text in hashes:
        cache.add(RECIPE, [text], blocks_of([text]))
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    opened = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (opened + 20, limits[1]))
    try:
        assert cache.missing(RECIPE, hashes) == []
        found = cache.open(RECIPE, hashes, "all")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    np.testing.assert_array_equal(found.array, rows_of(hashes, "all"))


KILLED = """
import os, signal, sys
from pathlib import Path
from automl_cv.features import FeatureCache, arrays
from tests.features.test_cache import RECIPE, blocks_of

sync = arrays._sync
def die_at_the_index(path):
    sync(path)
    if path.name == "index.json":
        os.kill(os.getpid(), signal.SIGKILL)
arrays._sync = die_at_the_index
FeatureCache(Path(sys.argv[1])).add(RECIPE, ["8"], blocks_of(["8"]))
"""


@pytest.mark.slow
def test_a_killed_writer_leaves_nothing_that_counts(cache):
    folder = cache.folder.parent
    done = subprocess.run([sys.executable, "-c", KILLED, str(folder)], check=False)
    assert done.returncode == -signal.SIGKILL
    (left,) = cache.folder.glob("*/shards/.tmp-*")
    assert (left / "block_001.npy").is_file(), "it was killed with its arrays written"
    assert cache.missing(RECIPE, ["0", "8"]) == ["8"]
    cache.add(RECIPE, ["8"], blocks_of(["8"]))
    assert left.is_dir(), "its writer might be alive"
    a_day_ago = time.time() - 25 * 3600
    os.utime(left, (a_day_ago, a_day_ago))
    cache.add(RECIPE, ["9"], blocks_of(["9"]))
    assert not left.exists()
    assert cache.missing(RECIPE, ["0", "8", "9"]) == []


AT_ONCE = """
import sys
from pathlib import Path
from automl_cv.features import FeatureCache
from tests.features.test_cache import RECIPE, blocks_of

cache = FeatureCache(Path(sys.argv[1]))
hashes = [str(number) for number in range(20)]
for text in hashes:
    cache.add(RECIPE, [text], blocks_of([text]))
print(cache.open(RECIPE, hashes, "all").array.sum(dtype="float64"))
"""


@pytest.mark.slow
def test_processes_may_write_and_gather_at_once(tmp_path):
    command = [sys.executable, "-W", "error", "-c", AT_ONCE, str(tmp_path)]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    answers = [process.communicate(timeout=120) for process in running]
    expected = rows_of([str(number) for number in range(20)], "all").sum(dtype="float64")
    assert [float(said) for said, _ in answers] == [expected] * 3
    assert [complaint for _, complaint in answers] == [""] * 3
    (entry,) = FeatureCache(tmp_path).entries()
    assert entry.n_images == 20, "copies count once"


def test_entries_describe_each_recipe(cache):
    other = replace(RECIPE, image_size=16)
    cache.add(other, ["0"], blocks_of(["0"]))
    entries = {entry.recipe: entry for entry in cache.entries()}
    assert set(entries) == {RECIPE, other}
    assert entries[RECIPE].n_images == 7
    assert entries[other].n_images == 1
    assert entries[RECIPE].key == RECIPE.key
    files = [path for path in (cache.folder / other.key).rglob("*") if path.is_file()]
    assert entries[other].n_bytes == sum(path.stat().st_size for path in files)
    (cache.folder / other.key / "recipe.json").write_text("{}")
    assert [entry.recipe for entry in cache.entries() if entry.key == other.key] == [None]


def test_clear_frees_everything(cache):
    assert cache.clear() > 0
    assert cache.entries() == []
    assert cache.clear() == 0
    cache.add(RECIPE, ["0"], blocks_of(["0"]))
    assert cache.missing(RECIPE, ["0"]) == []
