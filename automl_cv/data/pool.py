"""Pool: images below a folder, whatever they show; nobody has said yet."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from automl_cv.catalog import datasets
from automl_cv.data import greys, inspection
from automl_cv.data.file_names import is_picture
from automl_cv.data.images import Window
from automl_cv.data.inspected import Inspections, memory_path
from automl_cv.data.inspection import INSPECTING, OnStep
from automl_cv.data.ledger import Sizes, Skipped
from automl_cv.data.paths import expand
from automl_cv.errors import UserError, suggest
from automl_cv.words import counted, listed


@dataclass(frozen=True)
class Pool:
    """Images of a folder, each once.

    Args:
        root: the folder, absolute.
        paths: absolute, sorted; of files with the same pixels the first.
        content_hashes: of their pixels.
        copies: files left out, since another has the same pixels.
        skipped: files that are no whole images.
        sizes: of the images.
        window: which values of deep greys become black and white, see `data.images.decode`.
    """

    root: Path
    paths: tuple[str, ...]
    content_hashes: tuple[str, ...]
    copies: int
    skipped: tuple[Skipped, ...]
    sizes: Sizes | None
    window: Window | None


def read(
    source: str,
    *,
    cache_dir: Path,
    window: Window | None = None,
    on_progress: OnStep | None = None,
) -> Pool:
    """Decode the images below a folder. Folders' names say nothing here.

    Args:
        source: a folder, or the name of built-in data, whose labels are left aside.
        cache_dir: where built-in data and what inspection found are kept.
        window: of deep greys; None takes the range that the images use.
        on_progress: is told how many built-in images are written, then how many are inspected.

    Raises:
        UserError: there is no such folder, or no image in it.
    """
    tell = on_progress or (lambda what, done, total: None)
    root = _root(source, cache_dir, partial(tell, "writing built-in images"))
    paths = sorted(filter(is_picture, expand([str(root)], ())))
    if not paths:
        raise UserError(f"{source}: holds no images; name the folder of those to choose from")

    def window_of(deep: Inspections) -> Window | None:
        return greys.own_window(deep) if window is None else window

    # Beside the memory of the same folder read as classes: a range of greys may differ there.
    memory = memory_path(cache_dir, f"{root} as a pool")
    inspected = inspection.inspect(
        paths, memory=memory, window_of=window_of, on_progress=partial(tell, INSPECTING)
    )
    is_image = inspected.is_image
    skipped = [
        Skipped(str(Path(paths[place]).relative_to(root)), inspected[place].reason)
        for place in np.flatnonzero(~is_image)
    ]
    kept = inspected.take(is_image)
    found: dict[str, str] = {}
    for place, known in zip(np.flatnonzero(is_image), kept.content_hashes, strict=True):
        found.setdefault(known, paths[place])
    if not found:
        raise UserError(
            f"{source}: holds no image that can be read: "
            f"{listed([f'{one.path} ({one.reason})' for one in skipped])}"
        )
    deep = greys.of_images(kept)
    return Pool(
        root=root,
        paths=tuple(found.values()),
        content_hashes=tuple(found),
        copies=len(kept) - len(found),
        skipped=tuple(skipped),
        sizes=inspection.measure(kept),
        window=None if deep is None or deep.window is None else Window(*deep.window),
    )


def _root(source: str, cache_dir: Path, report: datasets.Report) -> Path:
    if source in datasets.DATASETS:
        return datasets.materialise(source, cache_dir, report).absolute()
    root = Path(source).expanduser().absolute()
    if root.is_dir():
        return root
    if root.exists():
        raise UserError(f"{source}: is a file; expected the folder of images to choose from")
    raise UserError(
        f"{source}: not found, neither a folder nor built-in data; "
        f"{suggest(source, datasets.DATASETS.names)}"
    )


def summary(pool: Pool) -> str:
    """Return one line: "1,797 images, 2 copies and 1 file that is no image left out"."""
    left = [counted(pool.copies, "copy", "copies")] if pool.copies else []
    if pool.skipped:
        is_none = "that is no image" if len(pool.skipped) == 1 else "that are no images"
        left.append(f"{counted(len(pool.skipped), 'file')} {is_none}")
    said = counted(len(pool.paths), "image")
    return f"{said}, {' and '.join(left)} left out" if left else said
