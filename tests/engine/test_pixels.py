"""Pixels for training: the decoder's, once; altered by seed, content and epoch alone."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from automl_cv.catalog.augmentations import Augmentation, augmentation
from automl_cv.data.images import content_hash, decode
from automl_cv.errors import AutomlError
from automl_cv.features import view_name
from automl_cv.features.pixels import PixelCache
from tests.later import later

with later():
    from automl_cv.engine import augment, images, mixing, pixels
    from automl_cv.engine.pixels import Pictures

SIZE, COUNT, CLASSES = 10, 20, 3
MOVES = augmentation({"width_shift": 0.2, "zoom": 0.2, "horizontal_flip": True, "brightness": 0.2})
LABELS = np.arange(COUNT, dtype=np.int32) % CLASSES


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return PNG files of three shapes in turn, random pixels."""
    folder, draw = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    paths = [folder / f"{number}.png" for number in range(COUNT)]
    for number, path in enumerate(paths):
        shape = [(9, 7, 3), (SIZE, SIZE, 3), (40, 20, 3)][number % 3]
        Image.fromarray(draw.integers(0, 256, shape, np.uint8)).save(path)
    return paths


@pytest.fixture(scope="module")
def hashes(files: list[Path]) -> list[str]:
    return [content_hash(decode(path)) for path in files]


def pictures(augmentation: Augmentation) -> Pictures:
    """Return random images, of which every fifth validates."""
    rows = np.arange(COUNT)
    return Pictures(
        pixels=np.random.default_rng(1).integers(0, 256, (COUNT, SIZE, SIZE, 3), np.uint8),
        content_hashes=[f"image{row}" for row in rows],
        labels=LABELS,
        classes=CLASSES,
        train=rows[rows % 5 > 0],
        validation=rows[rows % 5 == 0],
        augmentation=augmentation,
    )


# From files


def test_pixels_are_the_decoders_rounded_and_come_once(files, hashes, tmp_path, monkeypatch):
    cache, told = PixelCache(tmp_path), []
    found = pixels.load(cache, files, hashes, SIZE, lambda *state: told.append(state[:2]))
    exact = images.resize_all([decode(path) for path in files], SIZE)
    assert found.dtype == np.uint8 and np.abs(found - exact).max() <= 0.5
    np.testing.assert_array_equal(found[1::3], exact[1::3], "those of the right size are exact")
    assert told == [(16, COUNT), (COUNT, COUNT)]
    monkeypatch.setattr(images, "held", lambda *given: pytest.fail("decoded again"))
    again = pixels.load(cache, files, hashes, SIZE)
    np.testing.assert_array_equal(again, found)


def test_a_file_that_changed_leaves_nothing_in_the_cache(files, hashes, tmp_path):
    cache = PixelCache(tmp_path)
    with pytest.raises(AutomlError, match="has changed since"):
        pixels.load(cache, files, [*hashes[:-1], hashes[0]], SIZE)
    assert cache.entries() == []


# Batches


def test_images_as_they_are():
    data = pictures(Augmentation())
    (batch,), labels = data.training_batch(np.array([3, 0]), epoch=1, seed=5)
    np.testing.assert_array_equal(batch, data.pixels[[4, 1]])
    np.testing.assert_array_equal(labels, LABELS[[4, 1]])
    (batch,), labels = pictures(MOVES).validation_batch(np.array([2, 1]))
    np.testing.assert_array_equal(batch, data.pixels[[10, 5]])
    np.testing.assert_array_equal(labels, LABELS[[10, 5]])


def test_altered_images_are_those_of_their_view_whatever_the_batch():
    data = pictures(MOVES)
    chosen = np.arange(len(data.train))
    (together,), labels = data.training_batch(chosen, epoch=2, seed=5)
    assert (together.dtype, together.shape) == (np.float32, (16, SIZE, SIZE, 3))
    np.testing.assert_array_equal(labels, LABELS[data.train])
    names = [view_name(f"image{row}", 2) for row in data.train]
    change = augment.draw(MOVES, 5, names)
    plain = data.pixels[data.train].astype(np.float32)
    expected = augment.alter(plain, change.transforms(SIZE), change.colours()).numpy()
    np.testing.assert_array_equal(together, expected)
    for some in (chosen[::-1], chosen[3:4], chosen[[7, 2]]):
        (batch,), _ = data.training_batch(some, epoch=2, seed=5)
        np.testing.assert_array_equal(batch, together[some])


def test_each_epoch_and_seed_shows_others():
    data, chosen = pictures(MOVES), np.arange(16)
    shown = [
        data.training_batch(chosen, epoch, seed)[0][0] for epoch, seed in ((1, 5), (2, 5), (1, 6))
    ]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert (np.abs(shown[one] - shown[other]).max(axis=(1, 2, 3)) > 1).all()


def test_cutmix_mixes_pixels_and_labels_alike():
    data, chosen = pictures(augmentation({"cutmix": True})), np.arange(16)
    (batch,), shares = data.training_batch(chosen, epoch=1, seed=5)
    plain, own = data.pixels[data.train], np.eye(CLASSES)[LABELS[data.train]]
    partners = np.roll(own, 1, axis=0)
    for row in range(16):
        kept = (batch[row] == plain[row]).all(axis=-1).mean()
        expected = kept * own[row] + (1 - kept) * partners[row]
        np.testing.assert_allclose(shares[row], expected, atol=1e-6)
    assert (np.abs(shares - own).max(axis=1) > 0).any()


def test_mixup_mixes_pixels_and_labels_alike():
    data, chosen = pictures(augmentation({"mixup": 1.0})), np.arange(16)
    (batch,), shares = data.training_batch(chosen, epoch=1, seed=5)
    names = [view_name(f"image{row}", 1) for row in data.train]
    kept = mixing.draw_shares(5, names, alpha=1.0)
    plain = data.pixels[data.train].astype(np.float32)
    own = np.eye(CLASSES)[LABELS[data.train]]
    for values, found, atol in ((plain, batch, 1e-3), (own, shares, 1e-6)):
        share = kept.reshape(-1, *[1] * (values.ndim - 1))
        expected = share * values + (1 - share) * np.roll(values, 1, axis=0)
        np.testing.assert_allclose(found, expected, atol=atol)


def test_alterations_follow_one_another():
    """Moved first, then cut: what is pasted is the moved neighbour."""
    both = augmentation({**MOVES.as_data(), "cutmix": True})
    chosen = np.arange(16)
    (moved,), _ = pictures(MOVES).training_batch(chosen, 1, 5)
    (batch,), shares = pictures(both).training_batch(chosen, 1, 5)
    neighbours = np.roll(moved, 1, axis=0)
    own = (batch == moved).all(axis=-1)
    assert (own | (batch == neighbours).all(axis=-1)).all()
    assert not own.all()
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-6)


def test_the_fingerprint_tells_what_differs():
    data = pictures(MOVES)
    assert pictures(MOVES).fingerprint == data.fingerprint
    others = [
        dataclasses.replace(data, **change)
        for change in (
            {"pixels": data.pixels[:, :8, :8]},
            {"content_hashes": [*data.content_hashes[1:], "image0"]},
            {"labels": np.roll(LABELS, 1)},
            {"classes": 4},
            {"train": data.train[1:], "validation": np.append(data.validation, data.train[0])},
            {"train": data.train[::-1]},
            {"augmentation": augmentation({"zoom": 0.2})},
        )
    ]
    assert len({data.fingerprint, *(other.fingerprint for other in others)}) == 8
