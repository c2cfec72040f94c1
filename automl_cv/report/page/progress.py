"""Plots of how a search went: the best so far, and the learning curves of its trials."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from automl_cv.catalog.metrics import MetricEntry
from automl_cv.report.document import Report
from automl_cv.report.page.plot import COLOURS, FAINT, INK, Plot, axes, drawing, focus, make_log
from automl_cv.report.page.sections import Content
from automl_cv.results.comparison import SOURCE
from automl_cv.results.leaderboard import RunTrials
from automl_cv.store.records import TrialRecord
from automl_cv.words import counted, printable

MOST_POINTS = 300  # dots of one plot: more are a blot, and each is 100 bytes of the page
MOST_CURVES = 40
MOST_EPOCHS = 60  # points of one curve
NAMED = 8  # curves with a colour and a line of the legend

STOPS = {"plateau": "o", "epochs": "s", "pruned": "X", "diverged": "v", "failed": "v"}


def best_so_far(report: Report) -> Content:
    """Draw the metric of each trial, and the best until then, against trials and seconds."""
    read = report.read
    records = [] if read is None else in_time(read)
    if read is None or len(records) < 2:
        return Content()
    metric = read.facts.metric
    values = np.array([metric.score(record.value or 0.0) for record in records])
    best = running(values, metric)
    seconds = np.array(list(accumulate(record.history.seconds for record in records)))
    numbers = np.arange(1, len(records) + 1)
    last = int(np.flatnonzero(best == best[-1])[0])
    told = (
        f"The best {metric.about} rose from {best[0]:.4f} to {best[-1]:.4f} over "
        f"{counted(len(records), 'trial')}; the last gain came with trial {last + 1}, after "
        f"{seconds[last]:,.0f} of {seconds[-1]:,.0f} seconds"
    )
    note = _sampled(len(records), "trial", min(len(records), MOST_POINTS))
    axis = "seconds of training, one trial after the other"
    plots = [
        _against(places, label, values, best, records, metric=metric, told=told, note=note)
        for places, label in ((numbers, "trials"), (seconds, axis))
    ]
    return Content(lines=(f"{told}.",), plots=tuple(plots))


def in_time(read: RunTrials) -> list[TrialRecord]:
    """Return searched trials with a result in the order of stages and slots."""
    order = {name: place for place, name in enumerate(read.run.stages)}
    searched = (one for one in read.ranked if SOURCE not in one.parameters)
    return sorted(searched, key=lambda one: (order[one.stage], one.trial))


def some(count: int, most: int) -> list[int]:
    """Return which of `count` things are shown where `most` have room: evenly spread."""
    if count <= most:
        return list(range(count))
    return sorted({round(place) for place in np.linspace(0, count - 1, most)})


def running(values: np.ndarray, metric: MetricEntry) -> np.ndarray:
    """Return the best until each value."""
    up = metric.direction == "maximize"
    return (np.maximum if up else np.minimum).accumulate(values)


def _against(
    places: np.ndarray,
    label: str,
    values: np.ndarray,
    best: np.ndarray,
    records: Sequence[TrialRecord],
    *,
    metric: MetricEntry,
    told: str,
    note: str,
) -> Plot:
    unit = label.split()[0]
    with drawing():
        figure, plot = axes()
        shown = np.array(some(len(records), MOST_POINTS))
        names = list(dict.fromkeys(record.stage for record in records))
        for number, name in enumerate(names):
            own = np.array([row for row in shown if records[row].stage == name], int)
            colour = COLOURS[number % len(COLOURS)]
            plot.scatter(
                places[own], values[own], s=9, color=colour, alpha=0.75, label=printable(name)
            )
        corners = np.flatnonzero(np.r_[True, best[1:] != best[:-1], True][: len(best)])
        corners = np.unique(np.r_[corners, len(best) - 1])
        plot.step(places[corners], best[corners], where="post", color=INK, linewidth=1.3)
        outside = focus(plot, values, metric)
        plot.set_xlabel(label)
        plot.set_ylabel(f"validation {metric.about}")
        if len(names) > 1:
            plot.legend(loc="best", markerscale=1.5)
    title = "Best so far against " + unit
    note = "; ".join(part for part in (note, outside) if part)
    return Plot(f"best-so-far-{unit}", title, told, figure, note)


def learning_curves(report: Report) -> Content:
    """Draw the metric of each epoch; the best trials in colour, with why each stopped."""
    read = report.read
    if read is None:
        return Content()
    records = [one for one in read.ranked if len(one.history.epochs) > 1]
    if not records:
        return Content()
    shown = sorted({*range(min(NAMED, len(records))), *some(len(records), MOST_CURVES)})
    plots = (
        _curves(read, records, shown, "merit", f"Validation {read.facts.metric.about}"),
        _curves(read, records, shown, "val_loss", "Validation loss"),
    )
    best = records[0]
    reasons = {one: sum(r.history.stop_reason == one for r in records) for one in STOPS}
    told = ", ".join(f"{number} by {reason}" for reason, number in reasons.items() if number)
    lines = (
        f"{counted(len(records), 'trial')} of more than one epoch stopped: {told}. The best of "
        f"them, {best.name}, was at its best in epoch {best.best.epoch if best.best else 0} of "
        f"{len(best.history.epochs)}.",
    )
    return Content(lines=tuple(map(printable, lines)), plots=plots)


def _curves(
    read: RunTrials, records: Sequence[TrialRecord], shown: Sequence[int], name: str, title: str
) -> Plot:
    metric = read.facts.metric
    with drawing():
        figure, plot = axes()
        every = []
        for place in reversed(shown):
            epochs = [one for one in records[place].history.epochs if one.is_finite]
            if not epochs:
                continue
            epochs = [epochs[row] for row in some(len(epochs), MOST_EPOCHS)]
            values = [
                metric.score(one.merit) if name == "merit" else one.val_loss for one in epochs
            ]
            every += values
            named = place < NAMED
            colour = COLOURS[place % len(COLOURS)] if named else FAINT
            numbers = [one.epoch for one in epochs]
            plot.plot(
                numbers,
                values,
                color=colour,
                linewidth=1.3 if named else 0.7,
                alpha=1 if named else 0.5,
                label=printable(records[place].name) if named else None,
            )
            marker = STOPS.get(records[place].history.stop_reason or "", ".")
            plot.plot(numbers[-1], values[-1], marker, color=colour, markersize=4)
        if name == "merit":
            focus(plot, np.array(every), metric)
        elif every and min(every) > 0 and max(every) > 20 * min(every):
            make_log(plot.yaxis)
        plot.set_xlabel("epoch")
        plot.set_ylabel(title.lower())
        handles, labels = plot.get_legend_handles_labels()
        if name == "merit":
            plot.legend(handles[::-1], labels[::-1], loc="best", ncols=2)
    note = (
        "ends: ● plateau, ■ all epochs, ✖ pruned, ▼ diverged; in colour the first "
        f"{min(NAMED, len(records))}"
    )
    if len(shown) < len(records):
        note += f"; {len(shown)} of {len(records):,} trials, evenly spread over the ranks"
    told = f"{title} by epoch of {len(shown)} trials; the best is {records[0].name}"
    return Plot(f"curves-{name.replace('_', '-')}", title, printable(told), figure, note)


def _sampled(total: int, noun: str, shown: int) -> str:
    return "" if shown >= total else f"{shown} of {counted(total, noun)} as dots, evenly spread"
