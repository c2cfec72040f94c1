"""Files that PyTorch saved in its old format: tensors are read, whatever else is in one refused."""

from __future__ import annotations

import io
import os
import pickle
import struct
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import numpy as np
import pytest

from automl_cv.features import torchfile

MAGIC, VERSION = 0x1950A86A20F9469CFC6C, 1001


class Storage(NamedTuple):
    key: str
    length: int
    kind: type


class Tensor(NamedTuple):
    """A tensor as PyTorch pickles it: a call with what describes it."""

    storage: object
    start: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class Called:
    """Pickled as a call of a function."""

    def __init__(self, function, *given):
        self.call = (function, given)

    def __reduce__(self):
        return self.call


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Return a function that writes a file as torch.serialization's `_legacy_save` does."""
    torch, inner = ModuleType("torch"), ModuleType("torch._utils")
    rebuild = type(lambda: None)((lambda: None).__code__, {}, "_rebuild_tensor_v2")
    rebuild.__module__, rebuild.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    inner._rebuild_tensor_v2 = rebuild
    torch._utils = inner
    for name in ("FloatStorage", "LongStorage", "CharStorage"):
        setattr(torch, name, type(name, (), {"__module__": "torch", "__qualname__": name}))
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", inner)

    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            if isinstance(value, Storage):
                kind = getattr(torch, value.kind) if isinstance(value.kind, str) else value.kind
                return ("storage", kind, value.key, "cpu", value.length, None)
            return None

        def reducer_override(self, value):
            if isinstance(value, Tensor):
                return rebuild, (*value, False, OrderedDict())
            return NotImplemented

    def write(tensors, numbers, head=(MAGIC, VERSION, {"little_endian": True}), keys=None):
        path = tmp_path / "weights.pth"
        with path.open("wb") as file:
            for part in (*head, tensors, list(numbers) if keys is None else keys):
                Pickler(file, protocol=2).dump(part)
            for values in numbers.values():
                file.write(struct.pack("<q", len(values)) + values.tobytes())
        return path

    return write


def plain(key="0", length=6, kind="FloatStorage", start=0, shape=(2, 3), strides=(3, 1)):
    # A plain tuple would be pickled as one; the subclass is seen by `reducer_override`.
    return Tensor(Storage(key, length, kind), start, shape, strides)


SIX = np.arange(6, dtype="<f4")


def test_tensors_are_read(write):
    tensors = OrderedDict(
        whole=plain(),
        turned=plain(shape=(3, 2), strides=(1, 3)),
        part=plain(start=4, shape=(2,), strides=(1,)),
        count=plain("1", 1, "LongStorage", shape=(), strides=()),
    )
    tensors._metadata = OrderedDict(version=1)  # attributes become a step BUILD
    found = torchfile.read(write(tensors, {"0": SIX, "1": np.array([7], "<i8")}))
    assert list(found) == ["whole", "turned", "part", "count"]
    np.testing.assert_array_equal(found["whole"], SIX.reshape(2, 3))
    np.testing.assert_array_equal(found["turned"], SIX.reshape(2, 3).T)
    np.testing.assert_array_equal(found["part"], [4, 5])
    assert found["count"].shape == () and found["count"] == 7
    found["whole"][:] = 0
    assert found["turned"].any(), "each has numbers of its own"


def harmful(folder: Path) -> Called:
    return Called(os.system, f"touch {folder / 'harmed'}")


@pytest.mark.parametrize("place", ["head", "tensors", "value", "keys", "kind", "attributes"])
def test_code_is_refused_and_never_runs(write, tmp_path, place):
    code, head = harmful(tmp_path), (MAGIC, VERSION, {"little_endian": True})
    tensors: object = {"a": plain()}
    keys = None
    if place == "head":
        head = (code,)
    elif place == "tensors":
        tensors = code
    elif place == "value":
        tensors = {"a": plain(), "b": code}
    elif place == "keys":
        keys = code
    elif place == "kind":
        tensors = {"a": plain(kind=os.system)}
    elif place == "attributes":
        tensors = OrderedDict(a=plain())
        tensors._metadata = code
    path = write(tensors, {"0": SIX}, head, keys)
    with pytest.raises(ValueError, match=r"^refused: it (calls posix.system|refers)") as caught:
        torchfile.read(path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "harmed").exists()
    if place == "head":
        with path.open("rb") as file:
            pickle.load(file)
        assert (tmp_path / "harmed").exists(), "the file would do harm"


@pytest.mark.parametrize(
    ("tensor", "expected"),
    [
        (plain(start=1), "within their storages"),
        (plain(strides=(4, 1)), "within their storages"),
        (plain(shape=(10**12,), strides=(0,)), "no larger than their storages"),
        (plain(start=-1), "views of storages"),
        (plain(strides=(-3, 1)), "views of storages"),
        (plain(shape=(2,)), "views of storages"),
        (plain(length=5), "cut short|as long as said|no larger"),
        (plain(length=10**15), "cut short"),
        (plain(kind="CharStorage"), "no storage of numbers"),
        ("text", "tensors by their names"),
    ],
)
def test_what_is_no_tensor_of_the_file_is_told(write, tensor, expected):
    with pytest.raises(ValueError, match=expected):
        torchfile.read(write({"a": tensor}, {"0": SIX}))


def test_other_files_are_told(write, tmp_path):
    path = tmp_path / "other.pth"
    for content in (b"", b"PK\x03\x04 a zip archive", b"\x80\x02K\x01.", b"\x80\x04\x95"):
        path.write_bytes(content)
        with pytest.raises(ValueError):
            torchfile.read(path)
    big = write({"a": plain()}, {"0": SIX}, (MAGIC, VERSION, {"little_endian": False}))
    with pytest.raises(ValueError, match="not little-endian"):
        torchfile.read(big)


@pytest.fixture
def archive(write, tmp_path):
    """Return a function that writes an archive as PyTorch does since 1.6, of a dict's pickle."""

    def write_archive(tensors, storages, packing=zipfile.ZIP_STORED, order=b"little"):
        pickled = write(tensors, {}, head=()).read_bytes()
        members = {"data.pkl": pickled, "byteorder": order}
        members |= {f"data/{key}": numbers.tobytes() for key, numbers in storages.items()}
        path = tmp_path / "archive.pth"
        with zipfile.ZipFile(path, "w", packing) as file:
            for name, content in members.items():
                file.writestr(f"weights/{name}", content)
        return path

    return write_archive


def test_an_archive_of_pytorch_itself_is_read():
    """`record_dinov2.py` wrote it, by PyTorch 2.14."""
    found = torchfile.read(Path(__file__).parent.parent / "engine" / "dinov2_tiny.pth")
    assert len(found) == 4 * 14 + 7
    assert found["pos_embed"].shape == (1, 10, 8)
    assert found["blocks.3.attn.qkv.weight"].shape == (24, 8)
    assert all(np.isfinite(one).all() and one.any() for one in found.values())


def test_code_in_an_archive_is_refused_and_never_runs(archive, tmp_path):
    path = archive({"a": plain(), "b": harmful(tmp_path)}, {"0": SIX})
    with pytest.raises(ValueError, match=r"^refused: it calls posix.system"):
        torchfile.read(path)
    assert not (tmp_path / "harmed").exists()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"storages": {}}, "no whole archive of PyTorch"),
        ({"storages": {"0": SIX[:5]}}, "as long as said"),
        ({"storages": {"0": SIX}, "packing": zipfile.ZIP_DEFLATED}, "as long as said"),
        ({"storages": {"0": SIX}, "order": b"big"}, "not little-endian"),
        ({"storages": {"0": SIX}, "tensors": [1]}, "a dict of tensors"),
    ],
)
def test_other_archives_are_told(archive, changed, message):
    with pytest.raises(ValueError, match=message):
        torchfile.read(archive(**{"tensors": {"a": plain()}, **changed}))


@pytest.mark.slow
def test_a_file_that_is_cut_short_or_changed_anywhere_does_no_more_than_fail(write):
    """Whatever a byte is changed to: arrays, or a ValueError of one line."""
    tensors = OrderedDict(a=plain(), b=plain(start=2, shape=(2,), strides=(1,)))
    path = write(tensors, {"0": SIX})
    content = path.read_bytes()
    draw, failed = np.random.default_rng(0), 0
    for place in range(len(content)):
        changed = content[:place] + bytes([draw.integers(256)]) + content[place + 1 :]
        for given in (changed, content[:place]):
            path.write_bytes(given)
            try:
                torchfile.read(path)
            except ValueError as error:
                assert "\n" not in str(error)
                failed += 1
    assert failed > len(content), "a cut file always fails"


def test_steps_that_no_tensor_needs_are_refused(tmp_path):
    path = tmp_path / "steps.pth"
    for value in (b"bytes", {1, 2}, frozenset()):
        written = io.BytesIO()
        pickle.dump(value, written, protocol=4)
        path.write_bytes(written.getvalue())
        with pytest.raises(ValueError, match="refused: it has the step "):
            torchfile.read(path)
