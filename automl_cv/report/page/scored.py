"""Plots of scores: which classes are taken for which, and how sure is too sure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from automl_cv.report.page.plot import COLOURS, FAINT, INK, Plot, axes, drawing, shortened
from automl_cv.scoring import Scores

# Inches, as all sizes here.
SIDE, LARGEST_SIDE = 2.9, 12.0  # of the matrix: on a page, and where it has a sheet of its own
CELL = 0.32  # that is wanted there
NAMED, WELL_NAMED, COUNTED = 0.07, 0.24, 0.14  # smaller cells have no names, small ones, no number
MOST_COUNTED = 40  # classes: thousands of numbers take seconds, and nobody reads them


def confusion(names: Sequence[str], scores: Scores, most: int | None = None) -> Plot:
    """Plot a confusion matrix: colours are shares of the true class, numbers are images.

    Args:
        names: of the classes, in order.
        scores: of the images.
        most: how many classes are drawn, the most confused ones; None for all, on as large a
            sheet as they need.
    """
    off = np.where(np.eye(len(names), dtype=bool), 0, scores.confusion)
    note = "true classes down, predicted across; colour: share of the true class"
    kept = np.arange(len(names))
    if most is not None and len(names) > most:
        kept = np.sort(np.argsort(-(off.sum(0) + off.sum(1)), kind="stable")[:most])
        note += f"; the {most} most confused of {len(names)} classes"
    part = scores.confusion[np.ix_(kept, kept)]
    shares = part / np.maximum(scores.confusion[kept].sum(axis=1, keepdims=True), 1)
    side = SIDE if most is not None else float(np.clip(CELL * len(kept), SIDE, LARGEST_SIDE))
    cell = side / len(kept)
    size = 8 if cell >= WELL_NAMED else 5
    with drawing():
        figure, plot = axes(width=side + 1.3, height=side + 0.7)
        plot.grid(False)
        drawn = plot.pcolormesh(shares, cmap="Blues", vmin=0, vmax=1, rasterized=False)
        if cell >= NAMED:
            drawn.set(edgecolor=FAINT, linewidth=0.2)
        drawn.set_antialiased(False)
        plot.invert_yaxis()
        if cell >= NAMED:
            labels = [shortened(names[one], 12) for one in kept.tolist()]
            plot.set_xticks(np.arange(len(kept)) + 0.5, labels, rotation=90, fontsize=size)
            plot.set_yticks(np.arange(len(kept)) + 0.5, labels, fontsize=size)
        else:
            note += "; too many classes to be named here"
        if cell >= COUNTED and len(kept) <= MOST_COUNTED:
            for row, column in np.argwhere(part).tolist():
                plot.text(
                    column + 0.5,
                    row + 0.55,
                    f"{part[row, column]}",
                    ha="center",
                    va="center",
                    fontsize=size - 1,
                    color="#ffffff" if shares[row, column] > 0.5 else "#1b1f24",
                )
    row, column = divmod(int(off.argmax()), len(names))
    told = "Confusion matrix; no image is taken for another class"
    if off.max():
        told = (
            f"Confusion matrix; most often {names[row]} is taken for {names[column]}, "
            f"{off.max():,} times"
        )
    return Plot("confusion", "Confusion", told, figure, note)


def calibration(scores: Scores) -> Plot:
    """Plot how often images are right by how sure the classifier is."""
    bins = [one for one in scores.bins if one.images]
    sure, right = [one.probability for one in bins], [one.accuracy for one in bins]
    with drawing():
        figure, plot = axes()
        plot.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle="--")
        sizes = np.array([one.images for one in bins])
        plot.plot(sure, right, color=INK, lw=1)
        plot.scatter(sure, right, s=10 + 120 * sizes / sizes.max(), color=COLOURS[0], alpha=0.8)
        plot.set_xlim(0, 1.02)
        plot.set_ylim(0, 1.02)
        plot.set_xlabel("confidence")
        plot.set_ylabel("accuracy")
    told = f"Calibration; expected calibration error {scores.calibration_error:.4f}"
    note = "below the diagonal it is surer than it is right; larger dots are more images"
    return Plot("calibration", "Calibration", told, figure, note)
