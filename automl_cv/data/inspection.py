"""Inspection: decode every file once, remember what came of it.

The memory lies under the cache folder, one JSON file a source. It knows a file by the hash of
its bytes. Which file lies under a path may be taken from the file system where that can tell
(`stamps`); where in doubt the bytes are read and hashed again, but not decoded.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import stat
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import PIL
from PIL import Image

from automl_cv.data import images, sketches, stamps
from automl_cv.data.large import Large
from automl_cv.data.ledger import Sizes
from automl_cv.data.stamps import Stamp
from automl_cv.errors import warn
from automl_cv.processors import cores
from automl_cv.words import counted

OnProgress = Callable[[int, int], None]
OnStep = Callable[[str, int, int], None]
"""Is told (what is done now, how much of it is done, how much there is)."""
INSPECTING = "inspecting images"
WindowOf = Callable[[Sequence["Inspected"]], images.Window | None]

# Raised whenever `images.decode` gives other pixels than before; Pillow's version stands beside
# it in the memory, since a newer JPEG library may round differently.
DECODER_VERSION = 1

# Pillow lets go of Python's lock while it decodes, but a small image is mostly Python's own work:
# measured on two cores, 28x28 PNG take 59 microseconds each with one thread, 48 with two or four.
MAX_THREADS = 4
BATCH = 64  # files a thread takes at a time


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
        sketch: see `sketches.draw`.
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
    sketch: str = ""


def inspect(
    paths: Sequence[str],
    *,
    memory: Path,
    window_of: WindowOf = lambda deep: None,
    on_progress: OnProgress | None = None,
) -> list[Inspected]:
    """Decode files in a small pool of threads, skipping those the memory knows.

    Args:
        paths: absolute paths of files.
        memory: the JSON file to read and, where it said something else, to write anew. A
            damaged or missing one is ignored.
        window_of: is given what was found of deep greys, if any; returns the window that they
            are scaled from.
        on_progress: called in this thread with (files done, files in all).

    Returns:
        One result for each path, in order.
    """
    remembered = _recall(memory)
    taken = stamps.take(paths)
    rows: list[_Row | None] = [
        row if stamp is not None and (row := remembered.get(path)) and row.stamp == stamp else None
        for path, stamp in zip(paths, taken, strict=True)
    ]
    waiting = [place for place, row in enumerate(rows) if row is None]
    by_content = {row.bytes_hash: row.result for row in remembered.values()} if waiting else {}
    done = len(paths) - len(waiting)
    report = on_progress or (lambda done, total: None)
    report(done, len(paths))

    def look(batch: Sequence[int]) -> list[_Row]:
        return [_look(paths[place], taken[place], by_content) for place in batch]

    batches = [waiting[start : start + BATCH] for start in range(0, len(waiting), BATCH)]
    with ThreadPoolExecutor(min(MAX_THREADS, cores())) as pool:
        try:
            for batch, found in zip(batches, pool.map(look, batches), strict=True):
                for place, row in zip(batch, found, strict=True):
                    rows[place] = row
                done += len(batch)
                report(done, len(paths))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # Ctrl-C must not decode the rest
            raise
        seen = [row for row in rows if row is not None]
        deep = [place for place, row in enumerate(seen) if row.result.depth]
        if deep:
            window = window_of([seen[place].result for place in deep])
            others = [place for place in deep if not _is_of(seen[place].result, window)]
            scaled = pool.map(lambda place: _scaled(paths[place], seen[place], window), others)
            for place, row in zip(others, scaled, strict=True):
                seen[place] = row
    # A file that could not be opened may be readable next time without having changed.
    kept = {path: row for path, row in zip(paths, seen, strict=True) if row.bytes_hash}
    if any(kept.get(path) != remembered.get(path) for path in paths):
        _remember(memory, kept)
    return [row.result for row in seen]


def memory_path(cache_dir: Path, source: str) -> Path:
    """Return where the inspection of a source, given by its absolute path, is remembered."""
    digest = hashlib.blake2b(os.fsencode(source), digest_size=8).hexdigest()
    return cache_dir / "inspections" / f"{digest}.json"


def measure(inspected: Iterable[Inspected]) -> Sizes | None:
    """Return the smallest, median and largest size among images; None if there are none."""
    sizes = sorted(
        ((one.width, one.height) for one in inspected), key=lambda size: (size[0] * size[1], size)
    )
    if not sizes:
        return None
    return Sizes(sizes[0], sizes[(len(sizes) - 1) // 2], sizes[-1], len(set(sizes)))


def note_wrong_endings(names: Sequence[str], inspected: Sequence[Inspected]) -> list[str]:
    """Return a line for each kind of image that lies under another kind's ending.

    Args:
        names: of image files, relative to the source.
        inspected: what they hold, in the same order.
    """
    known = Image.registered_extensions()
    found: Counter[tuple[str, str]] = Counter()
    first: dict[tuple[str, str], str] = {}
    for name, one in zip(names, inspected, strict=True):
        ending = Path(name).suffix.lower()
        expected = known.get(ending, "")
        # Multi-picture JPEG files (MPO) and JPEG 2000 go by endings of their own as well as .jpg.
        if expected != one.format and {expected, one.format} != {"MPO", "JPEG"}:
            kind = (one.format, ending or "no ending")
            found[kind] += 1
            first.setdefault(kind, name)
    return [
        f"{counted(number, 'image')} in {image_format} format under {ending}, read all the same; "
        f"first {first[image_format, ending]}"
        for (image_format, ending), number in sorted(found.items())
    ]


@dataclass(frozen=True, slots=True)
class _Row:
    """What is remembered of one file.

    Args:
        stamp: as it was before the file was read; None where it tells nothing.
        bytes_hash: of the file, 32 hexadecimal digits; empty for one that could not be read.
        result: what came of decoding it.
    """

    stamp: Stamp | None
    bytes_hash: str
    result: Inspected


NOTHING_FINITE = Inspected("holds no finite value")


def _look(path: str, stamp: Stamp | None, known: Mapping[str, Inspected]) -> _Row:
    """Read a file, and decode it unless its very bytes are known."""
    try:
        # Opening a pipe or a device could wait for ever.
        if not stat.S_ISREG(os.stat(path).st_mode):
            return _Row(None, "", Inspected("not a regular file"))
        content = Path(path).read_bytes()
    except OSError as error:
        return _Row(None, "", Inspected(f"can't be read: {error.strerror}"))
    bytes_hash = _hash(content)
    return _Row(stamp, bytes_hash, known.get(bytes_hash) or _decode(content))


def _hash(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _decode(content: bytes) -> Inspected:
    """Decode a file; deep greys are measured, but have no hash before their window is known."""
    try:
        with images.looking(content) as found:
            return _inspect_large(found) if isinstance(found, Large) else _inspect(found)
    except images.DamagedImage as error:
        return Inspected(str(error))


def _inspect(found: images.Picture | images.Deep) -> Inspected:
    if isinstance(found, images.Deep):
        finite = found.values[np.isfinite(found.values)]
        if not finite.size:
            return NOTHING_FINITE
        height, width = found.values.shape
        about = (width, height, found.format, float(finite.min()), float(finite.max()))
        return Inspected("", "", *about, found.depth)
    height, width, _ = found.pixels.shape
    return Inspected(
        "",
        images.content_hash(found.pixels),
        width,
        height,
        found.format,
        float(found.pixels.min()),
        float(found.pixels.max()),
        sketch=sketches.draw(found.pixels),
    )


def _inspect_large(found: Large) -> Inspected:
    """Do the same of a picture that is seen in parts."""
    low, high = math.inf, -math.inf
    if found.depth:
        for box in found.rows():
            values = found.values(box)
            finite = values[np.isfinite(values)]
            if finite.size:
                low, high = min(low, float(finite.min())), max(high, float(finite.max()))
        if low > high:
            return NOTHING_FINITE
        return Inspected("", "", *found.size, found.format, low, high, found.depth)
    known, sketch, low, high = _seen(found)
    return Inspected("", known, *found.size, found.format, low, high, sketch=sketch)


def _seen(found: Large) -> tuple[str, str, float, float]:
    """Return hash and sketch of a picture in parts, its least value and its greatest."""
    low, high = math.inf, -math.inf
    digest, grey = images.new_hash(found.size), Image.new("L", found.size)
    for box in found.rows():
        pixels = found.pixels(box)
        low, high = min(low, float(pixels.min())), max(high, float(pixels.max()))
        digest.update(np.ascontiguousarray(pixels).data)
        grey.paste(Image.fromarray(pixels).convert("L"), box[:2])
    return digest.hexdigest(), sketches.of_grey(grey), low, high


def _is_of(result: Inspected, window: images.Window | None) -> bool:
    return bool(result.content_hash) and result.window == window


def _scaled(path: str, row: _Row, window: images.Window | None) -> _Row:
    """Return a row whose hash is that of the image in a window."""
    try:
        content = Path(path).read_bytes()
        if _hash(content) != row.bytes_hash:
            return _Row(None, "", Inspected("changed while it was read; run again"))
        with images.held(content, window) as pixels:
            if isinstance(pixels, Large):
                known, sketch, *_ = _seen(pixels)
            else:
                known, sketch = images.content_hash(pixels), sketches.draw(pixels)
    except images.DamagedImage as error:
        return replace(row, result=Inspected(str(error)), bytes_hash="")
    except OSError as error:
        return _Row(None, "", Inspected(f"can't be read: {error.strerror}"))
    return replace(
        row, result=replace(row.result, content_hash=known, window=window, sketch=sketch)
    )


# Before sketches were remembered. What such a memory knows of images is made up for by decoding
# them once more; what it knows of files that are none holds.
UNSKETCHED = 3


def _header(layout: int = 4) -> dict[str, Any]:
    return {"layout": layout, "decoder": DECODER_VERSION, "pillow": PIL.__version__}


def _recall(memory: Path) -> dict[str, _Row]:
    try:
        with memory.open(encoding="utf-8") as file:
            header, files = _read_pieces(file)
            if header == _header(UNSKETCHED):
                known = (row for row in files if row[3])
                return {row[0]: _Row(_stamp(row[1]), row[2], Inspected(row[3])) for row in known}
            if header != _header():
                return {}
            return {
                path: _Row(_stamp(stamp), bytes_hash, _inspected(fields, window, sketch))
                for path, stamp, bytes_hash, *fields, window, sketch in files
            }
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return {}


def _stamp(stored: Sequence[int] | None) -> Stamp | None:
    return None if stored is None else (stored[0], stored[1], stored[2], stored[3])


def _inspected(fields: Sequence[Any], window: Sequence[float] | None, sketch: str) -> Inspected:
    found = None if window is None else images.Window(*window)
    reason, content_hash, width, height, kind, *values = fields
    about = (width, height, sys.intern(kind), *values, found, sketch)  # a text a kind, not a file
    return Inspected(reason, content_hash, *about)


def _remember(memory: Path, rows: Mapping[str, _Row]) -> None:
    """Write the memory whole and put it in place at once, so that no reader sees half of it."""
    files = (
        [path, row.stamp, row.bytes_hash, one.reason, one.content_hash]
        + [one.width, one.height, one.format, one.low, one.high, one.depth]
        + [one.window, one.sketch]
        for path, row in rows.items()
        for one in [row.result]
    )
    try:
        _write(memory, _pieces(files))
    except OSError as error:
        warn(
            f"{memory.parent}: what was read of the images can't be remembered "
            f"({error.strerror or error}); the next command reads them again, unless "
            "--cache-dir names a folder that may be written"
        )


FILES = ', "files": ['  # what stands at the end of a memory's first line
END = "]}"


def _pieces(files: Iterable[Sequence[Any]]) -> Iterator[str]:
    """Yield the text of a memory, a file a line: whole, that of a million takes gigabytes."""
    yield f'{{"header": {json.dumps(_header())}{FILES}\n'
    for number, one in enumerate(files):
        yield ("" if number == 0 else ",") + json.dumps(one, ensure_ascii=False) + "\n"
    yield END


def _read_pieces(file: TextIO) -> tuple[Any, Iterable[Sequence[Any]]]:
    """Return header and files of a memory, read line by line; one of before has a line alone.

    Raises:
        ValueError: it is no JSON, now or as the files are read.
    """
    first = file.readline()
    if not first.endswith(FILES + "\n"):
        raw = json.loads(first + file.read())
        return raw["header"], raw["files"]

    def rows() -> Iterator[Sequence[Any]]:
        for line in file:
            if line == END:
                return
            yield json.loads(line.removeprefix(","))
        raise ValueError("cut off")

    return json.loads(first + END)["header"], rows()


def _write(memory: Path, pieces: Iterable[str]) -> None:
    memory.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=memory.parent, prefix=f".{memory.stem}-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.writelines(pieces)
        os.replace(temporary, memory)
    except BaseException:
        os.unlink(temporary)
        raise
