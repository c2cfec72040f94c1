import numpy as np
import pytest

from automl_cv.data.images import Window
from automl_cv.data.inspected import FILE, Inspected, Inspections, Memory, Read, recall, remember
from automl_cv.data.texts import Texts

SKETCH = bytes(range(256))
IMAGE = Inspected("", "a" * 32, 30, 20, "PNG", 3, 250, sketch=SKETCH)
DEEP = Inspected("", "b" * 32, 3, 2, "TIFF", -1.5, 7e9, "float", Window(0.25, 1), SKETCH)
FOUND = [
    IMAGE,
    Inspected("empty file"),
    DEEP,
    Inspected("", "", 3, 2, "TIFF", 0, 4095, "signed 16-bit"),
    Inspected("truncated after 7 bytes"),
    Inspected("empty file"),
]


def test_columns_give_back_what_they_were_given():
    held = Inspections.of(FOUND)
    assert held == FOUND
    assert [*held] == FOUND
    assert held[1:4] == FOUND[1:4]
    assert held[-1] == FOUND[-1]
    assert held.take(np.array([2, 0])) == [DEEP, IMAGE]
    assert held.deep.tolist() == [2, 3]
    assert held.reasons == ["", "empty file", "truncated after 7 bytes"]
    assert held.take(np.array([2, 0])).content_hashes == ["b" * 32, "a" * 32]
    assert held != FOUND[:-1]


def memory_of(paths, found, number=1):
    held = Memory(Texts.of(paths), np.zeros(len(paths), FILE), [""])
    for place, one in enumerate(found):
        stamp = np.full(4, number + place, np.uint64)
        assert held.put(place, Read(stamp, f"{place:032x}", one))
    return held


def test_a_memory_opens_as_it_was_written(tmp_path):
    paths = [f"/é/{number}\udcff.png" for number in range(len(FOUND))]
    remember(tmp_path / "m.npz", memory_of(paths, FOUND))
    known = recall(tmp_path / "m.npz")
    assert known.paths == paths
    assert known.found == FOUND
    assert known.get(2).stamp.tolist() == [3, 3, 3, 3]
    assert known.get(2).bytes_hash == f"{2:032x}"


def test_what_is_known_of_other_files_is_nothing():
    known = memory_of(["a", "b", "c"], [IMAGE, DEEP, IMAGE]).of(Texts.of(["c", "x", "b"]))
    assert known.found[0] == IMAGE
    assert known.found[2] == DEEP
    assert not known.rows[1].tobytes().strip(b"\0")


def test_what_is_put_again_is_no_news():
    known = memory_of(["a"], [IMAGE])
    assert not known.put(0, known.get(0))
    changed = known.copy()
    assert changed.put(0, Read(np.zeros(4, np.uint64), "", Inspected("gone")))
    assert known.found == [IMAGE]
    assert known.found.reasons == [""]


def test_a_memory_of_another_layout_is_none(tmp_path, monkeypatch):
    remember(tmp_path / "m.npz", memory_of(["a"], [IMAGE]))
    monkeypatch.setattr("automl_cv.data.inspected.LAYOUT", 6)
    assert len(recall(tmp_path / "m.npz").paths) == 0


@pytest.mark.parametrize("field", ["content_hash", "format", "depth"])
def test_no_text_is_cut_short(field):
    from automl_cv.data.decoding import FORMATS
    from automl_cv.data.inspected import FOUND as TYPE

    longest = {
        "content_hash": "a" * 32,
        "format": max(FORMATS, key=len),
        "depth": "signed 16-bit",
    }[field]
    assert TYPE[field].itemsize >= len(longest)
