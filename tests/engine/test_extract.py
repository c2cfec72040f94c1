"""Extraction: every picture passes the backbone once, whatever happens in between."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from automl_cv.catalog.backbones import BACKBONES
from automl_cv.data.images import content_hash, decode
from automl_cv.engine import extract as extraction
from automl_cv.engine.extract import extract
from automl_cv.errors import AutomlError
from automl_cv.features import FeatureCache, recipe
from automl_cv.studyfile import Backbone
from tests.engine import tiny

# Keras's `save` copies variables in a way that NumPy 2 deprecates (keras/backend/tensorflow).
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

# A copy is not checked: the entry is in the table only while a test runs.
TINY = Backbone(features="all").model_copy(update={"name": "tiny"})
N_IMAGES = 70  # four whole batches and a part of one


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of weights and of small PNG files, of two shapes, random pixels."""
    made, draw = tmp_path_factory.mktemp("extract"), np.random.default_rng(0)
    tiny.write_weights(made / "tiny.weights.h5")
    tiny.write_weights(made / "other.weights.h5", seed=1)
    for number in range(N_IMAGES):
        shape = ((9, 7), (12, 12))[number % 2]
        pixels = draw.integers(1, 256, (*shape, 3), np.uint8)
        Image.fromarray(pixels).save(made / f"{number:03d}.png")
    return made


@pytest.fixture(autouse=True)
def entry(folder):
    with tiny.in_table(folder / "tiny.weights.h5") as added:
        yield added


@pytest.fixture
def paths(folder) -> list[Path]:
    return sorted(folder.glob("*.png"))


def hashes_of(paths: list[Path]) -> list[str]:
    return [content_hash(decode(path)) for path in paths]


def run(paths: list[Path], cache: FeatureCache, backbone: Backbone = TINY) -> int:
    """Extract; return how many images the network saw, as it counted them itself."""
    before = tiny.n_passed
    n_extracted = extract(backbone, paths, hashes_of(paths), cache, recipe(backbone))
    assert tiny.n_passed - before == n_extracted
    return n_extracted


def features_of(paths: list[Path], cache: FeatureCache) -> np.ndarray:
    return np.array(cache.open(recipe(TINY), hashes_of(paths), "all").array)


def test_each_picture_passes_once(paths, tmp_path):
    cache = FeatureCache(tmp_path)
    assert run([*paths[:40], *paths[:10]], cache) == 40
    assert run(paths[:40], cache) == 0
    assert run(list(reversed(paths[:41])), cache) == 1
    assert run(paths, FeatureCache(tmp_path)) == N_IMAGES - 41


def test_features_are_those_of_their_image(paths, tmp_path):
    """Each row against the same image extracted alone, in another cache."""
    together = FeatureCache(tmp_path / "together")
    run(paths, together)
    alone = FeatureCache(tmp_path / "alone")
    for path in (paths[0], paths[33], paths[69]):
        run([path], alone)
        np.testing.assert_array_equal(features_of([path], alone), features_of([path], together))
    assert len(np.unique(features_of(paths, together), axis=0)) == N_IMAGES


def test_any_part_of_the_recipe_changed_is_all_again(paths, folder, entry, tmp_path):
    cache, some = FeatureCache(tmp_path), paths[:5]
    assert run(some, cache) == 5
    for other in (
        TINY.model_copy(update={"image_size": 16}),
        TINY.model_copy(update={"weights": str(folder / "other.weights.h5")}),
    ):
        assert run(some, cache, other) == 5
        assert run(some, cache, other) == 0
    for changed in (
        replace(entry, name="other"),
        replace(entry, name="tf", preprocessing="none"),
        replace(entry, name="one", block_outputs="block2_out"),
    ):
        with BACKBONES.temporary(changed):
            other = Backbone(name=changed.name)
            assert run(some, cache, other) == 5
            widths = cache.open(recipe(other), hashes_of(some), "all").widths
            assert widths == ((6,) if changed.name == "one" else (4, 6))
    assert run(some, cache) == 0, "the first are there still"
    assert len(cache.entries()) == 6


@pytest.mark.parametrize("cores", [1, 5])
def test_features_do_not_depend_on_the_threads(paths, tmp_path, monkeypatch, cores):
    reference = FeatureCache(tmp_path / "reference")
    run(paths, reference)
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    cache = FeatureCache(tmp_path / "cores")
    run(paths, cache)
    np.testing.assert_array_equal(features_of(paths, cache), features_of(paths, reference))


def test_progress_is_told_batch_by_batch(paths, tmp_path):
    told: list[tuple[int, int, float]] = []
    hashes = hashes_of(paths)

    def listen(done: int, total: int, images_per_second: float) -> None:
        told.append((done, total, images_per_second))

    extract(TINY, paths, hashes, FeatureCache(tmp_path), recipe(TINY), listen)
    assert [done for done, *_ in told] == [16, 32, 48, 64, 70]
    assert {total for _, total, _ in told} == {70}
    assert all(speed > 0 for *_, speed in told)


def test_a_shard_is_written_when_it_is_full_or_old(paths, tmp_path, monkeypatch):
    cache = FeatureCache(tmp_path)
    monkeypatch.setattr(extraction, "SHARD_IMAGES", 64)
    run(paths[:66], cache)
    assert len(list(cache.folder.glob("*/shards/*"))) == 2
    monkeypatch.setattr(extraction, "SHARD_SECONDS", 0.0)
    run(paths, FeatureCache(tmp_path / "old"))
    assert len(list((tmp_path / "old").glob("features/*/shards/*"))) == 5


def test_a_file_that_changed_stops_and_keeps_what_was_done(paths, tmp_path):
    copies = []
    for path in paths:
        copies.append(tmp_path / path.name)
        copies[-1].write_bytes(path.read_bytes())
    hashes = hashes_of(copies)
    copies[-1].write_bytes(b"no picture")
    cache = FeatureCache(tmp_path)
    with pytest.raises(AutomlError, match="069.png: was an image .* now is not"):
        extract(TINY, copies, hashes, cache, recipe(TINY))
    assert len(cache.missing(recipe(TINY), hashes)) == N_IMAGES - 64
    copies[-1].write_bytes(paths[-1].read_bytes())
    extract(TINY, copies, hashes, cache, recipe(TINY))
    assert cache.missing(recipe(TINY), hashes) == []


def test_altered_images_are_not_taken_for_plain_ones(paths, tmp_path):
    with pytest.raises(ValueError, match="not as view 3"):
        extract(TINY, paths, hashes_of(paths), FeatureCache(tmp_path), recipe(TINY, view=3))


SCRIPT = """
import os, signal, sys
from pathlib import Path
from automl_cv.engine import extract as extraction
from automl_cv.features import FeatureCache, recipe
from tests.engine import test_extract, tiny

folder, cache, kill_at = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
extraction.SHARD_IMAGES = 1

def listen(done, total, images_per_second):
    if done >= kill_at:
        os.kill(os.getpid(), signal.SIGKILL)

paths = sorted(folder.glob("*.png"))
with tiny.in_table(folder / "tiny.weights.h5"):
    backbone, hashes = test_extract.TINY, test_extract.hashes_of(paths)
    into = FeatureCache(cache)
    print(extraction.extract(backbone, paths, hashes, into, recipe(backbone), listen))
"""


def start(folder: Path, cache: Path, kill_at: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SCRIPT, str(folder), str(cache), str(kill_at)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_killed_and_continued_ends_with_the_same_arrays(folder, paths, tmp_path):
    undisturbed = FeatureCache(tmp_path / "undisturbed")
    run(paths, undisturbed)
    killed = start(folder, tmp_path, kill_at=40)
    said = killed.communicate(timeout=120)
    assert killed.returncode == -signal.SIGKILL, said
    cache = FeatureCache(tmp_path)
    assert run(paths, cache) == N_IMAGES - 48, "each batch before the kill was kept"
    np.testing.assert_array_equal(features_of(paths, cache), features_of(paths, undisturbed))


def test_two_processes_extract_at_once(folder, paths, tmp_path):
    running = [start(folder, tmp_path, kill_at=1000) for _ in range(2)]
    for process in running:
        said, complaint = process.communicate(timeout=120)
        assert process.returncode == 0, complaint
        assert 0 <= int(said) <= N_IMAGES
    cache = FeatureCache(tmp_path)
    assert run(paths, cache) == 0
    alone = FeatureCache(tmp_path / "alone")
    run(paths, alone)
    np.testing.assert_array_equal(features_of(paths, cache), features_of(paths, alone))
