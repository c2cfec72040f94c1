"""The page's section on two runs: their best so far over each other, and the boards of both."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from automl_cv.report.document import Report, Section
from automl_cv.report.page.board import DRAWN, reordered, without_curves
from automl_cv.report.page.plot import COLOURS, Plot, axes, drawing, focus, shortened
from automl_cv.report.page.progress import MOST_POINTS, in_time, running, some
from automl_cv.report.page.sections import Content
from automl_cv.results.leaderboard import RunTrials
from automl_cv.words import counted, printable


def sides(report: Report) -> Content:
    """Draw the best so far of two runs over each other, and show their boards."""
    reads = [side.read for side in report.sides if side.read is not None]
    if not reads:
        return Content()
    drawn = [read for read in reads if len(in_time(read)) > 1]
    is_one_metric = len({read.facts.metric.name for read in reads}) == 1
    plots = tuple(_plots(drawn)) if is_one_metric and drawn else ()
    boards, notes = [], []
    for side in report.sides:
        grid = reordered(without_curves(side.table))
        if len(grid.rows) > DRAWN:
            shown = f"the first {DRAWN} of {counted(len(grid.rows), 'row')}"
            notes.append(f"{shown} of {side.run}; its own page has all")
            faint = frozenset(row for row in grid.faint if row < DRAWN)
            grid = type(grid)(grid.columns, grid.rows[:DRAWN], faint, grid.foot)
        boards.append(Section(printable(f"leaderboard of {side.run}"), grid))
    return Content(plots=plots, grids=tuple(boards), notes=tuple(map(printable, notes)))


def _plots(reads: Sequence[RunTrials]) -> list[Plot]:
    metric = reads[0].facts.metric
    every = []
    for read in reads:
        records = in_time(read)
        trials = np.arange(1.0, len(records) + 1)
        values = np.array([metric.score(record.value or 0.0) for record in records])
        seconds = np.array(list(accumulate(record.history.seconds for record in records)))
        every.append((read.run.name, trials, seconds, values))
    told = "; ".join(
        f"{name}: the best {metric.about} is {running(values, metric)[-1]:.4f} after "
        f"{counted(len(values), 'trial')} and {seconds[-1]:,.0f} seconds"
        for name, _, seconds, values in every
    )
    axis = "seconds of training, one trial after the other"
    return [
        _over_each_other(
            [(name, trials, values) for name, trials, _, values in every], "trials", reads, told
        ),
        _over_each_other(
            [(name, seconds, values) for name, _, seconds, values in every], axis, reads, told
        ),
    ]


def _over_each_other(
    every: Sequence[tuple[str, NDArray[np.float64], NDArray[np.float64]]],
    label: str,
    reads: Sequence[RunTrials],
    told: str,
) -> Plot:
    metric = reads[0].facts.metric
    with drawing():
        figure, plot = axes()
        for number, (name, places, values) in enumerate(every):
            colour = COLOURS[number]
            shown = some(len(values), MOST_POINTS // len(every))
            plot.scatter(places[shown], values[shown], s=9, color=colour, alpha=0.4)
            best = running(values, metric)
            corners = np.flatnonzero(np.r_[True, best[1:] != best[:-1]])
            corners = np.unique(np.r_[corners, len(best) - 1])
            shape = "-" if number == 0 else "--"  # told apart without colours too
            plot.step(
                places[corners],
                best[corners],
                where="post",
                color=colour,
                linestyle=shape,
                linewidth=1.6,
                label=shortened(printable(name)),
            )
        outside = focus(plot, np.concatenate([values for _, _, values in every]), metric)
        plot.set_xlabel(label)
        plot.set_ylabel(f"validation {metric.about}")
        plot.legend(loc="lower right")
    unit = label.split()[0]
    note = "; ".join(part for part in ("dots: trials; lines: the best until then", outside) if part)
    return Plot(f"sides-{unit}", f"Best so far against {unit}", printable(told), figure, note)
