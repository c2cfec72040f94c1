"""Inspection: decode every file once, remember what came of it.

The memory lies under the cache folder, a file a source (`inspected`). It knows a file by the hash
of its bytes. Which file lies under a path may be taken from the file system where that can tell
(`stamps`); where in doubt the bytes are read and hashed again, but not decoded.
"""

from __future__ import annotations

import hashlib
import math
import os
import stat
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from automl_cv.data import images, inspected, sketches, stamps
from automl_cv.data.inspected import Inspected, Inspections, Read
from automl_cv.data.large import Large
from automl_cv.data.ledger import Sizes
from automl_cv.data.texts import Texts
from automl_cv.errors import warn
from automl_cv.processors import cores
from automl_cv.words import counted

OnProgress = Callable[[int, int], None]
OnStep = Callable[[str, int, int], None]
"""Is told (what is done now, how much of it is done, how much there is)."""
INSPECTING = "inspecting images"
WindowOf = Callable[[Inspections], images.Window | None]

# Pillow lets go of Python's lock while it decodes, but a small image is mostly Python's own work:
# measured on two cores, 28x28 PNG take 59 microseconds each with one thread, 48 with two or four.
MAX_THREADS = 4
BATCH = 64  # files a thread takes at a time


def inspect(
    paths: Sequence[str],
    *,
    memory: Path,
    window_of: WindowOf = lambda deep: None,
    on_progress: OnProgress | None = None,
) -> Inspections:
    """Decode files in a small pool of threads, skipping those the memory knows.

    Args:
        paths: absolute paths of files.
        memory: the file to read and, where it said something else, to write anew. A damaged
            or missing one is ignored.
        window_of: is given what was found of deep greys, if any; returns the window that they
            are scaled from.
        on_progress: called in this thread with (files done, files in all).

    Returns:
        One result for each path, in order.
    """
    names, stamp = Texts.of(paths), stamps.take(paths)
    remembered = inspected.recall(memory)
    known = remembered.of(names)
    is_told = stamp.any(axis=1) & (stamp == known.rows["stamp"]).all(axis=1)
    waiting = np.flatnonzero(~is_told).tolist()
    seen = known.copy() if waiting else known
    by_content = remembered.by_content() if waiting else {}
    is_new = known is not remembered
    done = len(paths) - len(waiting)
    report = on_progress or (lambda done, total: None)
    report(done, len(paths))

    def look(batch: Sequence[int]) -> list[Read]:
        return [_look(paths[place], stamp[place], decoded) for place in batch]

    def decoded(bytes_hash: str, content: bytes) -> Inspected:
        place = by_content.get(bytes_hash)
        return _decode(content) if place is None else remembered.found[place]

    batches = [waiting[start : start + BATCH] for start in range(0, len(waiting), BATCH)]
    with ThreadPoolExecutor(min(MAX_THREADS, cores())) as pool:
        try:
            for batch, found in zip(batches, pool.map(look, batches), strict=True):
                for place, one in zip(batch, found, strict=True):
                    is_new |= seen.put(place, one)
                done += len(batch)
                report(done, len(paths))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # Ctrl-C must not decode the rest
            raise
        deep = seen.found.deep
        if deep.size:
            window = window_of(seen.found.take(deep))
            others = [place for place in deep.tolist() if not _is_of(seen.found[place], window)]
            scaled = pool.map(lambda place: _scaled(paths[place], seen.get(place), window), others)
            for place, one in zip(others, scaled, strict=True):
                is_new |= seen.put(place, one)
    if is_new:
        try:
            inspected.remember(memory, seen)
        except OSError as error:
            warn(
                f"{memory.parent}: what was read of the images can't be remembered "
                f"({error.strerror or error}); the next command reads them again, unless "
                "--cache-dir names a folder that may be written"
            )
    return seen.found


def measure(found: Inspections) -> Sizes | None:
    """Return the smallest, median and largest size among images; None if there are none."""
    if not len(found):
        return None
    rows = found.rows
    different, counts = np.unique(
        np.stack([rows["width"], rows["height"]], axis=1), axis=0, return_counts=True
    )
    order = np.argsort(different.prod(axis=1, dtype=np.int64), kind="stable")
    middle = np.searchsorted(np.cumsum(counts[order]), (len(rows) - 1) // 2, side="right")
    smallest, median, largest = (
        (int(width), int(height)) for width, height in different[order][[0, int(middle), -1]]
    )
    return Sizes(smallest, median, largest, len(different))


def note_wrong_endings(names: Sequence[str], found: Inspections) -> list[str]:
    """Return a line for each kind of image that lies under another kind's ending.

    Args:
        names: of image files, relative to the source, in any order.
        found: what they hold, in the same order.
    """
    known = Image.registered_extensions()
    numbers: Counter[tuple[str, str]] = Counter()
    first: dict[tuple[str, str], str] = {}
    for name, written in zip(names, found.rows["format"].tolist(), strict=True):
        own, ending = written.decode(), os.path.splitext(name)[1].lower()
        expected = known.get(ending, "")
        # Multi-picture JPEG files (MPO) and JPEG 2000 go by endings of their own as well as .jpg.
        if expected != own and {expected, own} != {"MPO", "JPEG"}:
            kind = (own, ending or "no ending")
            numbers[kind] += 1
            first[kind] = min(first.get(kind, name), name)
    return [
        f"{counted(number, 'image')} in {image_format} format under {ending}, read all the same; "
        f"first {first[image_format, ending]}"
        for (image_format, ending), number in sorted(numbers.items())
    ]


NOTHING_FINITE = Inspected("holds no finite value")


def _look(path: str, stamp: NDArray[np.uint64], decoded: Callable[[str, bytes], Inspected]) -> Read:
    """Read a file, and have it decoded; `decoded` is given the hash of its bytes, and these."""
    try:
        # Opening a pipe or a device could wait for ever.
        if not stat.S_ISREG(os.stat(path).st_mode):
            return _unread("not a regular file")
        content = Path(path).read_bytes()
    except OSError as error:
        return _unread(f"can't be read: {error.strerror}")
    bytes_hash = _hash(content)
    return Read(stamp, bytes_hash, decoded(bytes_hash, content))


def _unread(reason: str) -> Read:
    """Return that a file's bytes are not known: it is looked at again the next time."""
    return Read(np.zeros(stamps.STAMP_PARTS, np.uint64), "", Inspected(reason))


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


def _seen(found: Large) -> tuple[str, bytes, float, float]:
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


def _scaled(path: str, one: Read, window: images.Window | None) -> Read:
    """Return what is known of a file, with the hash of the image in a window."""
    try:
        content = Path(path).read_bytes()
        if _hash(content) != one.bytes_hash:
            return _unread("changed while it was read; run again")
        with images.held(content, window) as pixels:
            if isinstance(pixels, Large):
                known, sketch, *_ = _seen(pixels)
            else:
                known, sketch = images.content_hash(pixels), sketches.draw(pixels)
    except images.DamagedImage as error:
        return _unread(str(error))
    except OSError as error:
        return _unread(f"can't be read: {error.strerror}")
    return replace(
        one, result=replace(one.result, content_hash=known, window=window, sketch=sketch)
    )
