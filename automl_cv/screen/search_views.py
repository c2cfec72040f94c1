"""Views of a running search: a live panel, plain lines, JSON lines, or nothing."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from automl_cv.catalog.metrics import ACCURACY, METRICS
from automl_cv.screen.console import LOADING, caution, messages, say
from automl_cv.screen.progress import Ticker
from automl_cv.screen.search_lines import (
    SURVEYING,
    aside,
    duration,
    epoch_line,
    extracting_line,
    figure,
    line_of,
    outcome_text,
    parameters_text,
    speed_text,
    stage_line,
    warnings_of,
)
from automl_cv.search import events
from automl_cv.study.trial import method_of
from automl_cv.words import sparkline


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
        self._ticker = Ticker()

    def __call__(self, event: events.Event) -> None:
        """Write the event's line, if it has one; of what goes on for long, a line a minute."""
        match event:
            case events.Inspecting():
                self._ticker.tick(lambda: f"{event.what}: {event.done:,} of {event.total:,}")
            case events.Extracting():
                self._ticker.tick(lambda: extracting_line(event))
            case events.EpochEnded():
                self._ticker.tick(lambda: epoch_line(event, self._metric))
            case events.Surveying():
                say(SURVEYING)
            case events.StageWaits() | events.TrialRedrawn() | events.TrialBroke():
                say(aside(event))
            case events.StageStarted():
                self._metric = METRICS[event.metric]
                self._best = max(map(self._metric.score, event.best.values()), default=-math.inf)
                self._trials = event.trials
                say(stage_line(event))
            case events.TrialEnded():
                say(self._trial_line(event))
            case _:
                if line := line_of(event):
                    say(line)
        for line in warnings_of(event):
            caution(line)

    def _trial_line(self, event: events.TrialEnded) -> str:
        best = event.history.best
        self._best = max(self._best, best.merit if best else -math.inf)
        return (
            f"{event.stage}: {event.finished} of {self._trials} done: trial {event.trial}: "
            f"{parameters_text(event.parameters)}: "
            f"{outcome_text(event.history, self._metric)}; "
            f"best so far {figure(self._best, self._metric)}"
        )


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
        if line := line_of(event):
            self._console.print(line, markup=False, highlight=False)
        for line in warnings_of(event):
            self._console.print(f"[bold yellow]warning:[/] {escape(line)}", highlight=False)
        match event:
            case events.Inspecting():
                self._show_bar(event.what, event.done, event.total, "")
            case events.Extracting():
                self._show_bar("extracting features", event.done, event.total, speed_text(event))
            case events.DataRead():
                self._live.update(Text(LOADING, style="dim"))
            case events.Surveying():
                self._live.update(Text(SURVEYING, style="dim"))
            case events.StageEnded():
                self._running.clear()
                self._stage = None
                self._live.update("")
            case events.FeaturesReady() if self._stage is not None:
                self._live.update(self._panel())
            case (
                events.StageStarted()
                | events.TrialStarted()
                | events.EpochEnded()
                | events.TrialEnded()
            ):
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
                row.curve.append(event.epoch.merit)
            case events.TrialEnded():
                self._running.pop(event.trial, None)
                self._finished = event.finished
                best = event.history.best
                if best is not None:
                    method = method_of(event.parameters)
                    before = self._best.get(method, -math.inf)
                    self._best[method] = max(before, best.merit)

    def _show_bar(self, what: str, done: int, total: int, note: str) -> None:
        bar = Table.grid(padding=(0, 2))
        bar.add_row(
            what, ProgressBar(total=max(total, 1), completed=done, width=40), f"{done:,}/{total:,}"
        )
        parts: list[RenderableType] = [bar, *([Text(note, style="dim")] if note else [])]
        if self._stage is not None:  # what its next trial learns from
            parts.insert(0, self._panel())
        self._live.update(Group(*parts))

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
        for heading in ("trial", "parameters", "epoch", f"val {self._metric.about}", "best", ""):
            side: Literal["left", "right"] = "left" if heading in ("parameters", "") else "right"
            rows.add_column(heading, justify=side, no_wrap=heading == "")
        for trial, row in sorted(self._running.items()):
            rows.add_row(
                str(trial),
                escape(parameters_text(row.parameters)),
                f"{row.epoch}/{row.epochs}" if row.epochs else "",
                figure(row.merit, self._metric) if row.epochs else "",
                figure(row.best, self._metric) if row.epochs else "",
                sparkline(row.curve),
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
    curve: list[float] = dataclasses.field(default_factory=list)
    merit: float = -math.inf
    best: float = -math.inf
