"""Views of a running search: a live panel, plain lines, JSON lines, or nothing."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from automl_cv.catalog.metrics import ACCURACY, METRICS, MetricEntry
from automl_cv.history import History
from automl_cv.screen.console import caution, messages, say
from automl_cv.search import events
from automl_cv.store.progress import sets_text
from automl_cv.study.trial import method_of
from automl_cv.words import counted, trials_text


@contextmanager
def watching(*, quiet: bool, json_lines: bool) -> Iterator[events.Listener]:
    """Give the listener that fits: JSON lines, silence, a live panel, a cell, or plain lines."""
    from automl_cv.screen.notebook import CellSearch, is_notebook

    if json_lines:
        yield write_json_line
    elif quiet:
        yield lambda event: None
    elif sys.stderr.isatty():
        panel = LivePanel(messages())
        with panel:
            yield panel
    else:
        yield CellSearch() if is_notebook() else PlainLines()


def write_json_line(event: events.Event) -> None:
    """Write an event as one line of JSON to stdout: its name, then its fields."""
    name = re.sub(r"(?<!^)(?=[A-Z])", "_", type(event).__name__).lower()
    fields = dataclasses.asdict(event)
    if "history" in fields:
        fields["history"] = event.history.to_json()  # type: ignore[union-attr]
    print(json.dumps({"event": name, **fields}, default=str), flush=True)


class PlainLines:
    """Writes one line for each thing that is done; for files, pipes and CI."""

    def __init__(self) -> None:
        self._metric = METRICS[ACCURACY]
        self._best = -math.inf
        self._trials = 0

    def __call__(self, event: events.Event) -> None:
        """Write the event's line, if it has one."""
        match event:
            case events.DataRead():
                say(data_line(event))
                _caution_all(event.warnings)
            case events.BackbonesAtHand() | events.OtherImages():
                say(run_line(event))
            case events.SpaceNeeded():
                caution(space_line(event))
            case events.FeaturesReady() | events.ViewsWanted() | events.BackboneEachEpoch():
                say(features_line(event))
            case events.Surveyed():
                say(reference_line(event.reference))
                _caution_all(event.warnings)
            case events.StageNarrowed():
                say(narrowed_line(event))
                _caution_all(f"stage {event.stage}: {line}" for line in event.warnings)
            case events.SpaceExhausted() | events.StageWaits() | events.TrialRedrawn():
                (caution if isinstance(event, events.SpaceExhausted) else say)(aside(event))
            case events.StageStarted():
                self._metric = METRICS[event.metric]
                self._best = max(map(self._metric.score, event.best.values()), default=-math.inf)
                self._trials = event.trials
                say(stage_line(event))
            case events.TrialEnded():
                best = event.history.best
                self._best = max(self._best, best.merit if best else -math.inf)
                say(
                    f"{event.stage}: {event.finished} of {self._trials} done: trial {event.trial}: "
                    f"{parameters_text(event.parameters)}: "
                    f"{outcome_text(event.history, self._metric)}; "
                    f"best so far {figure(self._best, self._metric)}"
                )
            case events.StageEnded():
                say(ended_line(event))


def _caution_all(lines: Iterable[str]) -> None:
    for line in lines:
        caution(line)


class LivePanel:
    """Shows the search on the last lines of a terminal; finished things scroll above it.

    Args:
        console: the terminal, stderr.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=8, transient=True)
        self._stage: events.StageStarted | None = None
        self._finished = 0
        self._began = time.monotonic()
        self._began_with = 0
        self._metric = METRICS[ACCURACY]
        self._best: dict[str, float] = {}
        self._running: dict[int, _Row] = {}

    def __enter__(self) -> LivePanel:
        self._live.start()
        return self

    def __exit__(self, *unused: object) -> None:
        self._live.stop()

    def __call__(self, event: events.Event) -> None:
        """Take an event in and redraw."""
        match event:
            case events.Inspecting():
                self._show_bar("reading images", event.done, event.total, "")
            case events.DataRead():
                self._console.print(data_line(event), markup=False, highlight=False)
                self._warn(event.warnings)
                self._live.update(Text("loading TensorFlow …", style="dim"))
            case events.BackbonesAtHand() | events.OtherImages():
                self._console.print(run_line(event), markup=False, highlight=False)
            case events.Extracting():
                left = (event.total - event.done) / max(event.images_per_second, 1e-9)
                note = f"{event.images_per_second:,.0f} images/s, {duration(left)} left"
                self._show_bar("extracting features", event.done, event.total, note)
            case events.SpaceNeeded():
                self._warn((space_line(event),))
            case events.FeaturesReady() | events.ViewsWanted() | events.BackboneEachEpoch():
                self._console.print(features_line(event), markup=False, highlight=False)
            case events.Surveyed():
                self._console.print(reference_line(event.reference), markup=False, highlight=False)
                self._warn(event.warnings)
            case events.StageNarrowed():
                self._console.print(narrowed_line(event), markup=False, highlight=False)
                self._warn(tuple(f"stage {event.stage}: {line}" for line in event.warnings))
            case events.StageEnded():
                self._running.clear()
                self._console.print(ended_line(event), markup=False, highlight=False)
                self._live.update("")
            case events.SpaceExhausted():
                self._warn((aside(event),))
            case events.TrialRedrawn() | events.StageWaits():
                pass  # The report and the last lines tell.
            case _:
                self._take_trial(event)
                self._live.update(self._panel())

    def _take_trial(self, event: events.Event) -> None:
        match event:
            case events.StageStarted():
                self._stage = event
                self._finished = self._began_with = event.finished
                self._began = time.monotonic()
                self._metric = METRICS[event.metric]
                self._best = {name: self._metric.score(best) for name, best in event.best.items()}
            case events.TrialStarted():
                self._running[event.trial] = _Row(event.parameters)
            case events.EpochEnded():
                row = self._running[event.trial]
                row.epoch, row.epochs = event.epoch.epoch, event.epochs
                row.merit = event.epoch.merit
                row.best = max(row.best, event.epoch.merit)
            case events.TrialEnded():
                self._running.pop(event.trial, None)
                self._finished = event.finished
                best = event.history.best
                if best is not None:
                    method = method_of(event.parameters)
                    before = self._best.get(method, -math.inf)
                    self._best[method] = max(before, best.merit)

    def _warn(self, lines: tuple[str, ...]) -> None:
        for line in lines:
            self._console.print(f"[bold yellow]warning:[/] {escape(line)}", highlight=False)

    def _show_bar(self, what: str, done: int, total: int, note: str) -> None:
        bar = Table.grid(padding=(0, 2))
        bar.add_row(
            what, ProgressBar(total=max(total, 1), completed=done, width=40), f"{done:,}/{total:,}"
        )
        self._live.update(Group(bar, Text(note, style="dim")) if note else bar)

    def _panel(self) -> Group:
        stage = self._stage
        assert stage is not None
        head = Table.grid(padding=(0, 2))
        head.add_row(
            Text(f"stage {stage.stage}", style="bold"),
            ProgressBar(total=stage.trials, completed=self._finished, width=30),
            f"{self._finished} of {stage.trials} done",
            self._time_left(),
        )
        rows = Table(box=None, pad_edge=False, padding=(0, 2), header_style="dim")
        for heading in ("trial", "parameters", "epoch", f"val {self._metric.about}", "best"):
            rows.add_column(heading, justify="left" if heading == "parameters" else "right")
        for trial, row in sorted(self._running.items()):
            rows.add_row(
                str(trial),
                escape(parameters_text(row.parameters)),
                f"{row.epoch}/{row.epochs}" if row.epochs else "",
                figure(row.merit, self._metric) if row.epochs else "",
                figure(row.best, self._metric) if row.epochs else "",
            )
        ranked = sorted(self._best.items(), key=lambda item: -item[1])
        best = "   ".join(f"{name} {figure(merit, self._metric)}" for name, merit in ranked)
        return Group(head, rows, Text(f"best  {best or 'none yet'}", style="green"))

    def _time_left(self) -> str:
        assert self._stage is not None
        done = self._finished - self._began_with
        if not done:
            return ""
        each = (time.monotonic() - self._began) / done
        return f"{duration(each * (self._stage.trials - self._finished))} left"


@dataclasses.dataclass
class _Row:
    """A running trial as the panel shows it."""

    parameters: Mapping[str, Any]
    epoch: int = 0
    epochs: int = 0
    merit: float = -math.inf
    best: float = -math.inf


def data_line(event: events.DataRead) -> str:
    """Return "data: digits, 1,797 images (1,077 train, …) of 10 classes"."""
    total = sum(event.images.values())
    splits = ", ".join(f"{count:,} {split}" for split, count in event.images.items())
    skipped = f"; {counted(event.skipped, 'file')} skipped" if event.skipped else ""
    classes = f"{len(event.classes)} classes"
    return f"data: {event.source}, {total:,} images ({splits}) of {classes}{skipped}"


def run_line(event: events.BackbonesAtHand | events.OtherImages) -> str:
    """Return "other images than quickstart@1: begins quickstart@2", or what races."""
    if isinstance(event, events.BackbonesAtHand):
        return event.line
    return f"other images than {event.other}: begins {event.run}"


def features_line(
    event: events.FeaturesReady | events.ViewsWanted | events.BackboneEachEpoch,
) -> str:
    """Return how many images passed the backbone, or will, and how long it takes."""
    match event:
        case events.ViewsWanted():
            total = event.augmentations * event.views * event.images
            return (
                f"stage {event.stage}: {event.augmentations} augmentations, each {event.views} "
                f"views of {event.images:,} images: {total:,} run through the backbone once, less "
                "what is cached"
            )
        case events.BackboneEachEpoch():
            speed = event.images_per_second
            return (
                f'stage {event.stage}: views = "online": each epoch of each trial runs '
                f"{event.images:,} images through the backbone: {event.images / speed:.1f} s, "
                f"{speed:,.0f} a second"
            )
    of = f" of {event.of}" if event.of else ""
    if not event.extracted:
        return f"features{of}: all cached, {event.dimension:,} numbers an image"
    speed = event.extracted / max(event.seconds, 1e-9)
    return (
        f"features{of}: {event.extracted:,} images in {event.seconds:.1f} s "
        f"({speed:,.0f} a second), "
        f"{event.dimension:,} numbers an image; cached from now on"
    )


def space_line(event: events.SpaceNeeded) -> str:
    """Return how much of the disk an extraction will take."""
    return (
        f"feature maps will take {event.n_bytes / 1e9:.1f} GB of the {event.free / 1e9:.1f} GB "
        f"that {event.folder} has left; `automl-cv cache --clear` removes them"
    )


def stage_line(event: events.StageStarted) -> str:
    """Return what a stage will do."""
    if event.finished >= event.trials:
        if event.trials == 1:
            return f"stage {event.stage}: its trial is finished already"
        return f"stage {event.stage}: all {event.trials} trials are finished already"
    done = f", {event.finished} of them finished already" if event.finished else ""
    seen = "" if event.images is None else f" on a sample of {event.images:,} images"
    return f"stage {event.stage}: {counted(event.trials, 'trial')}{seen}{done}"


def aside(event: events.SpaceExhausted | events.StageWaits | events.TrialRedrawn) -> str:
    """Return what comes otherwise than asked for."""
    match event:
        case events.SpaceExhausted():
            return f"stage {event.stage}: {sets_text(event.sets)}"
        case events.StageWaits():
            return f"stage {event.stage}: left for the next search, the time ended"
    return (
        f"{event.stage}: trial {event.trial} drew the parameters of trial {event.same_as}, "
        "and is drawn anew"
    )


def ended_line(event: events.StageEnded) -> str:
    """Return how many trials a stage has, and what is missing."""
    what = event.shortfall or counted(event.finished, "trial")
    return f"stage {event.stage}: {what}, {event.seconds:.1f} s"


def narrowed_line(event: events.StageNarrowed) -> str:
    """Return which trials a stage was narrowed from, and to what."""
    values = "; ".join(f"{name} {text}" for name, text in event.space.items())
    return (
        f"stage {event.stage}: narrowed from {trials_text(event.trials)} of {event.source} "
        f"to {values}"
    )


def reference_line(reference: Mapping[str, Any]) -> str:
    """Return the reference's validation accuracy."""
    return (
        f"reference: {reference['label']}: val accuracy {reference['val_accuracy']:.4f}, "
        f"val loss {reference['val_loss']:.4g}"
    )


def parameters_text(parameters: Mapping[str, Any]) -> str:
    """Return "SGD, batch_size 49, learning_rate 0.035"."""
    named = [
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in parameters.items()
        if name not in ("optimizer", "exact")
    ]
    method = method_of(parameters)
    return ", ".join([method, *named] if method else named)


def figure(merit: float, metric: MetricEntry) -> str:
    """Return the metric's value of this merit; a dash for none yet."""
    return f"{metric.score(merit):.4f}" if math.isfinite(merit) else "–"


def outcome_text(history: History, metric: MetricEntry) -> str:
    """Return a trial's best epoch and why it stopped."""
    best = history.best
    if history.error is not None:
        return f"{history.stop_reason}: {history.error}"
    if best is None:
        return "no epoch"
    if len(history.epochs) == 1:  # solved, or of one epoch
        return f"val {metric.about} {figure(best.merit, metric)} ({history.seconds:.2f} s)"
    return (
        f"val {metric.about} {figure(best.merit, metric)} at epoch {best.epoch} of "
        f"{len(history.epochs)} "
        f"({history.stop_reason}, {history.seconds:.2f} s)"
    )


def duration(seconds: float) -> str:
    """Return a time as "12 s", "3:05" or "1:02:03"."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
