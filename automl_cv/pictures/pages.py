"""The pictures that `automl-cv maps` writes: a page for each layer, an overview, class maps."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from automl_cv.pictures.canvas import (
    GREY,
    MARGIN,
    SMALL,
    TEXT,
    TITLE,
    Lettering,
    Sheet,
    ends_of,
    enlarged,
    resampled,
)
from automl_cv.pictures.colours import INFERNO, Pixels, Scale, scale_of
from automl_cv.pictures.maps import ClassMap, FeatureMaps

INPUT_SIDE = 256  # of the input and of class maps
TILE, GAP = 72, 4  # of one channel on a layer's page
SMALL_TILE, SMALL_GAP = 56, 2  # in the overview
OVERVIEW_CHANNELS = 16
OVERVIEW_COLUMNS = 3
OVERLAY = 0.6  # share of the map's colours in an overlay; the rest is the input in grey
LUMINANCE = np.array([0.299, 0.587, 0.114])  # of red, green, blue: ITU-R BT.601


@dataclass(frozen=True)
class Input:
    """The picture that the network was given.

    Args:
        pixels: uint8, shape (size, size, 3): resized, before any preprocessing in the network.
        original: its height and width before resizing.
        name: what the file is called.
        network: what the network is called.
    """

    pixels: Pixels
    original: tuple[int, int]
    name: str
    network: str

    @property
    def size(self) -> str:
        """What was done to the picture, for people."""
        (height, width), side = self.original, len(self.pixels)
        resized = "" if (height, width) == (side, side) else f", resized to {side} x {side}"
        return f"{height} x {width} pixels{resized}"


def write_all(
    folder: Path,
    given: Input,
    layers: Sequence[FeatureMaps],
    class_maps: Sequence[ClassMap],
    channels: int,
) -> list[Path]:
    """Write all pictures.

    Args:
        folder: exists; files of the same names are replaced.
        given: the input.
        layers: shallow to deep.
        class_maps: may be empty.
        channels: how many of a layer its page shows at most.

    Returns:
        The files: `overview.png`, `01-LAYER.png` …, `grad-cam.png`, `score-cam.png`.
    """
    written = [overview(given, layers).save(folder / "overview.png")]
    for number, layer in enumerate(layers, start=1):
        name = re.sub(r"[^\w.-]+", "-", layer.layer)
        page = layer_page(given, layer, channels)
        written.append(page.save(folder / f"{number:02}-{name}.png"))
    for one in class_maps:
        written.append(class_page(given, one).save(folder / f"{one.method.lower()}.png"))
    return written


def layer_page(given: Input, layer: FeatureMaps, channels: int) -> Sheet:
    """Draw the strongest channels of one layer in a grid beside the input."""
    lettering = Lettering((given.name, given.network, layer.layer))
    chosen = layer.strongest(channels)
    columns = min(8, max(2, math.ceil(math.sqrt(len(chosen)))))
    rows = math.ceil(len(chosen) / columns)
    grid_width, row = columns * (TILE + GAP) - GAP, TILE + SMALL + GAP + 3
    left, top = MARGIN + INPUT_SIDE + 2 * MARGIN, MARGIN + TITLE + TEXT + 22
    titles = (f"{layer.layer}   {_shape(layer)}", _shown(layer, len(chosen), order=True))
    width = max(left + grid_width, MARGIN + _widest(lettering, titles)) + MARGIN
    height = max(top + rows * row + 24, top + INPUT_SIDE + 60) + MARGIN
    sheet = Sheet(width, height, lettering)
    sheet.write(MARGIN, MARGIN, titles[0], TITLE)
    sheet.write(MARGIN, MARGIN + TITLE + 8, titles[1], TEXT, GREY)
    _draw_input(sheet, MARGIN, top, INPUT_SIDE, given)
    scale = scale_of(layer.values[..., chosen])
    for place, channel in enumerate(chosen):
        x, y = left + place % columns * (TILE + GAP), top + place // columns * row
        sheet.place(x, y, scale.paint(resampled(layer.values[..., channel], TILE)))
        sheet.write(x, y + TILE + 1, str(channel), SMALL, GREY)
    sheet.explain(left, top + rows * row + 8, grid_width, scale, ends_of(scale))
    return sheet


def overview(given: Input, layers: Sequence[FeatureMaps]) -> Sheet:
    """Draw the input and a small grid of each layer, shallow to deep."""
    across = math.isqrt(OVERVIEW_CHANNELS)
    side = across * (SMALL_TILE + SMALL_GAP) - SMALL_GAP
    panel_width, panel_height = side + 2 * MARGIN, side + 2 * TEXT + SMALL + 44
    columns = min(OVERVIEW_COLUMNS, 1 + len(layers))
    rows = math.ceil((1 + len(layers)) / columns)
    top = MARGIN + TITLE + 16
    lettering = Lettering((given.name, given.network, *(layer.layer for layer in layers)))
    sheet = Sheet(columns * panel_width, top + rows * panel_height, lettering)
    title = f"What {given.network} sees in {given.name}"
    sheet.write(MARGIN, MARGIN, title, TITLE, within=columns * panel_width - 2 * MARGIN)
    for place, layer in enumerate((None, *layers)):
        x = MARGIN + place % columns * panel_width
        y = top + place // columns * panel_height
        below = y + 2 * TEXT + 12
        if layer is None:
            sheet.write(x, y, "input")
            sheet.write(x, y + TEXT + 4, given.size, SMALL, GREY)
            sheet.place(x, below, enlarged(given.pixels, side), frame=True)
            continue
        chosen = layer.strongest(OVERVIEW_CHANNELS)
        sheet.write(x, y, f"{place}  {layer.layer}", within=side)
        about = f"{_shape(layer)}, {_shown(layer, len(chosen), order=False)}"
        sheet.write(x, y + TEXT + 4, about, SMALL, GREY, within=side)
        scale = scale_of(layer.values[..., chosen])
        for number, channel in enumerate(chosen):
            step = SMALL_TILE + SMALL_GAP
            tile = scale.paint(resampled(layer.values[..., channel], SMALL_TILE))
            sheet.place(x + number % across * step, below + number // across * step, tile)
        sheet.explain(x, below + side + 8, side, scale, ends_of(scale))
    return sheet


def class_page(given: Input, one: ClassMap) -> Sheet:
    """Draw the input, the map of a class by itself, and the map laid over the input."""
    top = MARGIN + TITLE + TEXT + 44
    step = INPUT_SIDE + 2 * MARGIN
    probability = f"{one.probability:.3f}" if one.probability >= 0.0005 else "below 0.001"
    said = f"class {one.class_name}, probability {probability}"
    is_predicted = one.class_name == one.predicted
    verdict = "the predicted class" if is_predicted else f"predicted is class {one.predicted}"
    height, width = one.values.shape
    note = f"; {one.note}" if one.note else ""
    titles = (
        f"{one.method}: {said}",
        f"{verdict}; layer {one.layer}, {height} x {width} places{note}",
    )
    lettering = Lettering(titles)
    sheet_width = max(3 * step, 2 * MARGIN + _widest(lettering, titles))
    sheet = Sheet(sheet_width, top + INPUT_SIDE + 24 + MARGIN, lettering)
    sheet.write(MARGIN, MARGIN, titles[0], TITLE)
    sheet.write(MARGIN, MARGIN + TITLE + 8, titles[1], TEXT, GREY)
    strongest = float(one.values.max())
    heat = one.values / strongest if strongest > 0 else one.values
    scale = Scale(0.0, 1.0, INFERNO)
    picture = enlarged(given.pixels, INPUT_SIDE)
    grey = picture @ LUMINANCE
    warm = scale.paint(resampled(heat, INPUT_SIDE, smooth=True))
    overlay = (grey[..., None] * (1 - OVERLAY) + warm * OVERLAY).round().astype(np.uint8)
    found = "map" if strongest > 0 else "map: no place speaks for it"
    panels = (
        ("input", picture),
        (found, scale.paint(resampled(heat, INPUT_SIDE))),
        ("map over input, in grey", overlay),
    )
    for place, (label, pixels) in enumerate(panels):
        sheet.write(MARGIN + place * step, top - TEXT - 8, label, TEXT)
        sheet.place(MARGIN + place * step, top, pixels, frame=True)
    sheet.write(MARGIN, top + INPUT_SIDE + 7, given.size, SMALL, GREY)
    ends = ("nothing", "strongest place")
    sheet.explain(MARGIN + step, top + INPUT_SIDE + 10, INPUT_SIDE, scale, ends)
    return sheet


def _draw_input(sheet: Sheet, x: int, y: int, side: int, given: Input) -> None:
    sheet.place(x, y, enlarged(given.pixels, side), frame=True)
    sheet.write(x, y + side + 7, f"input {given.name}", TEXT, within=side)
    sheet.write(x, y + side + TEXT + 12, given.size, SMALL, GREY)
    sheet.write(
        x, y + side + TEXT + SMALL + 17, f"network {given.network}", SMALL, GREY, within=side
    )


def _widest(lettering: Lettering, titles: tuple[str, str]) -> int:
    return max(map(lettering.width, titles, (TITLE, TEXT)))


def _shape(layer: FeatureMaps) -> str:
    height, width, channels = layer.values.shape
    return f"{height} x {width} x {channels:,}"


def _shown(layer: FeatureMaps, shown: int, *, order: bool) -> str:
    channels = layer.values.shape[-1]
    if not order:
        return f"all {channels}" if shown == channels else f"strongest {shown}"
    count = f"all {channels}" if shown == channels else f"{shown} of {channels:,}"
    what = "magnitude" if layer.values.min() < 0 else "activation"
    return f"{count} channels, highest mean {what} first; numbers are channels"
