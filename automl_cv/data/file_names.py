"""Labels that stand in the names of files: cat.12.jpg, great_pyrenees_7.png."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePath

from automl_cv.data.candidates import as_label, split_of

# What cameras, scanners and programs call images, whatever they show.
DEVICES = frozenset(
    {
        *("img", "image", "images", "dsc", "dscn", "dscf", "dji", "gopr", "pxl", "mvimg", "pano"),
        *("pic", "picture", "photo", "scan", "frame", "page", "slide", "screenshot", "snapshot"),
        *("file", "sample", "item", "p", "s", "n", "x", "mask", "crop", "tile", "patch", "id"),
    }
)
ENDINGS = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".dib", ".tif"),
        *(".tiff", ".avif", ".jp2", ".j2k", ".ppm", ".pgm", ".pbm", ".pnm", ".ico", ".mpo"),
    }
)
_NUMBERED = re.compile(r"^(?P<label>.*[^\W\d_].*?)[\s._-]*\(?\d+\)?$")


def is_picture(name: str) -> bool:
    """Tell whether a file's ending is one of a kind of image that can be read."""
    return PurePath(name).suffix.lower() in ENDINGS


def labels(names: Sequence[str]) -> dict[str, str] | None:
    """Return the label of each image where each name is a label and a number.

    There must be two labels or more, each of two images or more, and none may be what a
    device or a program calls any image.

    Args:
        names: of the files of one folder.

    Returns:
        Labels by file name, of those that end as images; None where the names say none.
    """
    pictures = [name for name in names if is_picture(name)]
    found = {}
    for name in pictures:
        match = _NUMBERED.match(PurePath(name).stem)
        if match is None:
            return None
        found[name] = as_label(match["label"].strip(" ._-("))
    counts = Counter(found.values())
    is_told = len(counts) >= 2 and min(counts.values()) >= 2
    if not is_told or any(
        re.sub(r"[\W\d_]+", "", label.lower()) in DEVICES or split_of(label) for label in counts
    ):
        return None
    return found
