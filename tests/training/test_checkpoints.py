"""Checkpoints come back as they were, or not at all."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from automl_cv.history import Epoch
from automl_cv.training import checkpoints
from automl_cv.training.checkpoints import Checkpoint

EPOCHS = tuple(
    Epoch(number, 0.1 * number, 1 / 3, 2.0, float(np.float32(0.1)), 1e-3, 0.5) for number in (1, 2)
)


@functools.cache
def held() -> Checkpoint:
    """Return a checkpoint: among hundreds of arrays, numbers and scalars of other types."""
    return Checkpoint(
        epochs=EPOCHS,
        state=(*(np.full(3, number, np.float32) for number in range(120)), np.array(7, np.int64)),
        best=(np.arange(6, dtype=np.float32).reshape(2, 3),),
    )


def assert_same(found: Checkpoint, expected: Checkpoint) -> None:
    assert found.epochs == expected.epochs
    for name in ("state", "best"):
        pairs = zip(getattr(found, name), getattr(expected, name), strict=True)
        for ours, theirs in pairs:
            assert ours.dtype == theirs.dtype
            np.testing.assert_array_equal(ours, theirs)


def test_what_was_saved_comes_back(tmp_path):
    folder = tmp_path / "checkpoints" / "trial"
    assert checkpoints.load(folder, "task") is None
    checkpoints.save(folder, "task", held())
    assert_same(checkpoints.load(folder, "task"), held())
    later = Checkpoint(EPOCHS[:1], (np.zeros(2, np.uint32),), ())
    checkpoints.save(folder, "task", later)
    assert_same(checkpoints.load(folder, "task"), later)
    assert [path.name for path in folder.iterdir()] == [checkpoints.FILE_NAME]


def test_one_of_another_task_is_removed(tmp_path):
    checkpoints.save(tmp_path / "trial", "task", held())
    assert checkpoints.load(tmp_path / "trial", "another") is None
    assert not (tmp_path / "trial").exists()


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "no zip"])
def test_a_damaged_one_is_removed(tmp_path, damage):
    checkpoints.save(tmp_path / "trial", "task", held())
    path = tmp_path / "trial" / checkpoints.FILE_NAME
    content = bytearray(path.read_bytes())
    place = content.index(np.arange(6, dtype=np.float32).tobytes())
    content[place + 4] ^= 1
    path.write_bytes(
        {"cut": content[:-100], "flipped": content, "empty": b"", "no zip": b"x" * 100}[damage]
    )
    assert checkpoints.load(tmp_path / "trial", "task") is None
    assert not (tmp_path / "trial").exists()


def test_a_write_that_fails_leaves_the_one_before(tmp_path, monkeypatch):
    checkpoints.save(tmp_path / "trial", "task", held())

    def full(file, **arrays):
        file.write(b"some of it")
        raise OSError("No space left on device")

    monkeypatch.setattr(checkpoints.np, "savez", full)
    with pytest.raises(OSError, match="No space"):
        checkpoints.save(tmp_path / "trial", "task", held())
    monkeypatch.undo()
    assert_same(checkpoints.load(tmp_path / "trial", "task"), held())
    assert [path.name for path in (tmp_path / "trial").iterdir()] == [checkpoints.FILE_NAME]
