"""Writes what a search does as runs of MLflow: one of the search, and below it one a trial."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from automl_cv.catalog.metrics import ACCURACY, METRICS
from automl_cv.search import events

HERE = "sqlite:///mlflow.db"  # as `mlflow ui` has it where nothing is said
# It asks for git, which need not be there, tells its makers of its use, and chats.
QUIET = {
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
}
MOST = 1000  # metrics that MLflow takes in one call
OUTCOMES = {"failed": "FAILED", "diverged": "FAILED"}


@contextmanager
def mlflow(where: str | None) -> Iterator[events.Listener]:
    """Give a listener that writes an experiment of the study's name.

    Args:
        where: MLflow's tracking URI; None for the environment's, or a database here.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    writing = _Writing(MlflowClient(where or os.environ.get("MLFLOW_TRACKING_URI") or HERE))
    try:
        yield writing
    finally:
        writing.close()


class _Writing:
    def __init__(self, client: Any) -> None:
        self._client = client
        self._experiment = ""
        self._search = ""  # run of the whole search
        self._metric = METRICS[ACCURACY]
        self._running: dict[tuple[str, int], str] = {}

    def __call__(self, event: events.Event) -> None:
        match event:
            case events.RunChosen():
                self._begin(event)
            case events.TrialStarted():
                run = self._run(f"{event.stage}/{event.trial}", {"stage": event.stage})
                self._running[event.stage, event.trial] = run
                for name, value in event.parameters.items():
                    self._client.log_param(run, name, value)
            case events.TrialEnded():
                self._end(self._running.pop((event.stage, event.trial)), event)

    def _begin(self, event: events.RunChosen) -> None:
        self._metric = METRICS[event.study.get("metric", ACCURACY)]
        name = event.run.partition("@")[0]
        known = self._client.get_experiment_by_name(name)
        self._experiment = known.experiment_id if known else self._client.create_experiment(name)
        self._search = self._run(event.run, {})

    def _run(self, name: str, tags: dict[str, str]) -> str:
        above = {"mlflow.parentRunId": self._search} if self._search else {}
        made = self._client.create_run(self._experiment, run_name=name, tags={**above, **tags})
        return str(made.info.run_id)

    def _end(self, run: str, event: events.TrialEnded) -> None:
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        epochs = [(one, "") for one in event.history.epochs]
        best = event.history.best
        epochs += [(best, "best_")] if best else []
        metrics = [
            Metric(prefix + name, value, now, one.epoch)
            for one, prefix in epochs
            for name, value in events.figures_of(one, self._metric).items()
        ]
        for at in range(0, len(metrics), MOST):
            self._client.log_batch(run, metrics[at : at + MOST])
        reason = event.history.stop_reason or ""
        self._client.set_tag(run, "stop_reason", event.history.error or reason)
        self._client.set_terminated(run, OUTCOMES.get(reason, "FINISHED"))

    def close(self) -> None:
        """End what still runs: the search was cut, or is over."""
        for run in self._running.values():
            self._client.set_terminated(run, "KILLED")
        if self._search:
            self._client.set_terminated(self._search)
