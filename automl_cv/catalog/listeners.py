"""The listeners: other programs' logs that a search can write, so that it is watched there.

A listener is a context manager that gives a function of one argument, an event of `search.events`.
It is called in a thread of its own, with one event after the other, in their order; so the search
does not wait for it.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

from automl_cv.registry import Entry, Table


@dataclass(frozen=True, kw_only=True)
class ListenerEntry(Entry):
    """What `search --listener NAME` may name.

    Args:
        target: a function (where, or None) -> context manager of a function (event) -> None.
        where: what may stand after "NAME=", for people.
        module: what it needs to be installed, by the name that Python imports.
        extra: of `pyproject.toml`, which brings it.
    """

    where: str
    module: str
    extra: str

    @property
    def is_installed(self) -> bool:
        """Whether its package is there."""
        return importlib.util.find_spec(self.module) is not None


LISTENERS: Table[ListenerEntry] = Table(
    "listener",
    [
        ListenerEntry(
            name="tensorboard",
            about="event files for TensorBoard: curves, parameters; a folder a trial",
            target="automl_cv.listeners.tensorboard:tensorboard",
            where="DIR, else tensorboard/",
            module="tensorboardX",
            extra="tensorboard",
        ),
        ListenerEntry(
            name="mlflow",
            about="runs of MLflow: one for the search, one below it for each trial",
            target="automl_cv.listeners.mlflow:mlflow",
            where="tracking URI, else the database mlflow.db",
            module="mlflow",
            extra="mlflow",
        ),
        ListenerEntry(
            name="wandb",
            about="runs of Weights & Biases, offline: one for each trial, grouped by search",
            target="automl_cv.listeners.wandb:wandb",
            where="DIR, else wandb/",
            module="wandb",
            extra="wandb",
        ),
    ],
)
