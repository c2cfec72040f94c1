"""Plots of parameters: each beside the metric, all in parallel, and which of them mattered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import matplotlib as mpl
import numpy as np

from automl_cv.catalog.metrics import MetricEntry
from automl_cv.report.document import Report, Section
from automl_cv.report.page.plot import COLOURS, INK, Plot, axes, drawing, focus, make_log, shortened
from automl_cv.report.page.progress import MOST_POINTS, in_time, some
from automl_cv.report.page.sections import Content
from automl_cv.results.leaderboard import RunTrials
from automl_cv.store.records import MEMBERS, TrialRecord
from automl_cv.words import counted, printable

MOST_PARAMETERS = 10  # plots of single ones
MOST_AXES = 8
MOST_LINES = 150
MOST_CATEGORIES = 12
MOST_EVALUATED = 300  # trials of a stage: importances of thousands take longer than all plots


@dataclass(frozen=True)
class _Searched:
    """One parameter with several values.

    Args:
        name: of the parameter.
        rows: which trials have it.
        values: theirs, numbers or texts.
        is_numeric: which of the two.
        is_log: whether it was searched on its logarithm.
    """

    name: str
    rows: np.ndarray
    values: list[Any]
    is_numeric: bool
    is_log: bool

    @property
    def label(self) -> str:
        return printable(self.name.replace("_", " "))


def parameters(report: Report) -> Content:
    """Draw the metric against each searched parameter, and the parameters in parallel."""
    read = report.read
    records = [] if read is None else in_time(read)
    if read is None or len(records) < 3:
        return Content()
    metric = read.facts.metric
    found = _searched(read, records)
    if not found:
        return Content()
    values = np.array([metric.score(record.value or 0.0) for record in records])
    plots = [_single(one, values, metric) for one in found[:MOST_PARAMETERS]]
    if len(found) > 1:
        plots.append(_parallel(found[:MOST_AXES], values, metric))
    notes: tuple[str, ...] = ()
    if len(found) > MOST_PARAMETERS:
        notes = (f"{MOST_PARAMETERS} of {len(found)} parameters drawn",)
    return Content(plots=tuple(plots), notes=notes)


def _searched(read: RunTrials, records: Sequence[TrialRecord]) -> list[_Searched]:
    """Return the parameters of several values, those of most trials first."""
    is_log: dict[str, bool] = {}
    for stage in read.run.stages:
        space = read.facts.space_of(stage)
        for name, one in {} if space is None else space.parameters.items():
            is_log[name] = is_log.get(name, False) or bool(getattr(one, "log", False))
    names = dict.fromkeys(name for record in records for name in record.parameters)
    found = []
    for name in names:
        rows = [row for row, one in enumerate(records) if name in one.parameters]
        values = [records[row].parameters[name] for row in rows]
        if name == MEMBERS or len({str(value) for value in values}) < 2:
            continue
        numeric = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
        logarithmic = numeric and is_log.get(name, False) and min(values) > 0
        values = values if numeric else [printable(str(value)) for value in values]
        found.append(_Searched(name, np.array(rows), values, numeric, logarithmic))
    return sorted(found, key=lambda one: -len(one.rows))


def _single(one: _Searched, values: np.ndarray, metric: MetricEntry) -> Plot:
    own = values[one.rows]
    shown = some(len(own), MOST_POINTS)
    best = int(np.argmax(own) if metric.direction == "maximize" else np.argmin(own))
    note = "" if len(shown) == len(own) else f"{len(shown)} of {len(own):,} trials, evenly spread"
    with drawing():
        figure, plot = axes()
        if one.is_numeric:
            places = np.array(one.values, float)
            plot.set_xlabel(one.label)
            if one.is_log:
                plot.set_xlim(places.min() / 1.2, places.max() * 1.2)
                make_log(plot.xaxis)
            else:
                plot.locator_params(axis="x", nbins=6)
        else:
            texts, more = _categories(one.values)
            note = "; ".join(part for part in (note, more) if part)
            number = {text: place for place, text in enumerate(texts)}
            jitter = np.random.default_rng(0).uniform(-0.2, 0.2, len(own))
            places = np.array([number.get(text, np.nan) for text in one.values]) + jitter
            plot.set_xticks(range(len(texts)), [shortened(text, 12) for text in texts])
            if len(texts) > 3:
                plot.tick_params(axis="x", rotation=35)
            for place, text in enumerate(texts):
                median = np.median(own[[value == text for value in one.values]])
                plot.plot([place - 0.3, place + 0.3], [median, median], color=INK, linewidth=1.4)
            note = "; ".join(part for part in (note, "bar: median") if part)
        plot.scatter(places[shown], own[shown], s=9, color=COLOURS[0], alpha=0.65)
        plot.scatter(places[best], own[best], s=26, facecolor="none", edgecolor=COLOURS[1])
        outside = focus(plot, own, metric)
        note = "; ".join(part for part in (note, outside) if part)
        plot.set_ylabel(f"validation {metric.about}")
    value = one.values[best]
    shown_value = f"{value:.4g}" if isinstance(value, float) else str(value)
    told = (
        f"{metric.about} by {one.label} over {counted(len(own), 'trial')}; the best has "
        f"{shown_value}, ringed"
    )
    name = "".join(sign if sign.isalnum() else "-" for sign in one.name)
    return Plot(f"slice-{name}", f"By {one.label}", told, figure, note)


def _categories(values: Sequence[str]) -> tuple[list[str], str]:
    """Return the most frequent texts in their order, and a line where there are more."""
    counts: dict[str, int] = {}
    for text in values:
        counts[text] = counts.get(text, 0) + 1
    frequent = sorted(counts, key=lambda text: -counts[text])[:MOST_CATEGORIES]
    more = len(counts) - len(frequent)
    return sorted(frequent), f"{more} rarer values left out" if more else ""


def _parallel(found: Sequence[_Searched], values: np.ndarray, metric: MetricEntry) -> Plot:
    order = np.argsort(values if metric.direction == "maximize" else -values, kind="stable")
    shown = [int(order[row]) for row in some(len(order), MOST_LINES)]
    rank = np.empty(len(values))
    rank[order] = np.linspace(0, 1, len(values))
    scaled: list[Mapping[int, float]] = [_scaled(one) for one in found]
    with drawing():
        figure, plot = axes(height=3.2)
        colours = mpl.colormaps["viridis"]
        for row in shown:
            line = [one.get(row, np.nan) for one in scaled]
            plot.plot(line, color=colours(rank[row]), linewidth=0.8, alpha=0.7)
        for place, one in enumerate(found):
            plot.axvline(place, color=INK, linewidth=0.6)
            low, high = _ends(one)
            plot.annotate(high, (place, 1.03), ha="center", fontsize=7, annotation_clip=False)
            plot.annotate(low, (place, -0.09), ha="center", fontsize=7, annotation_clip=False)
        plot.set_ylim(-0.02, 1.02)
        plot.set_yticks([])
        plot.grid(False)
        plot.set_xticks(range(len(found)), [shortened(one.label, 14) for one in found])
        plot.tick_params(axis="x", rotation=30, pad=12)
    note = f"a line a trial, yellow the best {metric.about}, violet the worst"
    if len(shown) < len(values):
        note += f"; {len(shown)} of {len(values):,} trials, evenly spread over the ranks"
    told = f"{len(shown)} trials as lines over {', '.join(one.label for one in found)}"
    return Plot("parallel", "Parameters in parallel", told, figure, note)


def _scaled(one: _Searched) -> dict[int, float]:
    """Return each trial's place between the lowest and the highest value, by trial."""
    if one.is_numeric:
        numbers = np.array(one.values, float)
        numbers = np.log(numbers) if one.is_log else numbers
    else:
        texts = sorted(set(one.values))
        numbers = np.array([texts.index(value) for value in one.values], float)
    places = (numbers - numbers.min()) / (numbers.max() - numbers.min())
    return {int(row): float(place) for row, place in zip(one.rows, places, strict=True)}


def _ends(one: _Searched) -> tuple[str, str]:
    if one.is_numeric:
        return f"{min(one.values):.3g}", f"{max(one.values):.3g}"
    texts = sorted(set(one.values))
    return shortened(texts[0], 10), shortened(texts[-1], 10)


def importance(report: Report) -> Content:
    """Draw importances by both evaluators, where a stage has trials enough for figures."""
    read = report.read
    if read is None or not _has_enough(read):
        return Content()
    from automl_cv.report.importance import compose_importance
    from automl_cv.results.evaluators import LABELS

    fewer, notes = _fewer(read)
    stage = None if read.is_whole else read.ranked[0].stage
    composed = compose_importance(fewer, stage=stage)
    frame = composed.board
    frame = frame[frame["reason"].isna()]
    plots: list[Plot] = []
    for (name, within), own in frame.groupby(["stage", "within"], sort=False, dropna=False):
        own = own.sort_values("fanova")
        labels = [printable(str(one).replace("_", " ")) for one in own["parameter"]]
        with drawing():
            figure, plot = axes(height=1.3 + 0.4 * len(own))
            for shift, (evaluator, label) in zip((0.15, -0.15), LABELS.items(), strict=True):
                shares, places = own[evaluator].to_numpy(), np.arange(len(own)) + shift
                colour = COLOURS[0 if shift > 0 else 1]
                low, high = own[f"{evaluator}_low"], own[f"{evaluator}_high"]
                plot.barh(places, shares, height=0.28, color=colour, label=label, alpha=0.8)
                plot.hlines(places, low, high, color=INK, linewidth=1)
            plot.set_yticks(range(len(own)), labels)
            plot.set_xlim(0, 1)
            plot.set_xlabel("share of what the parameters do one by one")
            plot.legend(loc="lower right")
        where = "" if within != within else f" where {within}"
        first = labels[-1]
        told = printable(f"Importances in stage {name}{where}; fANOVA puts {first} first")
        title = printable(f"Stage {name}{where}")
        plots.append(Plot(f"importance-{len(plots)}", title, told, figure, "whiskers: 95 %"))
    return Content(
        plots=tuple(plots),
        grids=(Section("importances", composed.table),),
        notes=(*notes, *composed.footnotes),
    )


def _has_enough(read: RunTrials) -> bool:
    counts: dict[str, int] = {}
    for record in in_time(read):
        counts[record.stage] = counts.get(record.stage, 0) + 1
    if not counts:
        return False
    from automl_cv.results.importance import LEAST_TRIALS  # loads scikit-learn: 1 s

    return max(counts.values()) >= LEAST_TRIALS


def _fewer(read: RunTrials) -> tuple[RunTrials, tuple[str, ...]]:
    """Return a run with at most MOST_EVALUATED trials a stage, and a line that says so."""
    kept: list[TrialRecord] = []
    is_less = False
    for stage in read.run.stages:
        own = [one for one in read.ranked if one.stage == stage]
        chosen = some(len(own), MOST_EVALUATED)
        is_less = is_less or len(chosen) < len(own)
        kept += [own[row] for row in chosen]
    if not is_less:
        return read, ()
    told = (
        f"of {MOST_EVALUATED:,} trials a stage, evenly spread over the ranks; "
        "`automl-cv report --importance` takes all"
    )
    return replace(read, ranked=tuple(kept)), (told,)
