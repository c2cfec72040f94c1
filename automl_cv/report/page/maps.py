"""The page's section on feature maps and class maps: pictures that `automl-cv maps` wrote."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from automl_cv.errors import UserError
from automl_cv.report.document import Report
from automl_cv.report.page.sections import Content, Thumbnail
from automl_cv.words import counted, listed, printable

MOST_BYTES = 150_000  # of all pictures, as PNG files: a page has 2 MB for everything
WIDTH = 640  # pixels at most: text of the pictures is legible still
COLOURS = 48
ABOUT = {
    "overview": ("feature maps", "the strongest channels of each layer, shallow to deep"),
    "grad-cam": ("Grad-CAM", "which places speak for the class, by gradients"),
    "score-cam": ("Score-CAM", "which places speak for the class, by masking others"),
}
"""Of the pictures that come first, by the file's name without ending: a caption, and in words."""


def maps(report: Report) -> Content:
    """Show what `automl-cv maps` drew: the overview, class maps, then as many layers as fit.

    Raises:
        UserError: the folder has no such pictures, or one can't be read.
    """
    if report.maps is None:
        return Content()
    files = pictures_in(report.maps)
    shown, left, room = [], [], MOST_BYTES
    for file in files:
        png = _small(file)
        if len(png) > room:
            left.append(file.name)
            continue
        room -= len(png)
        caption, told = ABOUT.get(file.stem, _of_layer(file.stem.partition("-")[2]))
        shown.append(Thumbnail(png, printable(told), (printable(caption),), is_wide=True))
    notes = ["`automl-cv maps` drew them; numbers are channels"]
    if left:
        notes.append(
            f"{counted(len(left), 'picture')} left out, so that the page stays small: "
            f"{listed(left)}"
        )
    return Content(thumbnails=tuple(shown), notes=tuple(map(printable, notes)))


def _of_layer(name: str) -> tuple[str, str]:
    return f"layer {name}", f"the strongest channels of layer {name}, beside the input"


def pictures_in(folder: Path) -> list[Path]:
    """Return the pictures that `automl-cv maps` wrote to a folder, the most telling ones first.

    Raises:
        UserError: there are none.
    """
    try:
        found = sorted(path for path in folder.iterdir() if path.suffix == ".png")
    except OSError as error:
        raise UserError(f"--maps {folder}: can't be read: {error.strerror}") from None
    first = [path for name in ABOUT for path in found if path.stem == name]
    layers = [path for path in found if path.stem[:2].isdecimal() and path.stem[2:3] == "-"]
    if not first and not layers:
        raise UserError(
            f"--maps {folder}: holds no picture that `automl-cv maps --out DIR` writes, such as "
            "overview.png"
        )
    return [*first, *layers]


def _small(file: Path) -> bytes:
    """Return a picture with fewer colours, and not too wide."""
    try:
        picture = Image.open(file).convert("RGB")
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise UserError(f"--maps: {file}: can't be read as a picture: {error}") from None
    picture.thumbnail((WIDTH, picture.height))
    content = io.BytesIO()
    picture.quantize(COLOURS).save(content, "PNG", optimize=True)
    return content.getvalue()
