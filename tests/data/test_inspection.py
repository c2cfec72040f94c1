import json
import os
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from automl_cv.data import images, inspection
from automl_cv.data.inspection import Inspected, inspect
from automl_cv.data.ledger import Sizes


@pytest.fixture
def paths(tmp_path):
    found = []
    for number in range(3):
        path = tmp_path / f"{number}.png"
        Image.new("RGB", (10 + number, 20), (number, 0, 0)).save(path)
        found.append(str(path))
    damaged = tmp_path / "damaged.png"
    damaged.write_bytes(b"")
    return [*found, str(damaged)]


@pytest.fixture
def memory(tmp_path):
    return tmp_path / "cache" / "inspections" / "source.json"


@pytest.fixture
def decoded(monkeypatch):
    """Record what is decoded, decoding it all the same."""
    names = []
    read = images.read

    def recording(path):
        names.append(path.name)
        return read(path)

    monkeypatch.setattr(images, "read", recording)
    return names


def test_results_stand_in_order(paths, memory):
    found = inspect(paths, memory=memory)
    assert [(one.width, one.height, one.reason) for one in found] == [
        (10, 20, ""),
        (11, 20, ""),
        (12, 20, ""),
        (0, 0, "empty file"),
    ]
    black = np.zeros((20, 10, 3), np.uint8)
    assert found[0] == Inspected("", images.content_hash(black), 10, 20, "PNG")


def test_nothing_is_decoded_twice(paths, memory, decoded):
    first = inspect(paths, memory=memory)
    assert sorted(decoded) == ["0.png", "1.png", "2.png", "damaged.png"]
    decoded.clear()
    assert inspect(paths, memory=memory) == first
    assert decoded == []


def test_a_changed_file_alone_is_decoded_again(paths, memory, decoded):
    inspect(paths, memory=memory)
    decoded.clear()
    Image.new("RGB", (30, 30)).save(paths[1])
    os.utime(paths[1], ns=(1, 1))
    assert inspect(paths, memory=memory)[1].width == 30
    assert decoded == ["1.png"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"header": {}, "files": []}', '{"files": 3}'])
def test_a_damaged_memory_is_replaced(paths, memory, decoded, text):
    memory.parent.mkdir(parents=True)
    memory.write_text(text)
    first = inspect(paths, memory=memory)
    assert len(decoded) == 4
    assert inspect(paths, memory=memory) == first
    assert len(decoded) == 4


def test_another_version_of_the_decoder_starts_anew(paths, memory, decoded, monkeypatch):
    inspect(paths, memory=memory)
    monkeypatch.setattr(inspection, "DECODER_VERSION", inspection.DECODER_VERSION + 1)
    inspect(paths, memory=memory)
    assert len(decoded) == 8


def test_the_memory_holds_no_files_that_are_gone_and_no_leftovers(paths, memory):
    inspect(paths, memory=memory)
    Image.new("RGB", (5, 5)).save(paths[0])
    inspect(paths[:2], memory=memory)
    assert len(json.loads(memory.read_text())["files"]) == 2
    assert list(memory.parent.iterdir()) == [memory]


def test_a_file_that_can_not_be_opened_is_tried_again(paths, memory, tmp_path):
    missing = str(tmp_path / "late.png")
    first = inspect([*paths, missing], memory=memory)
    assert first[-1].reason == "can't be read: No such file or directory"
    Image.new("RGB", (4, 4)).save(missing)
    assert inspect([*paths, missing], memory=memory)[-1].width == 4


def test_a_pipe_is_not_waited_for(memory, tmp_path):
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    assert inspect([str(pipe)], memory=memory) == [Inspected("not a regular file")]


def test_progress_counts_remembered_files_at_once(paths, memory):
    steps = []
    inspect(paths, memory=memory, on_progress=lambda *step: steps.append(step))
    assert steps == [(0, 4), (4, 4)]
    steps.clear()
    inspect(paths, memory=memory, on_progress=lambda *step: steps.append(step))
    assert steps == [(4, 4)]


def test_an_interruption_is_passed_on(paths, memory):
    def stop(done, total):
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        inspect(paths, memory=memory, on_progress=stop)
    assert not memory.exists()


def test_each_source_has_a_memory_of_its_own(tmp_path):
    first, second = (inspection.memory_path(tmp_path, source) for source in ("/a", "/b"))
    assert first != second
    assert first.parent == tmp_path / "inspections"


def test_sizes_are_ordered_by_area():
    picture = Inspected("", "", 0, 0, "PNG")
    sizes = [(10, 10), (1, 200), (30, 1), (10, 10)]
    found = [replace(picture, width=width, height=height) for width, height in sizes]
    assert inspection.measure(found) == Sizes((30, 1), (10, 10), (1, 200), 3)
    assert inspection.measure([]) is None


def test_wrong_endings_are_counted_by_kind():
    names = ["a.jpg", "b/c.JPG", "d.jpeg", "e.dat", "f", "g.png"]
    formats = ["PNG", "PNG", "JPEG", "GIF", "PNG", "PNG"]
    found = [Inspected("", "", 1, 1, name) for name in formats]
    assert inspection.note_wrong_endings(names, found) == [
        "1 image in GIF format under .dat, read all the same; first e.dat",
        "2 images in PNG format under .jpg, read all the same; first a.jpg",
        "1 image in PNG format under no ending, read all the same; first f",
    ]
