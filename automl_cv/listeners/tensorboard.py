"""Writes what a search does as event files for TensorBoard, by tensorboardX.

TensorBoard's own writer asks for TensorFlow, which the process that conducts a search never loads.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any

from tensorboardX import SummaryWriter
from tensorboardX.summary import hparams

from automl_cv.catalog.metrics import ACCURACY, METRICS, MetricEntry
from automl_cv.search import events


def tensorboard(where: str | None) -> AbstractContextManager[events.Listener]:
    """Return a listener that writes a folder a trial: WHERE/RUN/STAGE/TRIAL.

    Args:
        where: the folder of all of them; None for "tensorboard" here.
    """
    return closing(_Writing(Path(where or "tensorboard")))


class _Writing:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._metric = METRICS[ACCURACY]
        self._open: dict[tuple[str, int], SummaryWriter] = {}

    def __call__(self, event: events.Event) -> None:
        match event:
            case events.RunChosen():
                self._folder /= event.run
            case events.StageStarted():
                self._metric = METRICS[event.metric]
            case events.TrialStarted():
                folder = self._folder / event.stage / str(event.trial)
                # An earlier try of the same trial was cut: its epochs count no more.
                self._open[event.stage, event.trial] = SummaryWriter(str(folder), purge_step=1)
            case events.EpochEnded():
                writer = self._open[event.stage, event.trial]
                for name, value in events.figures_of(event.epoch, self._metric).items():
                    writer.add_scalar(name, value, event.epoch.epoch)
            case events.TrialEnded():
                writer = self._open.pop((event.stage, event.trial))
                _add_parameters(writer, event, self._metric)
                writer.close()

    def close(self) -> None:
        """Close what still runs: the search was cut."""
        for writer in self._open.values():
            writer.close()


def _add_parameters(writer: SummaryWriter, event: events.TrialEnded, metric: MetricEntry) -> None:
    """Write what TensorBoard's page of hyperparameters shows: a trial, with its best epoch."""
    best = event.history.best
    if best is None:
        return
    figures: Mapping[str, Any] = {
        f"best/{name}": value for name, value in events.figures_of(best, metric).items()
    }
    for summary in hparams({"stage": event.stage, **event.parameters}, figures):
        writer.file_writer.add_summary(summary)
    for name, value in figures.items():
        writer.add_scalar(name, value, best.epoch)
