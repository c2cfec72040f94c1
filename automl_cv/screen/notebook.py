"""How far things are, in a cell of a notebook: one line with a bar, drawn over."""

from __future__ import annotations

import html
import sys
from importlib import import_module
from typing import Any

from automl_cv.catalog.metrics import ACCURACY, METRICS
from automl_cv.screen import search_lines as lines
from automl_cv.screen.console import caution
from automl_cv.search import events


def is_notebook() -> bool:
    """Whether this process is the kernel of a notebook: there alone a cell can be drawn over."""
    shell = sys.modules.get("IPython")
    current = None if shell is None else shell.get_ipython()
    return getattr(current, "kernel", None) is not None


class CellLine:
    """One line of a cell: what is done now, a bar, and a note."""

    def __init__(self) -> None:
        self._handle: Any = None

    def __call__(self, what: str, done: int = 0, total: int = 0, note: str = "") -> None:
        """Draw the line over.

        Args:
            what: is done now.
            done: how much of it.
            total: how much there is; 0 for no bar.
            note: after it.
        """
        cells: Any = import_module("IPython.display")
        counts = f"{done:,} of {total:,}" if total else ""
        bar = f'<progress max="{total}" value="{done}"></progress>' if total else ""
        texts = (html.escape(text) for text in (what, counts, note))
        shown = cells.HTML(" ".join(part for part in (next(texts), bar, *texts) if part))
        if self._handle is None:
            self._handle = cells.display(shown, display_id=True)
        else:
            self._handle.update(shown)


class CellSearch:
    """Shows a search in a cell: each stage's trials as a bar, with the best so far."""

    def __init__(self) -> None:
        self._line = CellLine()
        self._metric = METRICS[ACCURACY]
        self._best = float("-inf")
        self._trials = 0

    def __call__(self, event: events.Event) -> None:
        """Draw what the event changes."""
        match event:
            case events.Inspecting():
                self._line(event.what, event.done, event.total)
            case events.DataRead():
                self._line(lines.data_line(event))
                _caution_all(event.warnings)
            case events.Extracting():
                note = f"{event.images_per_second:,.0f} images a second"
                self._line("extracting features", event.done, event.total, note)
            case events.SpaceNeeded():
                caution(lines.space_line(event))
            case events.StageStarted():
                self._metric = METRICS[event.metric]
                self._best = max(map(self._metric.score, event.best.values()), default=self._best)
                self._trials = event.trials
                self._line(f"stage {event.stage}", event.finished, event.trials)
            case events.TrialEnded():
                best = event.history.best
                self._best = max(self._best, best.merit if best else self._best)
                note = f"best val {self._metric.about} {lines.figure(self._best, self._metric)}"
                self._line(f"stage {event.stage}", event.finished, self._trials, note)
            case events.Surveyed():
                self._line(lines.reference_line(event.reference))
                _caution_all(event.warnings)


def _caution_all(warnings: tuple[str, ...]) -> None:
    for line in warnings:
        caution(line)
