"""Writes what a search does as runs of Weights & Biases, offline: one a trial, in a group."""

from __future__ import annotations

from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any

from automl_cv.catalog.metrics import ACCURACY, METRICS
from automl_cv.search import events


def wandb(where: str | None) -> AbstractContextManager[events.Listener]:
    """Return a listener that writes runs which `wandb sync` sends, if one wants them sent.

    Args:
        where: the folder that holds the folder "wandb"; None for here.
    """
    return closing(_Writing(Path(where or ".")))


class _Writing:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._chosen: events.RunChosen | None = None
        self._metric = METRICS[ACCURACY]
        self._running: dict[tuple[str, int], Any] = {}

    def __call__(self, event: events.Event) -> None:
        match event:
            case events.RunChosen():
                self._chosen = event
                self._metric = METRICS[event.study.get("metric", ACCURACY)]
            case events.TrialStarted():
                self._running[event.stage, event.trial] = self._begin(event)
            case events.EpochEnded():
                figures = events.figures_of(event.epoch, self._metric)
                self._running[event.stage, event.trial].log(figures, step=event.epoch.epoch)
            case events.TrialEnded():
                run = self._running.pop((event.stage, event.trial))
                best = event.history.best
                if best is not None:
                    figures = events.figures_of(best, self._metric)
                    run.summary.update({f"best_{name}": one for name, one in figures.items()})
                run.summary["stop_reason"] = event.history.stop_reason
                run.finish(exit_code=int(event.history.stop_reason == "failed"))

    def _begin(self, event: events.TrialStarted) -> Any:
        import wandb

        assert self._chosen is not None, "a search tells its run before its first trial"
        return wandb.init(
            mode="offline",  # whoever wants the runs elsewhere sends them with `wandb sync`
            dir=str(self._folder),
            project=self._chosen.run.partition("@")[0],
            group=self._chosen.run,
            job_type=event.stage,
            name=f"{event.stage}/{event.trial}",
            config={"stage": event.stage, **event.parameters},
            reinit="create_new",  # workers train side by side
            settings=wandb.Settings(
                silent=True, console="off", disable_git=True, x_disable_stats=True
            ),
        )

    def close(self) -> None:
        """End what still runs: the search was cut."""
        for run in self._running.values():
            run.finish(exit_code=1)
