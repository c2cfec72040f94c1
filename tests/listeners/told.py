"""What a search tells of the published experiment's first trials, and listeners of one's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from automl_cv.search import events
from tests.published import COARSE, history_of, parameters_of

FINISHED = (4, 5)  # of COARSE; another one is cut in its second epoch


def told() -> Iterator[events.Event]:
    yield events.RunChosen("slides@2", {"name": "slides", "metric": "accuracy"})
    yield events.StageStarted("coarse", 3, 0, {}, "accuracy")
    for number in FINISHED:
        parameters, history = parameters_of(COARSE[number]), history_of(COARSE[number])
        yield events.TrialStarted("coarse", number, parameters)
        for epoch in history.epochs:
            yield events.EpochEnded("coarse", number, epoch, 50)
        yield events.TrialEnded("coarse", number, parameters, history, number)
    yield events.TrialStarted("coarse", 0, parameters_of(COARSE[0]))
    yield events.EpochEnded("coarse", 0, history_of(COARSE[0]).epochs[0], 50)


@contextmanager
def to_a_file(where: str | None) -> Iterator[events.Listener]:
    with Path(str(where)).open("w") as file:

        def listen(event: events.Event) -> None:
            print(type(event).__name__, file=file)

        yield listen


@contextmanager
def to_nowhere(where: str | None) -> Iterator[events.Listener]:
    def listen(event: events.Event) -> None:
        raise OSError("no\nroute")

    yield listen
