"""A plot as matplotlib draws it: inline SVG for the page, PNG or SVG as files.

One figure serves all three. What is drawn in `INK` takes the colour of the page's text in the
SVG, so that the page can be dark or light; the other colours are legible on both.
"""

from __future__ import annotations

import io
import re
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import matplotlib as mpl
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from matplotlib.ticker import LogLocator, NullFormatter
from numpy.typing import NDArray

from automl_cv.catalog.metrics import MetricEntry

INK = "#010203"  # no other colour is this one
FAINT = "#80868f"
# Okabe and Ito 2008, "Color universal design", made darker or lighter until each has a contrast
# of 3:1 or more beside white and beside the page's dark grey.
COLOURS = ("#2f7fc1", "#cc6f1a", "#2a9068", "#d04f5e", "#8a6bc1", "#7d7f36", "#b0568f", "#58808f")
WIDTH, HEIGHT = 4.2, 2.9  # inches; 302 units of the SVG, so that a phone shows letters of 10 px
LETTERS = 9  # points
LETTERS_AN_INCH = 16  # of a heading
# What machines have for letters that matplotlib's own font, DejaVu Sans, lacks.
MORE_FONTS = (
    *("Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans", "WenQuanYi Zen Hei"),
    *("Microsoft YaHei", "Yu Gothic", "Malgun Gothic", "Hiragino Sans", "Arial Unicode MS"),
)
FAR = 4  # times the best's distance from the median, below which values are left out

_IDS = re.compile(r'<g id="[A-Za-z0-9_.]+"')
_HEAD = re.compile(r"<svg [^>]*?viewBox=\"([^\"]+)\"[^>]*>", re.DOTALL)
_METADATA = re.compile(r"\s*<metadata>.*?</metadata>", re.DOTALL)
_SPACE = re.compile(r">\s+<")


@dataclass(frozen=True, eq=False)
class Plot:
    """One plot.

    Args:
        name: of its file, without an ending; unlike all others of a page.
        title: what stands above it.
        told: what it shows, in words, for who can't see it.
        figure: the drawing.
        note: a line below it: what was left out, how it is to be read; may be empty.
    """

    name: str
    title: str
    told: str
    figure: Figure
    note: str = ""


@contextmanager
def drawing() -> Iterator[None]:
    """Draw in the page's style; figures are made and changed within.

    Letters that no font of the machine has become boxes in a PNG file, without a word; an SVG
    file and the page hold texts, for which its reader's machine has the fonts.
    """
    with (
        warnings.catch_warnings(),
        mpl.rc_context(
            {
                "font.family": ["sans-serif", *_more_fonts()],
                "font.size": LETTERS,
                "axes.edgecolor": FAINT,
                "axes.facecolor": "none",
                "axes.labelcolor": INK,
                "axes.titlecolor": INK,
                "axes.prop_cycle": cycler(color=COLOURS),
                "axes.spines.top": False,
                "axes.spines.right": False,
                "axes.grid": True,
                "axes.axisbelow": True,
                "grid.color": FAINT,
                "grid.alpha": 0.25,
                "grid.linewidth": 0.6,
                "text.color": INK,
                "xtick.color": FAINT,
                "ytick.color": FAINT,
                "xtick.labelcolor": INK,
                "ytick.labelcolor": INK,
                "legend.frameon": False,
                "legend.fontsize": LETTERS - 1,
                "text.parse_math": False,
                "svg.fonttype": "none",
            }
        ),
    ):
        warnings.filterwarnings("ignore", message="(?s)Glyph .* missing from font")
        yield


@cache
def _more_fonts() -> list[str]:
    known = {one.name for one in fontManager.ttflist}
    return [name for name in MORE_FONTS if name in known]


def axes(*, width: float = WIDTH, height: float = HEIGHT) -> tuple[Figure, Axes]:
    """Return a new figure and its only axes; sizes are in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def make_log(axis: Axis) -> None:
    """Put an axis on a logarithm, with plain numbers at its ticks.

    matplotlib writes them as formulas, and formulas are off: a name with two $ would be one.
    """
    (axis.axes.set_xscale if axis is axis.axes.xaxis else axis.axes.set_yscale)("log")
    axis.set_major_formatter(lambda value, _: f"{value:g}")
    low, high = axis.get_view_interval()
    if high / low < 30:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_minor_formatter(NullFormatter())


def focus(plot: Axes, values: NDArray[np.float64], metric: MetricEntry) -> str:
    """Bound the upright axis so that a few far worse values don't press all others together.

    Returns:
        How many values lie outside, in words; empty for none.
    """
    finite = values[np.isfinite(values)]
    if not len(finite):
        return ""
    sign = 1.0 if metric.direction == "maximize" else -1.0
    merits = sign * finite
    best, middle = float(merits.max()), float(np.median(merits))
    lowest = max(float(merits.min()), middle - FAR * (best - middle))
    margin = 0.06 * (best - lowest) or 0.01
    ends = sign * (lowest - margin), sign * (best + margin)
    plot.set_ylim(min(ends), max(ends))
    n_outside = int((merits < lowest - margin).sum())
    return f"{n_outside:,} far worse outside" if n_outside else ""


def shortened(name: str, most: int = 18) -> str:
    """Return a name that fits an axis: its middle gives way."""
    if len(name) <= most:
        return name
    return f"{name[: most // 2]}…{name[-(most - most // 2 - 1) :]}"


def as_inline_svg(plot: Plot) -> str:
    """Return a plot as an element of a page: in the colour of its text, as wide as there is room.

    Screen readers pass it over: the page gives them the plot's words in its place. What it holds
    of the user's texts is escaped by matplotlib. Identifiers go but for those that something
    refers to, which are hashed with the plot's name: two plots share none.
    """
    text = _svg(plot)
    text = _METADATA.sub("", text[text.index("<svg ") :])
    text = _IDS.sub("<g", text).replace(INK, "currentColor")
    text = _HEAD.sub(lambda found: f'<svg viewBox="{found[1]}" aria-hidden="true">', text, count=1)
    return _SPACE.sub("><", text).strip()


def as_svg(plot: Plot) -> bytes:
    """Return a plot as a file of its own, on white."""
    return _svg(plot, facecolor="white").encode()


def as_png(plot: Plot, heading: Sequence[str] = ()) -> bytes:
    """Return a plot as a PNG file of 200 dots an inch.

    Args:
        plot: what is drawn.
        heading: lines above it, broken where they are too long.
    """
    file = io.BytesIO()
    with drawing():
        if heading:
            within = round(plot.figure.get_figwidth() * LETTERS_AN_INCH)
            lines = [part for line in heading for part in textwrap.wrap(line, within)]
            plot.figure.suptitle("\n".join(lines), x=0.02, ha="left", fontsize=LETTERS - 1)
        _lay_out(plot.figure)
        plot.figure.savefig(file, format="png", dpi=200, facecolor="white")
    return file.getvalue()


def _svg(plot: Plot, facecolor: str = "none") -> str:
    file = io.StringIO()
    with drawing(), mpl.rc_context({"svg.hashsalt": plot.name}):
        _lay_out(plot.figure)
        metadata = {"Date": None, "Title": plot.title}
        plot.figure.savefig(file, format="svg", facecolor=facecolor, metadata=metadata)
    return file.getvalue()


def _lay_out(figure: Figure) -> None:
    """Place axes and labels, once: a second time moves them by a hair, and costs a drawing."""
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
        figure.set_layout_engine("none")
