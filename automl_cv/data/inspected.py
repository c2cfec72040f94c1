"""What inspection found of files, held by column, and the file in which it is remembered.

A file takes 490 bytes here; as Python's objects it took 1,200 and more.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
import PIL
from numpy.typing import NDArray

from automl_cv.data import images, sketches, stamps
from automl_cv.data.texts import Texts

# Raised whenever `images.decode` gives other pixels than before; Pillow's version stands beside
# it in the memory, since a newer JPEG library may round differently.
DECODER_VERSION = 1
LAYOUT = 5

FOUND = np.dtype(
    [
        ("reason", np.int32),  # its number among all reasons; 0 of an image
        ("content_hash", "S32"),
        ("width", np.int32),
        ("height", np.int32),
        ("format", "S12"),
        ("low", np.float64),
        ("high", np.float64),
        ("depth", "S16"),
        ("window", np.float64, 2),  # no numbers where there is none
        ("sketch", np.uint8, (sketches.SIDE, sketches.SIDE)),
    ]
)
FILE = np.dtype([("stamp", np.uint64, stamps.STAMP_PARTS), ("bytes_hash", "S32"), ("found", FOUND)])


@dataclass(frozen=True, slots=True)
class Inspected:
    """What came of decoding one file.

    Args:
        reason: why it is no image; empty for an image, and then the rest is filled.
        content_hash: see `images.content_hash`.
        width: pixels, EXIF orientation applied.
        height: pixels.
        format: Pillow's name of the format, by content.
        low: the smallest value of a pixel; of deep greys as the file has it.
        high: the largest.
        depth: of greys of more than 8 bits, see `images.Deep`; empty for others.
        window: that `content_hash` and `sketch` hold for, where there is a depth.
        sketch: see `sketches.draw`; empty where there is no hash.
    """

    reason: str = ""
    content_hash: str = ""
    width: int = 0
    height: int = 0
    format: str = ""
    low: float = 0
    high: float = 0
    depth: str = ""
    window: images.Window | None = None
    sketch: bytes = b""


@dataclass(frozen=True, eq=False)
class Read:
    """What is known of one file.

    Args:
        stamp: as it was before the file was read, see `stamps.take`.
        bytes_hash: of the file, 32 hexadecimal digits; empty for one that could not be read.
        result: what came of decoding it.
    """

    stamp: NDArray[np.uint64]
    bytes_hash: str
    result: Inspected


class Inspections(Sequence[Inspected]):
    """What came of decoding files, in their order.

    Args:
        rows: of the type FOUND, (files,).
        reasons: why files are no images, by number; the first is "".
    """

    def __init__(self, rows: NDArray[np.void], reasons: list[str]) -> None:
        self.rows = rows
        self.reasons = reasons
        self._numbers = {reason: number for number, reason in enumerate(reasons)}

    @classmethod
    def of(cls, found: Sequence[Inspected]) -> Inspections:
        """Return these in columns."""
        result = cls(np.zeros(len(found), FOUND), [""])
        for place, one in enumerate(found):
            result.put(place, one)
        return result

    def put(self, place: int, one: Inspected) -> None:
        """Say what came of the file in a place."""
        number = self._numbers.setdefault(one.reason, len(self.reasons))
        if number == len(self.reasons):
            self.reasons.append(one.reason)
        known = one.sketch or bytes(sketches.SIDE**2)
        self.rows[place] = (
            number,
            one.content_hash.encode(),
            one.width,
            one.height,
            one.format.encode(),
            one.low,
            one.high,
            one.depth.encode(),
            (np.nan, np.nan) if one.window is None else one.window,
            np.frombuffer(known, np.uint8).reshape(sketches.SIDE, sketches.SIDE),
        )

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, place: int | np.integer[Any]) -> Inspected: ...
    @overload
    def __getitem__(self, place: slice) -> Inspections: ...
    def __getitem__(self, place: int | np.integer[Any] | slice) -> Inspected | Inspections:
        if isinstance(place, slice):
            return Inspections(self.rows[place], self.reasons)
        # All at once: reading a row field by field takes four times as long.
        reason, known, width, height, kind, low, high, depth, window, sketch = self.rows[
            place
        ].item()
        return Inspected(
            self.reasons[reason],
            known.decode(),
            width,
            height,
            kind.decode(),
            low,
            high,
            depth.decode(),
            None if not depth or np.isnan(window[0]) else images.Window(*window.tolist()),
            sketch.tobytes() if known else b"",
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and [*self] == [*other]

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Inspections.of({[*self[:3]]}{', …' if len(self) > 3 else ''})"

    def take(self, rows: NDArray[Any]) -> Inspections:
        """Return some of them: by place, or by whether each is wanted."""
        return Inspections(self.rows[rows], self.reasons)

    @property
    def content_hashes(self) -> Texts:
        """Hashes of images' pixels. All must be images."""
        characters = np.ascontiguousarray(self.rows["content_hash"]).view(np.uint8)
        return Texts(characters, FOUND["content_hash"].itemsize * np.arange(1, len(self) + 1))

    @property
    def is_image(self) -> NDArray[np.bool_]:
        """Whether each is an image, (files,)."""
        result: NDArray[np.bool_] = self.rows["reason"] == 0
        return result

    @property
    def deep(self) -> NDArray[np.intp]:
        """Places of those of greys of more than 8 bits."""
        return np.flatnonzero(self.rows["depth"] != b"")


class Memory:
    """What is known of a source's files.

    Args:
        paths: of the files.
        rows: of the type FILE, (files,): for each the stamp as it was before the file was read,
            the hash of its bytes (empty where it could not be read), and what was found; all
            zeros for a file of which nothing is known.
        reasons: see `Inspections`.
    """

    def __init__(self, paths: Texts, rows: NDArray[np.void], reasons: list[str]) -> None:
        self.paths = paths
        self.rows = rows
        self.found = Inspections(rows["found"], reasons)

    def of(self, paths: Texts) -> Memory:
        """Return what is known of these files."""
        if paths == self.paths:
            return self
        own = {path: place for place, path in enumerate(self.paths)}
        places = np.fromiter((own.get(path, -1) for path in paths), np.intp, len(paths))
        rows = np.zeros(len(paths), FILE)
        rows[places >= 0] = self.rows[places[places >= 0]]
        return Memory(paths, rows, self.found.reasons)

    def copy(self) -> Memory:
        """Return the same, to be changed."""
        return Memory(self.paths, self.rows.copy(), [*self.found.reasons])

    def put(self, place: int, one: Read) -> bool:
        """Say what is known of a file now; return whether that is news."""
        row = self.rows[place : place + 1]
        known = row.tobytes()
        row["stamp"], row["bytes_hash"] = one.stamp, one.bytes_hash.encode()
        self.found.put(place, one.result)
        return row.tobytes() != known

    def get(self, place: int) -> Read:
        """Return what is known of a file."""
        row = self.rows[place]
        return Read(row["stamp"], row["bytes_hash"].decode(), self.found[place])

    def by_content(self) -> dict[str, int]:
        """Return for each hash of a file's bytes where such a file is."""
        hashes = self.rows["bytes_hash"].tolist()
        return {known.decode(): place for place, known in enumerate(hashes) if known}


def memory_path(cache_dir: Path, source: str) -> Path:
    """Return where the inspection of a source, given by its absolute path, is remembered."""
    digest = hashlib.blake2b(os.fsencode(source), digest_size=8).hexdigest()
    return cache_dir / "inspections" / f"{digest}.npz"


def _header() -> dict[str, Any]:
    return {"layout": LAYOUT, "decoder": DECODER_VERSION, "pillow": PIL.__version__}


def recall(path: Path) -> Memory:
    """Return what a memory holds; nothing where there is none, or a damaged one."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as held:
            about = json.loads(str(held["about"]))
            rows, paths = held["rows"], Texts(held["characters"], held["ends"])
            if about["header"] == _header() and rows.dtype == FILE and len(rows) == len(paths):
                return Memory(paths, rows, about["reasons"])
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        pass
    return Memory(Texts.of(()), np.zeros(0, FILE), [""])


def remember(path: Path, memory: Memory) -> None:
    """Write a memory whole and put it in place at once, so that no reader sees half of it.

    Raises:
        OSError: it can't be written.
    """
    about = {"header": _header(), "reasons": memory.found.reasons}
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(
                file,
                about=np.array(json.dumps(about)),
                characters=memory.paths.characters,
                ends=memory.paths.ends,
                rows=memory.rows,
            )
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
