"""Inspection: decode every file once, remember what came of it.

The memory lies under the cache folder, one JSON file a source. A file counts as
unchanged while its path, size and time of change are the same.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import PIL
from PIL import Image

from automl_cv.data import images
from automl_cv.data.ledger import Sizes
from automl_cv.words import counted

OnProgress = Callable[[int, int], None]

# Raised whenever `images.decode` gives other pixels than before; Pillow's version stands beside
# it in the memory, since a newer JPEG library may round differently.
DECODER_VERSION = 1

# Pillow lets go of Python's lock while it decodes, but a small image is mostly Python's own work:
# measured on two cores, 28x28 PNG take 59 microseconds each with one thread, 48 with two or four.
MAX_THREADS = 4
BATCH = 64  # files a thread takes at a time


@dataclass(frozen=True)
class Inspected:
    """What came of decoding one file.

    Args:
        reason: why it is no image; empty for an image, and then the rest is filled.
        content_hash: see `images.content_hash`.
        width: pixels, EXIF orientation applied.
        height: pixels.
        format: Pillow's name of the format, by content.
    """

    reason: str = ""
    content_hash: str = ""
    width: int = 0
    height: int = 0
    format: str = ""


def inspect(
    paths: Sequence[str], *, memory: Path, on_progress: OnProgress | None = None
) -> list[Inspected]:
    """Decode files in a small pool of threads, skipping those the memory knows unchanged.

    Args:
        paths: absolute paths of files.
        memory: the JSON file to read and, where anything was decoded, to write anew. A damaged
            or missing one is ignored.
        on_progress: called in this thread with (files done, files in all).

    Returns:
        One result for each path, in order.
    """
    known = _recall(memory)
    stamps = [_stamp(path) for path in paths]
    results: list[Inspected | None] = [
        known.get((path, stamp)) if stamp is not None else None
        for path, stamp in zip(paths, stamps, strict=True)
    ]
    waiting = [row for row, result in enumerate(results) if result is None]
    done = len(paths) - len(waiting)
    report = on_progress or (lambda done, total: None)
    report(done, len(paths))
    batches = [waiting[start : start + BATCH] for start in range(0, len(waiting), BATCH)]
    with ThreadPoolExecutor(min(MAX_THREADS, os.cpu_count() or 1)) as pool:
        try:
            for batch, found in zip(
                batches,
                pool.map(lambda rows: [_decode(paths[row]) for row in rows], batches),
                strict=True,
            ):
                for row, result in zip(batch, found, strict=True):
                    results[row] = result
                done += len(batch)
                report(done, len(paths))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # Ctrl-C must not decode the rest
            raise
    inspected = [result for result in results if result is not None]
    if waiting:
        _remember(memory, zip(paths, stamps, inspected, strict=True))
    return inspected


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


_Stamp = tuple[int, int]  # size in bytes, time of change in nanoseconds


def _stamp(path: str) -> _Stamp | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return (status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else None


def _decode(path: str) -> Inspected:
    try:
        # Opening a pipe or a device could wait for ever.
        if not stat.S_ISREG(os.stat(path).st_mode):
            return Inspected("not a regular file")
        picture = images.read(Path(path))
    except OSError as error:
        return Inspected(f"can't be read: {error.strerror}")
    except images.DamagedImage as error:
        return Inspected(str(error))
    height, width, _ = picture.pixels.shape
    content = images.content_hash(picture.pixels)
    return Inspected("", content, width, height, picture.format)


def _header() -> dict[str, Any]:
    return {"decoder": DECODER_VERSION, "pillow": PIL.__version__}


def _recall(memory: Path) -> dict[tuple[str, _Stamp], Inspected]:
    try:
        raw = json.loads(memory.read_text(encoding="utf-8"))
        if raw["header"] != _header():
            return {}
        return {
            (path, (size, changed)): Inspected(*fields)
            for path, size, changed, *fields in raw["files"]
        }
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _remember(memory: Path, rows: Iterable[tuple[str, _Stamp | None, Inspected]]) -> None:
    """Write the memory whole and put it in place at once, so that no reader sees half of it."""
    files = [
        [path, *stamp, one.reason, one.content_hash, one.width, one.height, one.format]
        for path, stamp, one in rows
        # A file that could not be opened may be readable next time without having changed.
        if stamp is not None and not one.reason.startswith("can't be read")
    ]
    text = json.dumps({"header": _header(), "files": files}, ensure_ascii=False)
    memory.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=memory.parent, prefix=f".{memory.stem}-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, memory)
    except BaseException:
        os.unlink(temporary)
        raise
