import errno
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from automl_cv.data import images, inspected, inspection, sketches, stamps
from automl_cv.data.inspected import Inspected, Inspections, memory_path, recall
from automl_cv.data.inspection import inspect
from automl_cv.data.ledger import Sizes
from automl_cv.errors import AutomlWarning


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
    return tmp_path / "cache" / "inspections" / "source.npz"


@pytest.fixture
def decoded(monkeypatch):
    """Record the size in bytes of what is decoded, decoding it all the same."""
    sizes = []
    looking = images.looking

    def recording(content):
        sizes.append(len(content))
        return looking(content)

    monkeypatch.setattr(images, "looking", recording)
    return sizes


@pytest.fixture
def opened(monkeypatch):
    """Record the names of files that are read whole."""
    names = []
    read = Path.read_bytes

    def recording(path):
        names.append(path.name)
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", recording)
    return names


@pytest.fixture
def settled(monkeypatch):
    """Have no change count as recent, and any file system as one that can tell."""
    monkeypatch.setattr(stamps, "RECENT", 0)
    monkeypatch.setattr(stamps, "_is_telling", lambda path, mounts: True)


def test_results_stand_in_order(paths, memory):
    found = inspect(paths, memory=memory)
    assert [(one.width, one.height, one.reason) for one in found] == [
        (10, 20, ""),
        (11, 20, ""),
        (12, 20, ""),
        (0, 0, "empty file"),
    ]
    black = np.zeros((20, 10, 3), np.uint8)
    assert found[0] == Inspected(
        "", images.content_hash(black), 10, 20, "PNG", sketch=sketches.draw(black)
    )


def test_nothing_is_read_twice(paths, memory, settled, decoded, opened):
    first = inspect(paths, memory=memory)
    assert sorted(opened) == ["0.png", "1.png", "2.png", "damaged.png"]
    assert len(decoded) == 4
    opened.clear()
    assert inspect(paths, memory=memory) == first
    assert opened == []


def test_a_changed_file_alone_is_decoded_again(paths, memory, settled, opened):
    inspect(paths, memory=memory)
    opened.clear()
    Image.new("RGB", (30, 30)).save(paths[1])
    os.utime(paths[1], ns=(1, 1))
    assert inspect(paths, memory=memory)[1].width == 30
    assert opened == ["1.png"]


def swap(first, second):
    os.rename(first, f"{first}.aside")
    os.rename(second, first)
    os.rename(f"{first}.aside", second)


def unzip_over(first, second):
    """Put each one's bytes in the other's place, keeping the times, as `unzip -o` does."""
    pair = [(Path(path), Path(path).read_bytes()) for path in (first, second)]
    for (path, _), (_, content) in zip(pair, reversed(pair), strict=True):
        path.unlink()
        path.write_bytes(content)
        os.utime(path, ns=(1_000_000_000, 1_000_000_000))


def write_in_place(first, second):
    pair = [(Path(path), Path(path).read_bytes()) for path in (first, second)]
    for (path, _), (_, content) in zip(pair, reversed(pair), strict=True):
        path.write_bytes(content)
        os.utime(path, ns=(1_000_000_000, 1_000_000_000))


@pytest.mark.parametrize("exchange", [swap, unzip_over, write_in_place])
@pytest.mark.parametrize("recent", [0, stamps.RECENT])
def test_equal_sizes_and_times_hide_no_exchange(tmp_path, memory, monkeypatch, exchange, recent):
    monkeypatch.setattr(stamps, "RECENT", recent)
    pair = [str(tmp_path / name) for name in ("a.bmp", "b.bmp")]
    for path, colour in zip(pair, ("red", "blue"), strict=True):
        Image.new("RGB", (4, 4), colour).save(path)
        os.utime(path, ns=(1_000_000_000, 1_000_000_000))
    first = inspect(pair, memory=memory)
    exchange(*pair)
    assert inspect(pair, memory=memory) == first[::-1]


def test_what_changed_just_now_is_hashed_but_not_decoded_again(
    paths, memory, decoded, opened, monkeypatch
):
    first = inspect(paths, memory=memory)
    decoded.clear(), opened.clear()
    assert inspect(paths, memory=memory) == first
    assert (len(opened), decoded) == (4, [])
    monkeypatch.setattr(stamps, "RECENT", 0)  # as if two seconds had passed
    monkeypatch.setattr(stamps, "_is_telling", lambda path, mounts: True)
    assert inspect(paths, memory=memory) == first
    opened.clear()
    assert inspect(paths, memory=memory) == first
    assert opened == []


def test_a_moved_file_is_known_by_its_bytes(paths, memory, settled, decoded):
    first = inspect(paths, memory=memory)
    moved = f"{paths[0]}.moved"
    os.rename(paths[0], moved)
    decoded.clear()
    assert inspect([moved, *paths[1:]], memory=memory) == first
    assert decoded == []


@pytest.mark.parametrize("content", [b"", b"{}", b"PK\3\4", b"\x93NUMPY"])
def test_a_damaged_memory_is_replaced(paths, memory, decoded, content):
    memory.parent.mkdir(parents=True)
    memory.write_bytes(content)
    first = inspect(paths, memory=memory)
    assert len(decoded) == 4
    assert inspect(paths, memory=memory) == first
    assert len(decoded) == 4


@pytest.mark.parametrize("per_mille", range(5, 1000, 90))
def test_a_bit_that_flipped_in_a_memory_changes_nothing(paths, memory, settled, per_mille):
    first = inspect(paths, memory=memory)
    content = bytearray(memory.read_bytes())
    content[len(content) * per_mille // 1000] ^= 16
    memory.write_bytes(content)
    assert inspect(paths, memory=memory) == first


def test_a_memory_that_is_cut_off_is_replaced(paths, memory, settled, decoded):
    first = inspect(paths, memory=memory)
    memory.write_bytes(memory.read_bytes()[:-1])
    decoded.clear()
    assert inspect(paths, memory=memory) == first
    assert len(decoded) == 4


def test_another_version_of_the_decoder_starts_anew(paths, memory, decoded, monkeypatch):
    inspect(paths, memory=memory)
    monkeypatch.setattr(inspected, "DECODER_VERSION", inspected.DECODER_VERSION + 1)
    inspect(paths, memory=memory)
    assert len(decoded) == 8


def test_the_memory_holds_no_files_that_are_gone_and_no_leftovers(paths, memory):
    inspect(paths, memory=memory)
    Image.new("RGB", (5, 5)).save(paths[0])
    inspect(paths[:2], memory=memory)
    assert recall(memory).paths == paths[:2]
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


def test_progress_counts_remembered_files_at_once(paths, memory, settled):
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
    first, second = (memory_path(tmp_path, source) for source in ("/a", "/b"))
    assert first != second
    assert first.parent == tmp_path / "inspections"


def test_sizes_are_ordered_by_area():
    picture = Inspected("", "", 0, 0, "PNG")
    sizes = [(10, 10), (1, 200), (30, 1), (10, 10)]
    found = [replace(picture, width=width, height=height) for width, height in sizes]
    assert inspection.measure(Inspections.of(found)) == Sizes((30, 1), (10, 10), (1, 200), 3)
    assert inspection.measure(Inspections.of([])) is None


def test_wrong_endings_are_counted_by_kind():
    names = ["a.jpg", "b/c.JPG", "d.jpeg", "e.dat", "f", "g.png"]
    formats = ["PNG", "PNG", "JPEG", "GIF", "PNG", "PNG"]
    found = [Inspected("", "", 1, 1, name) for name in formats]
    assert inspection.note_wrong_endings(names, Inspections.of(found)) == [
        "1 image in GIF format under .dat, read all the same; first e.dat",
        "2 images in PNG format under .jpg, read all the same; first a.jpg",
        "1 image in PNG format under no ending, read all the same; first f",
    ]
    backwards = inspection.note_wrong_endings(names[::-1], Inspections.of(found[::-1]))
    assert backwards[1] == "2 images in PNG format under .jpg, read all the same; first a.jpg"


def test_a_cache_that_cannot_be_written_to_is_warned_of(paths, memory, monkeypatch):
    def refuse(path, known):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(inspected, "remember", refuse)
    with pytest.warns(AutomlWarning, match="can't be remembered .*reads them again"):
        assert len(inspect(paths, memory=memory)) == 4
