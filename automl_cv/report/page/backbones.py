"""The page's section on backbones: how good each is on these images, against what it costs."""

from __future__ import annotations

from collections.abc import Sequence

from automl_cv.report.backbones import board, footnotes
from automl_cv.report.document import Report, Section
from automl_cv.report.page.plot import COLOURS, INK, Plot, axes, drawing, make_log, shortened
from automl_cv.report.page.sections import Content
from automl_cv.results.backbones import Raced, raced, raced_frame
from automl_cv.results.ranking import best_of
from automl_cv.words import printable


def backbones(report: Report) -> Content:
    """Draw accuracy against milliseconds an image, a plot a stage, above their table."""
    if report.read is None:
        return Content()
    found = {name: own for name, own in raced(report.read).items() if own}
    if not found:
        return Content()
    plots = tuple(
        _plot(name, timed)
        for name, own in found.items()
        if len(timed := [one for one in own if one.cost.milliseconds]) > 1
    )
    table = board(found, raced_frame(found))
    notes = tuple(map(printable, footnotes(found, report.read.facts.metric)))
    return Content(plots=plots, grids=(Section("backbones", table),), notes=notes)


def _plot(stage: str, rows: Sequence[Raced]) -> Plot:
    names = list(dict.fromkeys(one.cost.backbone for one in rows))
    told = []
    with drawing():
        figure, plot = axes()
        for place, name in enumerate(names):
            own = sorted(
                (one for one in rows if one.cost.backbone == name),
                key=lambda one: one.cost.milliseconds or 0,
            )
            colour = COLOURS[place % len(COLOURS)]
            times = [one.cost.milliseconds or 0.0 for one in own]
            values = [best_of(one.record).val_accuracy for one in own]
            label = shortened(printable(name))
            plot.plot(times, values, "-o", color=colour, markersize=4, linewidth=1, label=label)
            for one, time, value in zip(own, times, values, strict=True):
                low, high = one.interval
                plot.plot([time, time], [low or value, high or value], color=colour, alpha=0.35)
                plot.annotate(
                    str(one.cost.pixels),
                    (time, value),
                    textcoords="offset points",
                    xytext=(4, 3),
                    color=INK,
                    fontsize="small",
                )
                told.append(f"{name} at {one.cost.pixels} pixels {value:.4f} in {time:.1f} ms")
        make_log(plot.xaxis)
        plot.set_xlabel("milliseconds an image")
        plot.set_ylabel("validation accuracy")
        plot.legend()
    text = printable(f"Accuracy and milliseconds an image: {'; '.join(told)}")
    title = printable(f"Stage {stage}: what a backbone gives and takes")
    note = "numbers: pixels of the images; faint bars: 95 % intervals over images"
    return Plot(f"backbones-{_file(stage)}", title, text, figure, note)


def _file(name: str) -> str:
    return "".join(sign if sign.isalnum() else "-" for sign in name)
