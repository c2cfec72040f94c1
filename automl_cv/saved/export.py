"""export.json: what a program needs to know that runs an exported classifier; and where it lies.

DIR/
  model.onnx      or what else the form writes, see `catalog.exports`
  export.json     classes, input, how to resize, what was compared
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from automl_cv.catalog.exports import ExportEntry
from automl_cv.data.images import BACKGROUND, WHOLE
from automl_cv.errors import UserError
from automl_cv.saved.facts import Facts

EXPORT = "export.json"


class Resize(Facts):
    """How an image is resized before it is given to the graph.

    Args:
        height: of the result, in pixels.
        width: of the result, in pixels.
        filter: the triangle filter, "bilinear"; with half-pixel centres.
        antialias: whether the filter is widened where an image shrinks.
        keeps_proportions: whether the image is padded or cropped instead of distorted.
        rounds: whether results are rounded to whole numbers.
    """

    height: int
    width: int
    filter: Literal["bilinear"] = "bilinear"
    antialias: Literal[True] = True
    keeps_proportions: Literal[False] = False
    rounds: Literal[False] = False


class Decoding(Facts):
    """How a file becomes red, green and blue before anything else.

    Args:
        orientation: whether what a camera noted of it (EXIF) is applied.
        background: colour that transparent pixels are laid on.
        greys: which values of greys of more than 8 bits become 0 and 255; beyond they are cut,
            what is not a number is black.
        frame: which one of an animation.
    """

    orientation: Literal["as EXIF says"] = "as EXIF says"
    background: tuple[int, int, int] = BACKGROUND[:3]
    greys: tuple[float, float] = (0, WHOLE)
    frame: Literal["first"] = "first"


class Input(Facts):
    """What the graph takes.

    Args:
        shape: batch, height, width, channels; None for any.
        dtype: of the numbers.
        lowest: black.
        highest: white.
        channels: their order.
        resize: what to do to an image first; None where the graph does it.
        decoding: how a file becomes an image; None in an export of before that was said.
    """

    shape: tuple[int | None, int | None, int | None, int]
    dtype: Literal["uint8", "float32"]
    lowest: Literal[0] = 0
    highest: Literal[255] = 255
    channels: Literal["red, green, blue"] = "red, green, blue"
    resize: Resize | None = None
    decoding: Decoding | None = None


class Compared(Facts):
    """How near the exported graph, in its own runtime, came to `model.keras`.

    Args:
        images: how many pictures.
        sizes: of how many different sizes they were.
        largest_difference: between two probabilities.
        tolerance: the largest that was allowed.
    """

    images: int
    sizes: int
    largest_difference: float
    tolerance: float


class Export(Facts):
    """An exported classifier.

    Args:
        form: name of the form.
        file: what a runtime is given, beside this file.
        classes: names of the classes, in the order of the probabilities.
        input: what the graph takes.
        source: hash of the `model.keras` that was exported.
        compared: what the exported graph was seen to give.
        versions: of the packages that wrote and ran it.
    """

    form: str
    file: str
    classes: tuple[str, ...]
    input: Input
    source: str
    compared: Compared
    versions: dict[str, str]


def check_target(out: Path, entry: ExportEntry) -> None:
    """Raise a UserError where a folder can't be replaced by an exported classifier.

    Args:
        out: the folder to be written.
        entry: the form.
    """
    if not out.parent.is_dir():
        raise UserError(f"--out {out}: the folder {out.parent} does not exist; make it first")
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise UserError(f"--out {out}: expected a folder, or a name that is free")
    own = {*entry.files, EXPORT}
    foreign = sorted({path.name for path in out.iterdir()} - own) if out.is_dir() else []
    if foreign:
        raise UserError(
            f"--out {out}: holds {foreign[0]!r}, which is no file of a classifier exported as "
            f"{entry.name}; the folder would be replaced: move that away, or choose another name"
        )
