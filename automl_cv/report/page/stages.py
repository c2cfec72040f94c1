"""Plots of what stages did: figures by stage, spaces narrowed, trials trained again compared."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from automl_cv.report.document import Report, Section
from automl_cv.report.page.plot import (
    COLOURS,
    FAINT,
    INK,
    Plot,
    axes,
    drawing,
    focus,
    make_log,
    shortened,
)
from automl_cv.report.page.progress import MOST_POINTS, some
from automl_cv.report.page.sections import Content
from automl_cv.results.leaderboard import RunTrials
from automl_cv.results.pairs import pairs_of
from automl_cv.results.repeats import in_own_units
from automl_cv.study.space import FloatRange, IntRange
from automl_cv.words import counted, printable

MOST_PAIRS = 20
MOST_NARROWED = 6  # plots of narrowed parameters


def stages(report: Report) -> Content:
    """Draw the rows of each stage side by side, and each range that was narrowed."""
    read = report.read
    if read is None or len({row.record.stage for row in read.rows}) < 2:
        return Content()
    grids = tuple(one for one in report.sections if one.heading == "narrowed stages")
    return Content(plots=(_by_stage(read), *_narrowings(read)), grids=grids)


def _by_stage(read: RunTrials) -> Plot:
    metric = read.facts.metric
    names = [one for one in read.run.stages if any(row.record.stage == one for row in read.rows)]
    told = []
    with drawing():
        figure, plot = axes()
        for place, name in enumerate(names):
            own = [row for row in read.rows if row.record.stage == name]
            values = np.array([metric.score(row.figures.merit) for row in own])
            chosen = some(len(own), MOST_POINTS // len(names))
            jitter = np.random.default_rng(place).uniform(-0.22, 0.22, len(chosen))
            colour = COLOURS[place % len(COLOURS)]
            plot.scatter(place + jitter, values[chosen], s=9, color=colour, alpha=0.6)
            best = max(own, key=lambda row: row.figures.merit)
            value = metric.score(best.figures.merit)
            plot.plot([place - 0.3, place + 0.3], [value, value], color=INK, linewidth=1.6)
            low, high = best.interval
            if low is not None and high is not None and not metric.has_own_column:
                plot.plot([place, place], [low, high], color=INK, linewidth=1)
            told.append(f"{name} {value:.4f}")
        values = np.array([metric.score(row.figures.merit) for row in read.rows])
        outside = focus(plot, values, metric)
        plot.set_xticks(range(len(names)), [shortened(printable(one), 12) for one in names])
        if len(names) > 4:
            plot.tick_params(axis="x", rotation=35)
        plot.set_ylabel(f"validation {metric.about}")
    note = "bar: the best of the stage, with its 95 % interval over images"
    note = "; ".join(part for part in (note, outside) if part)
    text = printable(f"Best {metric.about} of each stage: {', '.join(told)}")
    return Plot("stages", "What each stage reached", text, figure, note)


def _narrowings(read: RunTrials) -> list[Plot]:
    """Draw each range of a stage beside that which it was narrowed from."""
    chains: dict[str, list[tuple[str, Any]]] = {}
    for name in read.run.stages:
        narrowed = read.facts.narrowed.get(name)
        if narrowed is None:
            continue
        before = read.facts.space_of(narrowed.stage)
        for parameter, after in narrowed.space.parameters.items():
            first = None if before is None else before.parameters.get(parameter)
            if not isinstance(first, FloatRange | IntRange):
                continue
            if isinstance(after, FloatRange | IntRange):
                chain = chains.setdefault(parameter, [(narrowed.stage, first)])
                chain.append((name, after))
    return [_chain(read, name, chain) for name, chain in list(chains.items())[:MOST_NARROWED]]


def _chain(read: RunTrials, parameter: str, chain: Sequence[tuple[str, Any]]) -> Plot:
    told = []
    with drawing():
        figure, plot = axes(height=1.1 + 0.4 * len(chain))
        for place, (stage, searched) in enumerate(chain):
            colour = COLOURS[place % len(COLOURS)]
            plot.barh(
                place,
                searched.high - searched.low,
                left=searched.low,
                height=0.55,
                color=colour,
                alpha=0.35,
            )
            values = [
                float(row.record.parameters[parameter])
                for row in read.rows
                if row.record.stage == stage and parameter in row.record.parameters
            ]
            values = [values[row] for row in some(len(values), 80)]
            plot.plot(values, [place] * len(values), "|", color=INK, markersize=7)
            told.append(f"{stage} {searched.low:g} to {searched.high:g}")
        plot.set_yticks(range(len(chain)), [shortened(printable(name), 14) for name, _ in chain])
        plot.invert_yaxis()
        if chain[0][1].log:
            low = min(searched.low for _, searched in chain)
            plot.set_xlim(left=low / 1.1)
            make_log(plot.xaxis)
        plot.set_xlabel(printable(parameter.replace("_", " ")))
    title = f"Narrowed: {parameter.replace('_', ' ')}"
    text = printable(f"{title}: {'; '.join(told)}")
    return Plot(f"narrowed-{_file(parameter)}", printable(title), text, figure, "| trials")


def _file(name: str) -> str:
    return "".join(sign if sign.isalnum() else "-" for sign in name)


def comparisons(report: Report) -> Content:
    """Draw the differences of trials that were trained again, with their intervals."""
    read = report.read
    if read is None or not read.repeated or not read.is_whole:
        return Content()
    from automl_cv.report.comparison import compose_comparison

    pairs = pairs_of(read)
    if not pairs:
        return Content()
    composed = compose_comparison(read)
    metric = read.facts.metric
    shown = pairs[:MOST_PAIRS]
    labels, told = [], []
    with drawing():
        figure, plot = axes(height=1.0 + 0.42 * len(shown))
        for place, pair in enumerate(shown):
            difference = in_own_units(pair.difference, metric)
            low, high = difference.low, difference.high
            colour = INK
            if not (math.isfinite(low) and math.isfinite(high)):
                low, high = pair.over_images or (difference.mean, difference.mean)
                colour = FAINT
            plot.plot([low, high], [place, place], color=colour, linewidth=1.4)
            plot.plot([low, high], [place, place], "|", color=colour, markersize=8)
            plot.plot(difference.mean, place, "o", color=COLOURS[0], markersize=5)
            left, right = _names(pair)
            labels.append(printable(f"{shortened(left, 16)}\n− {shortened(right, 16)}"))
            told.append(f"{left} less {right}: {difference.mean:+.4f}, {pair.verdict}")
        plot.axvline(0, color=FAINT, linewidth=1)
        plot.set_yticks(range(len(shown)), labels)
        plot.invert_yaxis()
        plot.set_xlabel(f"difference of the mean {metric.about}")
    note = "whiskers: 95 % intervals over repeats; grey ones over images, where there is one repeat"
    if len(shown) < len(pairs):
        note += f"; {len(shown)} of {counted(len(pairs), 'pair')}"
    text = printable("; ".join(told))
    plotted = Plot("comparisons", "Differences with whiskers", text, figure, note)
    return Content(
        plots=(plotted,),
        grids=(Section("retrained trials compared", composed.table),),
        notes=composed.footnotes,
    )


def _names(pair: Any) -> tuple[str, str]:
    if pair.left.stage == pair.right.stage:
        return pair.left.source, pair.right.source
    return pair.left.stage, pair.right.stage
