"""Extraction: every image passes the backbone once, whatever happens in between."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from automl_cv.catalog.augmentations import augmentation
from automl_cv.catalog.backbones import BACKBONES
from automl_cv.data.images import content_hash, decode
from automl_cv.errors import AutomlError
from automl_cv.features import FeatureCache, Recipe, recipe, view_name, view_names
from automl_cv.study.studyfile import Backbone
from tests.later import later

with later():
    from automl_cv.engine import extract as extraction
    from automl_cv.engine import images, mixing
    from automl_cv.engine.extract import extract, load, online_features
    from tests.engine import tiny

# Keras's `save` copies variables in a way that NumPy 2 deprecates (keras/backend/tensorflow).
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

# A copy is not checked: the entry is in the table only while a test runs.
TINY = Backbone(features="all").model_copy(update={"name": "tiny"})
N_IMAGES = 70  # four whole batches and a part of one
MOVING = augmentation({"width_shift": 0.2, "zoom": 0.2, "rotation": 20, "contrast": 0.3})


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


@pytest.mark.slow
def test_each_picture_passes_once(paths, tmp_path):
    cache = FeatureCache(tmp_path)
    assert run([*paths[:40], *paths[:10]], cache) == 40
    assert run(paths[:40], cache) == 0
    assert run(list(reversed(paths[:41])), cache) == 1
    assert run(paths, FeatureCache(tmp_path)) == N_IMAGES - 41


@pytest.mark.slow
def test_features_are_those_of_their_image(paths, tmp_path):
    """Each row against the same image extracted alone, in another cache."""
    together = FeatureCache(tmp_path / "together")
    run(paths, together)
    alone = FeatureCache(tmp_path / "alone")
    for path in (paths[0], paths[33], paths[69]):
        run([path], alone)
        np.testing.assert_array_equal(features_of([path], alone), features_of([path], together))
    assert len(np.unique(features_of(paths, together), axis=0)) == N_IMAGES


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.parametrize("cores", [1, 5])
def test_features_do_not_depend_on_the_threads(paths, tmp_path, monkeypatch, cores):
    reference = FeatureCache(tmp_path / "reference")
    run(paths, reference)
    monkeypatch.setattr(extraction, "cores", lambda: cores)
    cache = FeatureCache(tmp_path / "cores")
    run(paths, cache)
    np.testing.assert_array_equal(features_of(paths, cache), features_of(paths, reference))


def test_progress_is_told_batch_by_batch(paths, tmp_path):
    told: list[tuple[int, int, float]] = []
    hashes = hashes_of(paths)

    def listen(done: int, total: int, images_per_second: float) -> None:
        told.append((done, total, images_per_second))

    extract(TINY, paths, hashes, FeatureCache(tmp_path), recipe(TINY), on_progress=listen)
    assert [done for done, *_ in told] == [16, 32, 48, 64, 70]
    assert {total for _, total, _ in told} == {70}
    assert all(speed > 0 for *_, speed in told)


@pytest.mark.slow
def test_a_shard_is_written_when_it_is_full_or_old(paths, tmp_path, monkeypatch):
    cache = FeatureCache(tmp_path)
    monkeypatch.setattr(extraction, "SHARD_IMAGES", 64)
    run(paths[:66], cache)
    assert len(list(cache.folder.glob("*/shards/*"))) == 2
    monkeypatch.setattr(extraction, "SHARD_SECONDS", 0.0)
    run(paths, FeatureCache(tmp_path / "old"))
    assert len(list((tmp_path / "old").glob("features/*/shards/*"))) == 5


@pytest.mark.slow
def test_a_file_that_changed_stops_and_keeps_what_was_done(paths, tmp_path):
    copies = []
    for path in paths:
        copies.append(tmp_path / path.name)
        copies[-1].write_bytes(path.read_bytes())
    hashes = hashes_of(copies)
    copies[-1].write_bytes(b"no image")
    cache = FeatureCache(tmp_path)
    with pytest.raises(AutomlError, match="069.png: was an image .* now is not"):
        extract(TINY, copies, hashes, cache, recipe(TINY))
    assert len(cache.missing(recipe(TINY), hashes)) == N_IMAGES - 64
    copies[-1].write_bytes(paths[-1].read_bytes())
    extract(TINY, copies, hashes, cache, recipe(TINY))
    assert cache.missing(recipe(TINY), hashes) == []


def run_views(paths: list[Path], cache: FeatureCache, views: int, seed: int = 0) -> int:
    """Extract views; return how many the network saw."""
    before = tiny.n_passed
    wanted = recipe(TINY, MOVING, seed)
    n_extracted = extract(TINY, paths, hashes_of(paths), cache, wanted, views=views)
    assert tiny.n_passed - before == n_extracted
    return n_extracted


def views_of(paths: list[Path], cache: FeatureCache, views: int, seed: int = 0) -> np.ndarray:
    """Return cached views, float32 (images, views, features)."""
    wanted, names = recipe(TINY, MOVING, seed), view_names(hashes_of(paths), views)
    return np.array(cache.open(wanted, names, "all").array).reshape(len(paths), views, -1)


@pytest.mark.slow
def test_each_view_of_a_picture_passes_once(paths, tmp_path):
    cache, some = FeatureCache(tmp_path), paths[:20]
    assert run_views([*some, *some[:5]], cache, views=3) == 60
    assert run_views(some, cache, views=3) == 0
    assert run_views(some, cache, views=5) == 40, "views are added to those that are there"
    assert run_views(some, cache, views=2, seed=1) == 40
    assert run(some, cache) == 20, "images as they are, beside their views"
    assert [entry.n_images for entry in cache.entries() if entry.recipe.view is None] == [20]
    found = views_of(some, cache, views=5).reshape(100, -1)
    assert len(np.unique(found, axis=0)) == 100
    assert not np.isclose(found[::5], features_of(some, cache)).all(axis=1).any()


@pytest.mark.slow
def test_a_view_depends_neither_on_order_nor_on_the_rest(paths, tmp_path):
    together, apart = FeatureCache(tmp_path / "together"), FeatureCache(tmp_path / "apart")
    run_views(paths, together, views=2)
    run_views(paths[::-9], apart, views=2)
    np.testing.assert_array_equal(
        views_of(paths[::-9], apart, views=2), views_of(paths, together, views=2)[::-9]
    )


def test_views_that_mix_images_are_not_cached(paths, tmp_path):
    wanted = recipe(TINY, augmentation({"zoom": 0.1, "cutmix": 1.0}))
    with pytest.raises(ValueError, match="can't be cached: zoom 0.1, cutmix 1, seed 0"):
        extract(TINY, paths, hashes_of(paths), FeatureCache(tmp_path), wanted)


def online(
    backbone: Backbone, wanted: Recipe, paths: list[Path], view: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the features of one epoch and the labels, each image being a class of its own."""
    network, labels = load(backbone, wanted), np.eye(len(paths), dtype=np.float32)
    found = list(online_features(network, wanted, paths, hashes_of(paths), labels, view=view))
    features = [np.concatenate(blocks, axis=1) for blocks, _ in found]
    return np.concatenate(features), np.concatenate([targets for _, targets in found])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tiny", "compact"])
def test_a_cached_view_is_the_online_one(paths, tmp_path, name):
    """To the bit, though online the images come in another order."""
    backbone = TINY.model_copy(update={"name": name})
    wanted, cache, some = recipe(backbone, MOVING, seed=4), FeatureCache(tmp_path), paths[:21]
    extract(backbone, some, hashes_of(some), cache, wanted, views=3)
    cached = cache.open(wanted, view_names(hashes_of(some), 3), "all").array
    for view in range(3):
        found, labels = online(backbone, wanted, some[::-1], view)
        np.testing.assert_array_equal(found[::-1], cached[view::3])
        np.testing.assert_array_equal(labels, np.eye(21))


@pytest.mark.slow
def test_online_without_alterations_is_the_plain_image(paths, tmp_path):
    cache = FeatureCache(tmp_path)
    run(paths, cache)
    found, _ = online(TINY, recipe(TINY), paths, view=7)
    np.testing.assert_array_equal(found, features_of(paths, cache))


@pytest.mark.slow
def test_online_cutmix_mixes_pixels_and_labels_of_a_batch(paths):
    wanted = recipe(TINY, augmentation({"cutmix": 1.0}), seed=2)
    found, labels = online(TINY, wanted, paths[:20], view=1)
    pixels = images.resize_all([decode(path) for path in paths[:20]], 12)
    names = [view_name(known, 1) for known in hashes_of(paths[:20])]
    boxes = mixing.draw_boxes(2, names, 12, alpha=1.0, probability=1.0)
    network = load(TINY, wanted)
    for batch in (slice(0, 16), slice(16, 20)):
        mixed = mixing.cutmix(pixels[batch], boxes[batch]).numpy()
        expected = np.concatenate(network(mixed), axis=1)
        np.testing.assert_array_equal(found[batch], expected)
    kept = mixing.kept_shares(boxes, 12)
    partners = [15, *range(15), 19, 16, 17, 18]
    for row, partner in enumerate(partners):
        assert labels[row, row] == kept[row]
        assert labels[row, partner] == pytest.approx(1 - kept[row])
    assert 0 < kept.min() < 0.9
    np.testing.assert_allclose(labels.sum(axis=1), 1, rtol=1e-6)


SCRIPT = """
import os, signal, sys
from pathlib import Path
from automl_cv.engine import extract as extraction
from automl_cv.features import FeatureCache, recipe
from tests.engine import test_extract, tiny

folder, cache, kill_at = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
views = int(sys.argv[4])
extraction.SHARD_IMAGES = 1

def listen(done, total, images_per_second):
    if done >= kill_at:
        os.kill(os.getpid(), signal.SIGKILL)

paths = sorted(folder.glob("*.png"))
with tiny.in_table(folder / "tiny.weights.h5"):
    backbone, hashes = test_extract.TINY, test_extract.hashes_of(paths)
    into = FeatureCache(cache)
    wanted = recipe(backbone, test_extract.MOVING) if views else recipe(backbone)
    more = {"on_progress": listen, "views": views}
    print(extraction.extract(backbone, paths, hashes, into, wanted, **more))
"""


def start(folder: Path, cache: Path, kill_at: int, views: int = 0) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SCRIPT, *map(str, (folder, cache, kill_at, views))]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_killed_and_continued_ends_with_the_same_arrays(folder, paths, tmp_path):
    undisturbed = FeatureCache(tmp_path / "undisturbed")
    run(paths, undisturbed)
    killed = start(folder, tmp_path, kill_at=40)
    said = killed.communicate(timeout=120)
    assert killed.returncode == -signal.SIGKILL, said
    cache = FeatureCache(tmp_path)
    assert run(paths, cache) == N_IMAGES - 48, "each batch before the kill was kept"
    np.testing.assert_array_equal(features_of(paths, cache), features_of(paths, undisturbed))


@pytest.mark.exhaustive
@pytest.mark.slow
def test_views_killed_and_continued_are_the_same(folder, paths, tmp_path):
    undisturbed, cache = FeatureCache(tmp_path / "undisturbed"), FeatureCache(tmp_path)
    run_views(paths, undisturbed, views=2)
    killed = start(folder, tmp_path, kill_at=40, views=2)
    said = killed.communicate(timeout=120)
    assert killed.returncode == -signal.SIGKILL, said
    assert run_views(paths, cache, views=2) == 2 * N_IMAGES - 48
    np.testing.assert_array_equal(
        views_of(paths, cache, views=2), views_of(paths, undisturbed, views=2)
    )


@pytest.mark.exhaustive
@pytest.mark.slow
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
