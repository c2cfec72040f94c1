"""Files of images become batches of pixels: decoded, resized, some batches ahead of their use."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from automl_cv.data.images import DamagedImage, Window, content_hash, held
from automl_cv.data.large import Large
from automl_cv.errors import AutomlError

Pixels = NDArray[np.uint8]
Batch = NDArray[np.float32]
Item = TypeVar("Item")
Result = TypeVar("Result")

# Bytes of decoded images that are resized together, one image at least. From 1 MiB on speed hardly
# depends on it; but 64 photographs of 12 megapixels in their own size would be 2.3 GB.
AT_ONCE = 2**22

Alter = Callable[[Batch, slice], Batch]
"""Is given resized images, and which of all files they are; returns what comes in their place."""


def resize(pixels: Pixels, size: int) -> Batch:
    """Resize one image to a square; its proportions are not kept.

    Args:
        pixels: uint8, shape (height, width, 3).
        size: height and width of the result, in pixels.

    Returns:
        float32 in [0, 255], shape (size, size, 3).
    """
    return resize_all([pixels], size)[0]


def resize_all(images: Iterable[Pixels | Large], size: int) -> Batch:
    """Resize images to squares; few of them are held in their own size.

    The operation is TensorFlow's bilinear one with antialiasing, which a saved classifier
    can carry in its graph: Pillow's gives other pixels.

    Args:
        images: each uint8, shape (height, width, 3), or seen in parts; taken one by one, each
            large one done with before the next is asked for.
        size: height and width of the result, in pixels.

    Returns:
        float32 in [0, 255], shape (images, size, size, 3).
    """
    parts: list[Batch] = []
    waiting: list[Pixels] = []
    n_bytes = 0
    for pixels in images:
        if isinstance(pixels, Large):
            parts += [_resize_by_size(waiting, size), _resize_large(pixels, size)]
            waiting, n_bytes = [], 0
            continue
        waiting.append(pixels)
        n_bytes += pixels.nbytes
        if n_bytes >= AT_ONCE:
            parts.append(_resize_by_size(waiting, size))
            waiting, n_bytes = [], 0
    parts.append(_resize_by_size(waiting, size))
    return np.concatenate(parts)


def _resize_by_size(images: Sequence[Pixels], size: int) -> Batch:
    """Resize images, those of equal size in one operation."""
    resized = np.empty((len(images), size, size, 3), np.float32)
    places: dict[tuple[int, ...], list[int]] = {}
    for place, pixels in enumerate(images):
        places.setdefault(pixels.shape, []).append(place)
    for same in places.values():
        resized[same] = _resize_stacked(np.stack([images[place] for place in same]), size)
    return resized


def _resize_large(pixels: Large, size: int) -> Batch:
    """Resize a picture in parts, with the same numbers: the operation sums up rows, then columns.

    Returns:
        float32 in [0, 255], shape (1, size, size, 3).
    """
    width, height = pixels.size
    low = [
        _scale(part[None], (size, part.shape[1]), (np.float32(size) / np.float32(height), 1))
        for part in map(pixels.pixels, pixels.columns())
    ]
    across = np.float32(size) / np.float32(width)
    return _scale(np.concatenate(low, axis=2), (size, size), (1, across))


def _resize_stacked(stacked: Pixels, size: int) -> NDArray[np.generic]:
    """Do what `tf.image.resize` comes to, bilinear with antialiasing, for images of one size.

    That spends 0.5 ms in Python before each call of the operation; this way it is 0.07.
    """
    old = stacked.shape[1:3]
    if old == (size, size):
        return stacked
    return _scale(stacked, (size, size), np.float32(size) / np.array(old, np.float32))


def _scale(images: NDArray[np.generic], size: tuple[int, int], scale: Any) -> Batch:
    """Scale (images, height, width, 3) to a height and a width, by a factor each."""
    scaled: Batch = tf.raw_ops.ScaleAndTranslate(
        images=images,
        size=np.array(size, np.int32),
        scale=np.array(scale, np.float32),
        translation=np.zeros(2, np.float32),
        kernel_type="triangle",  # "bilinear", by another name
        antialias=True,
    ).numpy()
    return scaled


def batches(
    paths: Sequence[Path],
    content_hashes: Sequence[str],
    size: int,
    batch_size: int,
    threads: int,
    *,
    alter: Alter = lambda pixels, chosen: pixels,
    window: Window | None = None,
) -> Iterator[Batch]:
    """Decode and resize files, in their order, at most two batches a thread ahead.

    A file that stands in a batch several times, as views of one image do, is decoded once.

    Args:
        paths: files of images.
        content_hashes: of their pixels, as they were when the data set was read.
        size: height and width that images are resized to, in pixels.
        batch_size: images in each batch but the last.
        threads: threads that decode.
        alter: see `Alter`.
        window: which values of deep greys become black and white, see `data.images.decode`.

    Yields:
        float32 in [0, 255], shape (up to batch_size, size, size, 3).

    Raises:
        AutomlError: a file can't be read any more, or holds another image by now.
    """

    def load(start: int) -> Batch:
        chosen = slice(start, start + batch_size)
        files = list(zip(paths[chosen], content_hashes[chosen], strict=True))
        places = {file: place for place, file in enumerate(dict.fromkeys(files))}
        pixels = resize_all(_unchanged(places, window), size)
        if len(places) < len(files):
            pixels = pixels[[places[file] for file in files]]
        return alter(pixels, chosen)

    with ThreadPoolExecutor(threads, "decode") as pool:
        yield from in_order(pool, load, range(0, len(paths), batch_size), ahead=2 * threads)


def in_order(
    pool: Executor, function: Callable[[Item], Result], items: Iterable[Item], ahead: int
) -> Iterator[Result]:
    """Yield function(item) for each item, in order, with at most `ahead` results waiting.

    `Executor.map` would take all items at once, and so hold all of them in memory. Where
    the items end in an error, the results of those before it come first.
    """
    waiting: deque[Future[Result]] = deque()
    source, failure = iter(items), None
    try:
        while failure is None:
            try:
                waiting.append(pool.submit(function, next(source)))
            except StopIteration:
                break
            except Exception as error:
                failure = error
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
        if failure is not None:
            raise failure
    finally:
        for future in waiting:
            future.cancel()


def _unchanged(
    files: Iterable[tuple[Path, str]], window: Window | None
) -> Iterator[Pixels | Large]:
    """Decode files one by one; features are filed under a hash, so each must be of that still."""
    for path, known in files:
        with ExitStack() as stack:
            try:
                pixels = stack.enter_context(held(path, window))
            except DamagedImage as error:
                raise AutomlError(
                    f"{path}: was an image when the data set was read, and now is not ({error}); "
                    "put it back or remove it, then run again"
                ) from None
            if content_hash(pixels) != known:
                raise AutomlError(
                    f"{path}: has changed since the data set was read; leave the files alone while "
                    "features are extracted, then run again"
                )
            yield pixels
