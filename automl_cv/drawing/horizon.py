"""An in-memory storage that shows no more of the trials than whoever asks may know.

Optuna's samplers and pruners look at whatever the storage holds at that moment. With several
workers that depends on which of them is faster, and so would parameters and verdicts.
"""

from __future__ import annotations

import copy
from collections.abc import Container, Iterator
from contextlib import contextmanager

from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState

# What successive halving writes into a trial, by rung.
RUNGS = "completed_rung_"


class HorizonStorage(InMemoryStorage):
    """Within `up_to`, trials from a place on are shown as ones that have only begun."""

    def __init__(self) -> None:
        super().__init__()
        self._places: list[int] = []
        self._end: int | None = None

    def note(self, place: int) -> None:
        """Take note of the place of the trial that was made last: Optuna numbers them itself."""
        self._places.append(place)

    @contextmanager
    def up_to(self, end: int | None) -> Iterator[None]:
        """Show what came of the trials below this place alone; of all for None."""
        self._end = end
        try:
            yield
        finally:
            self._end = None

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        """Return the trials as they are, or as they may be known."""
        if self._end is None or states == (TrialState.WAITING,):
            return super().get_all_trials(study_id, deepcopy, states)
        trials = super().get_all_trials(study_id, deepcopy)
        for number, (trial, place) in enumerate(zip(trials, self._places, strict=False)):
            if place >= self._end:
                trials[number] = _begun(trial)
        return [trial for trial in trials if states is None or trial.state in states]


def _begun(trial: FrozenTrial) -> FrozenTrial:
    """Return a trial as it was when it had its parameters and no epoch."""
    known = copy.copy(trial)
    known.state, known.values, known.datetime_complete = TrialState.RUNNING, None, None
    known.intermediate_values = {}
    attributes = trial.system_attrs.items()
    known.system_attrs = {key: own for key, own in attributes if not key.startswith(RUNGS)}
    return known
