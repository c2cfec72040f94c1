"""export.json: what a program needs to know that runs an exported classifier; and where it lies.

DIR/
  model.onnx      or what else the form writes, see `catalog.exports`
  export.json     classes, input, how a file becomes that, what was compared
  preprocess.py   opens a file as the classifier's own decoder does; see `data.decoding`
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from automl_cv.catalog.exports import ExportEntry
from automl_cv.data.decoding import BACKGROUND, WHOLE
from automl_cv.data.images import Window
from automl_cv.errors import UserError
from automl_cv.saved.facts import Facts

EXPORT = "export.json"
PREPROCESS = "preprocess.py"


OutputName = Literal["probabilities", "distance"]


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
        greys: which values of greys of more than 8 bits become 0 and 255; what is not a number is
            black.
        beyond: what becomes of values beyond these, and of floats: "cut" to them, or the file is
            "refused", where the classifier's images had no range of their own. None in an export
            of before that was said.
        frame: which one of an animation.
    """

    orientation: Literal["as EXIF says"] = "as EXIF says"
    background: tuple[int, int, int] = BACKGROUND
    greys: tuple[float, float] = (0, WHOLE)
    beyond: Literal["cut", "refused"] | None = None
    frame: Literal["first"] = "first"

    @classmethod
    def within(cls, window: Window | None) -> Decoding:
        """Return how a classifier decodes whose images have this window of deep greys."""
        if window is None:
            return cls(beyond="refused")
        return cls(greys=window, beyond="cut")


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


class ComparedKind(Facts):
    """How files of one kind came out.

    Args:
        files: how many.
        same_class: of how many the same class was the most probable.
        largest_difference: between two probabilities.
    """

    files: int
    same_class: int
    largest_difference: float


class Compared(Facts):
    """How near the exported graph, in its own runtime, came to `model.keras`.

    Files were opened by preprocess.py for the one, by automl-cv's decoder for the other.

    Args:
        images: how many files.
        sizes: of how many different sizes they were.
        largest_difference: between two probabilities.
        tolerance: the largest that was allowed, of files that were given; of those that were
            written for the comparison see `engine.export.UNSURE`.
        distance_difference: the largest between two distances, as a share of them; None where
            there are none.
        kinds: each kind of file that was compared; empty in an export of before there were any.
    """

    images: int
    sizes: int
    largest_difference: float
    tolerance: float
    distance_difference: float | None = None
    kinds: dict[str, ComparedKind] = {}


class Export(Facts):
    """An exported classifier.

    Args:
        form: name of the form.
        file: what a runtime is given, beside this file.
        classes: names of the classes, in the order of the probabilities.
        input: what the graph takes.
        outputs: what the graph gives, in the order in which the runtime returns it: probabilities,
            float32 (batch, classes); and distance, float32 (batch, 1), above 1 for an image that
            is unlike all that was trained on, where the classifier can tell.
        source: hash of the `model.keras` that was exported.
        compared: what the exported graph was seen to give.
        versions: of the packages that wrote and ran it.
    """

    form: str
    file: str
    classes: tuple[str, ...]
    input: Input
    outputs: tuple[OutputName, ...] = ("probabilities",)
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
    own = {*entry.files, EXPORT, PREPROCESS, "__pycache__"}  # that of who imports PREPROCESS
    foreign = sorted({path.name for path in out.iterdir()} - own) if out.is_dir() else []
    if foreign:
        raise UserError(
            f"--out {out}: holds {foreign[0]!r}, which is no file of a classifier exported as "
            f"{entry.name}; the folder would be replaced: move that away, or choose another name"
        )
