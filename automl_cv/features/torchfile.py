"""Tensors from a file that PyTorch saved, without PyTorch and without pickle.

Until version 1.6 `torch.save` wrote five pickles one after the other (a magic number, a version,
facts of the machine, a dict of tensors, the keys of their storages), then the storages' numbers
(`_legacy_load` in torch/serialization.py). Since then it writes a ZIP archive: the pickle of the
dict is `data.pkl`, each storage a file of `data/` (`_load`). Unpickling runs whatever code a
file names. Here nothing is unpickled: `pickletools` splits a pickle into its steps, and those
that a dict of tensors is written with are carried out on plain data. Every other step or name is
refused.
"""

from __future__ import annotations

import io
import math
import pickletools
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

_MAGIC = 0x1950A86A20F9469CFC6C
_VERSION = 1001
_NUMBERS: Mapping[str, np.dtype[Any]] = {
    "torch FloatStorage": np.dtype("<f4"),
    "torch DoubleStorage": np.dtype("<f8"),
    "torch HalfStorage": np.dtype("<f2"),
    "torch LongStorage": np.dtype("<i8"),
    "torch IntStorage": np.dtype("<i4"),
}


class _Name(NamedTuple):
    """A name that a pickle refers to, "module attribute"; it is never imported."""

    text: str


class _Storage(NamedTuple):
    """Numbers that one or more tensors look at; they follow the pickles, by key."""

    key: str
    numbers: np.dtype[Any]
    length: int


class _Tensor(NamedTuple):
    """A view of a storage: where it begins, its shape and its steps, all counted in numbers."""

    storage: _Storage
    start: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read(path: Path) -> dict[str, np.ndarray]:
    """Read a dict of tensors, such as a network's `state_dict`.

    Args:
        path: the file.

    Returns:
        Arrays by the tensors' names, copies in the order and with the shapes of the file.

    Raises:
        ValueError: it is no such file, is cut short, or holds anything but tensors.
        OSError: it can't be read.
    """
    with path.open("rb") as file:
        if zipfile.is_zipfile(file):
            return _read_archive(file)
        file.seek(0)
        if _unpack(file) != _MAGIC or _unpack(file) != _VERSION:
            raise ValueError("it is no file that PyTorch saved")
        machine = _unpack(file)
        if not isinstance(machine, dict) or machine.get("little_endian") is not True:
            raise ValueError("its numbers are not little-endian")
        tensors, storages = _described(file)
        keys = _unpack(file)
        _check(isinstance(keys, list) and len(keys) == len(storages), "a storage for each key")
        _check(all(isinstance(key, str) and key in storages for key in keys), "keys of storages")
        ends = path.stat().st_size
        numbers = {key: _read_storage(file, storages[key], ends) for key in keys}
    return {name: _view(tensor, numbers[tensor.storage.key]) for name, tensor in tensors.items()}


def _read_archive(file: BinaryIO) -> dict[str, np.ndarray]:
    """Read a dict of tensors from an archive, as PyTorch writes it since version 1.6."""
    try:
        with zipfile.ZipFile(file) as archive:
            # All members stand in one folder, which has the name that the file once had.
            root = archive.namelist()[0].partition("/")[0]
            order = f"{root}/byteorder"
            if order in archive.namelist() and archive.read(order) != b"little":
                raise ValueError("its numbers are not little-endian")
            tensors, storages = _described(io.BytesIO(archive.read(f"{root}/data.pkl")))
            numbers = {}
            for key, storage in storages.items():
                member = archive.getinfo(f"{root}/data/{key}")
                size = storage.length * storage.numbers.itemsize
                # PyTorch packs nothing; what unpacks to more was made to fill the memory.
                fits = member.file_size == member.compress_size == size
                _check(fits, "storages as long as said")
                numbers[key] = np.frombuffer(archive.read(member), storage.numbers)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, KeyError, IndexError, EOFError) as error:
        raise ValueError(f"it is no whole archive of PyTorch ({type(error).__name__})") from None
    return {name: _view(tensor, numbers[tensor.storage.key]) for name, tensor in tensors.items()}


def _described(file: BinaryIO) -> tuple[dict[str, _Tensor], dict[str, _Storage]]:
    """Return the tensors that the next pickle of a file describes, and their storages by key."""
    tensors = _unpack(file)
    _check(isinstance(tensors, dict), "a dict of tensors")
    for name, tensor in tensors.items():
        _check(isinstance(name, str) and isinstance(tensor, _Tensor), "tensors by their names")
    described = {tensor.storage for tensor in tensors.values()}
    storages = {storage.key: storage for storage in described}
    _check(len(storages) == len(described), "a storage for each key")
    return tensors, storages


def _check(fits: bool, expected: str) -> None:
    if not fits:
        raise ValueError(f"expected {expected}")


def _read_storage(file: BinaryIO, storage: _Storage, ends: int) -> np.ndarray:
    """Read a storage: its length, 8 bytes, and its numbers."""
    length = int.from_bytes(file.read(8), "little")
    size = storage.length * storage.numbers.itemsize
    _check(file.tell() + size <= ends, "more numbers; it is cut short")
    _check(length == storage.length, "storages as long as said")
    return np.frombuffer(file.read(size), storage.numbers)


def _view(tensor: _Tensor, numbers: np.ndarray) -> np.ndarray:
    """Return a tensor's numbers as an array of its own."""
    # Weights that were converted from TensorFlow are transposed views of what is stored.
    size = math.prod(tensor.shape)
    _check(size <= len(numbers), "tensors no larger than their storages")
    if size:
        steps = zip(tensor.shape, tensor.strides, strict=True)
        last = tensor.start + sum((length - 1) * stride for length, stride in steps)
        _check(last < len(numbers), "tensors within their storages")
    strides = [stride * numbers.itemsize for stride in tensor.strides]
    return np.lib.stride_tricks.as_strided(numbers[tensor.start :], tensor.shape, strides).copy()


# ------------------------------------------------------------------------- the steps of a pickle


class _Mark:
    """Where on the stack a tuple, or the items of a list or dict, begin."""


class _Machine:
    """Carries out the steps of one pickle on a stack of plain data."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def since_mark(self) -> list[Any]:
        """Take all that was put on the stack since the last mark, and the mark."""
        marks = [at for at, one in enumerate(self.stack) if isinstance(one, _Mark)]
        _check(bool(marks), "a whole pickle")
        place = marks[-1]
        taken = self.stack[place + 1 :]
        del self.stack[place:]
        return taken

    def take(self, count: int) -> tuple[Any, ...]:
        """Take the last `count` values."""
        _check(count <= len(self.stack), "a whole pickle")
        return tuple(self.stack.pop() for _ in range(count))[::-1]

    def memorise(self, number: int) -> None:
        """Keep the last value under a number."""
        self.memo[number] = self.stack[-1]

    def fill(self, items: list[Any]) -> None:
        """Put keys and values into the dict below them."""
        into = self.stack[-1]
        names = all(isinstance(key, str | int) for key in items[::2])
        _check(isinstance(into, dict) and names, "names of items in a dict")
        into.update(zip(items[::2], items[1::2], strict=True))

    def extend(self, items: list[Any]) -> None:
        """Put values at the end of the list below them."""
        into = self.stack[-1]
        _check(isinstance(into, list), "items of a list")
        into.extend(items)

    def call(self) -> None:
        """Carry out a call of one of the two functions that tensors are written with."""
        name, given = self.take(2)
        if name == _Name("collections OrderedDict") and given == ():
            self.stack.append({})
        elif name == _Name("torch._utils _rebuild_tensor_v2"):
            self.stack.append(_tensor(given))
        else:
            text = name.text.replace(" ", ".") if isinstance(name, _Name) else "what is no name"
            raise ValueError(f"refused: it calls {text}; expected tensors alone")

    def refer(self) -> None:
        """Make a storage of what describes it."""
        (given,) = self.take(1)
        match given:
            case ("storage", _Name(name), str(key), str(), int(length), *rest) if (
                name in _NUMBERS and rest in ([], [None])
            ):
                _check(length >= 0, "storages of a length")
                self.stack.append(_Storage(key, _NUMBERS[name], length))
            case _:
                raise ValueError("refused: it refers to something that is no storage of numbers")

    def leave_out(self) -> None:
        """Leave out what would become attributes of a dict (versions of PyTorch's layers)."""
        into, _ = self.take(2)
        _check(isinstance(into, dict), "attributes of a dict alone")
        self.stack.append(into)


def _tensor(given: Any) -> _Tensor:
    match given:
        case (_Storage() as storage, int(start), tuple(shape), tuple(strides), *_) if (
            start >= 0
            and len(shape) == len(strides)
            and all(isinstance(one, int) and one >= 0 for one in (*shape, *strides))
        ):
            return _Tensor(storage, start, shape, strides)
    raise ValueError("expected tensors that are views of storages")


_CONSTANTS = ("BININT", "BININT1", "BININT2", "LONG1", "BINUNICODE", "BINFLOAT")
_STEPS: Mapping[str, Callable[[_Machine, Any], object]] = {
    **dict.fromkeys(_CONSTANTS, lambda machine, value: machine.stack.append(value)),
    "NONE": lambda machine, _: machine.stack.append(None),
    "NEWTRUE": lambda machine, _: machine.stack.append(True),
    "NEWFALSE": lambda machine, _: machine.stack.append(False),
    "EMPTY_TUPLE": lambda machine, _: machine.stack.append(()),
    "EMPTY_LIST": lambda machine, _: machine.stack.append([]),
    "EMPTY_DICT": lambda machine, _: machine.stack.append({}),
    "MARK": lambda machine, _: machine.stack.append(_Mark()),
    "TUPLE": lambda machine, _: machine.stack.append(tuple(machine.since_mark())),
    "TUPLE1": lambda machine, _: machine.stack.append(machine.take(1)),
    "TUPLE2": lambda machine, _: machine.stack.append(machine.take(2)),
    "TUPLE3": lambda machine, _: machine.stack.append(machine.take(3)),
    "APPEND": lambda machine, _: machine.extend(list(machine.take(1))),
    "APPENDS": lambda machine, _: machine.extend(machine.since_mark()),
    "SETITEM": lambda machine, _: machine.fill(list(machine.take(2))),
    "SETITEMS": lambda machine, _: machine.fill(machine.since_mark()),
    "BINPUT": _Machine.memorise,
    "LONG_BINPUT": _Machine.memorise,
    "BINGET": lambda machine, number: machine.stack.append(machine.memo[number]),
    "LONG_BINGET": lambda machine, number: machine.stack.append(machine.memo[number]),
    "GLOBAL": lambda machine, text: machine.stack.append(_Name(text)),
    "REDUCE": lambda machine, _: machine.call(),
    "BUILD": lambda machine, _: machine.leave_out(),
    "BINPERSID": lambda machine, _: machine.refer(),
}


def _unpack(file: BinaryIO) -> Any:
    """Return what the next pickle of a file holds: plain data and tensors.

    Raises:
        ValueError: it has another step, or is none.
    """
    machine = _Machine()
    try:
        for step, value, _ in pickletools.genops(file):
            if step.name == "STOP":
                (held,) = machine.take(1)
                return held
            if step.name == "PROTO":
                continue
            if step.name not in _STEPS:
                raise ValueError(f"refused: it has the step {step.name}; expected tensors alone")
            _STEPS[step.name](machine, value)
    except (KeyError, IndexError, TypeError, MemoryError, OverflowError) as error:
        raise ValueError(f"it is no whole pickle ({type(error).__name__})") from None
    raise ValueError("it is no whole pickle")
