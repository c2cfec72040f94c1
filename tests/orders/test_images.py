"""Lists of images that workers map: an order names them, and says nothing of each."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from automl_cv.data.images import Window
from automl_cv.orders.images import FOLDER, Images

COUNT = 1000


def images(groups: tuple[str | None, ...] = ("a", None)) -> Images:
    return Images(
        paths=tuple(f"/images/{row}.png" for row in range(COUNT)),
        content_hashes=tuple(f"{row:032x}" for row in range(COUNT)),
        labels=np.arange(COUNT, dtype=np.int32) % 3,
        splits=np.array(["train", "validation"] * (COUNT // 2)),
        groups=groups * (COUNT // 2),
        classes=("x", "y", "z"),
        window=Window(0, 9),
    )


def all_of(one: Images) -> list[object]:
    arrays = one.labels.tolist(), one.splits.tolist()
    texts = [*one.paths], [*one.content_hashes], [*one.groups]
    return [*arrays, *texts, one.classes, one.window]


@pytest.mark.parametrize("groups", [("a", None), (None, None)], ids=["some", "none"])
def test_an_order_holds_where_they_lie(tmp_path, groups):
    kept = images(groups).kept(tmp_path)
    order = pickle.dumps(kept)
    assert len(order) < 1000
    assert all_of(kept) == all_of(pickle.loads(order)) == all_of(images(groups))
    assert isinstance(kept.labels, np.memmap)
    assert (kept.group(0), kept.group(1)) == groups


def test_each_list_lies_there_once(tmp_path):
    for _ in range(2):
        images().kept(tmp_path)
    images(("a", "b")).kept(tmp_path)
    replace(images(), labels=np.zeros(COUNT, np.int32)).kept(tmp_path)
    assert len([*(tmp_path / FOLDER).iterdir()]) == 3


def test_what_a_disk_did_to_them_is_written_anew(tmp_path):
    folder = images().kept(tmp_path).folder
    path = folder / "paths_characters.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert all_of(images().kept(tmp_path)) == all_of(images())


def test_where_nothing_can_be_written_the_order_holds_them(tmp_path):
    (tmp_path / "file").touch()
    kept = images().kept(tmp_path / "file")
    assert kept.folder is None
    assert all_of(pickle.loads(pickle.dumps(kept))) == all_of(images())


def test_some_of_them_are_no_longer_those_in_the_files(tmp_path):
    some = images().kept(tmp_path).only(np.array([3, 1]))
    assert all_of(pickle.loads(pickle.dumps(some)))[2] == ["/images/3.png", "/images/1.png"]
    assert some.folder is None


def test_the_folder_may_be_named_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert images().kept(Path("cache")).folder.is_absolute()
