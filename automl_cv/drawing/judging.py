"""When a trial stops: its pruner is asked epoch by epoch, with what it may know of other trials.

A pruner that compares judges trial n by the trials up to n - lag, in the order of their slots,
whichever worker is faster. Where these have not ended yet, the trial goes on, and is judged once
they have: the epochs after its verdict are dropped then. So a board does not depend on the
number of workers.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import optuna
from optuna.pruners import BasePruner
from optuna.trial import TrialState, create_trial

from automl_cv.catalog.pruners import PRUNERS
from automl_cv.catalog.settings import LAG
from automl_cv.drawing.horizon import HorizonStorage
from automl_cv.history import Epoch, History, StopReason
from automl_cv.registry import load
from automl_cv.store.outcome import outcome
from automl_cv.study.stage import Stage


@dataclass(frozen=True)
class Settled:
    """A trial whose end is known.

    Args:
        place: of the trial in the stage, from 0.
        history: what counts of it; None where its best epoch came after the one that it should
            have stopped at: what it says of the images is of later weights, so that it has to be
            trained again, up to there.
    """

    place: int
    history: History | None


@dataclass
class _Open:
    """A trial that is not settled."""

    trial_id: int
    pruner: BasePruner
    epochs: list[Epoch] = field(default_factory=list)
    judged: int = 0
    cut: int | None = None
    ended: History | None = None


class Judge:
    """Asks the pruner of a stage.

    Args:
        stage: names the pruner.
        study: what pruners look at, kept in `storage`.
        storage: holds the trials, and hides what must not be known.
    """

    def __init__(self, stage: Stage, study: optuna.Study, storage: HorizonStorage) -> None:
        self._entry = PRUNERS[stage.pruner.name]
        self._parameters = dict(stage.pruner.parameters)
        self._lag: int = self._parameters.pop(LAG, 0)
        self._stop: StopReason = "plateau" if self._entry.stop_means == "finish" else "pruned"
        self._study = study
        self._storage = storage
        self._open: dict[int, _Open] = {}
        self._settled: set[int] = set()
        self._first_unsettled = 0

    def knows(self, place: int, lag: int) -> bool:
        """Tell whether all trials up to `lag` places below one are settled."""
        while self._first_unsettled in self._settled:
            self._settled.remove(self._first_unsettled)
            self._first_unsettled += 1
        return lag == 0 or self._first_unsettled > place - lag

    def hold(self, place: int) -> None:
        """Take note that a trial was settled in an earlier search."""
        self._settled.add(place)

    def begin(self, place: int, trial_id: int) -> None:
        """Take note of a trial that runs.

        Args:
            place: of the trial in the stage.
            trial_id: Optuna's.
        """
        self._storage.note(place)
        self._open[place] = _Open(trial_id, self._new_pruner())

    def add(self, place: int, template: optuna.trial.FrozenTrial, history: History) -> None:
        """Add a trial that was settled, as the study would hold it had it run now."""
        self._storage.note(place)
        if not self._entry.marks_trials:
            self._study.add_trial(template)
            return
        state, value = outcome(history)
        begun = create_trial(
            state=TrialState.RUNNING,
            params=template.params,
            distributions=template.distributions,
            system_attrs=template.system_attrs,
        )
        trial_id = self._storage.create_new_trial(self._study._study_id, template_trial=begun)
        # The epoch at which a loss was no longer finite was told to nobody.
        told = history.epochs[: len(history.epochs) - (history.stop_reason == "diverged")]
        again = _Open(trial_id, self._new_pruner(), list(told))
        while again.judged < len(told):  # whatever is found: it was judged already
            again.cut = None
            self._ask(place, again)
        self._storage.set_trial_state_values(trial_id, state, None if value is None else [value])

    def _new_pruner(self) -> BasePruner:
        """Return a fresh one for each trial: Hyperband keeps what the first trials showed it."""
        pruner: BasePruner = self._entry.load()(**self._parameters)
        return pruner

    def after(self, place: int, epoch: Epoch) -> StopReason | None:
        """Take an epoch of a running trial; return why it should stop, or None to go on."""
        one = self._open[place]
        if epoch.epoch > len(one.epochs):  # not one that is trained again
            one.epochs.append(epoch)
        self._judge(place, one)
        return None if one.cut is None or epoch.epoch < one.cut else self._stop

    def next_ask(self, place: int) -> int:
        """Return the epoch that a running trial has to wait at; it goes on up to there."""
        one = self._open[place]
        if one.cut is not None:
            return one.cut
        if not self._entry.earliest:
            return 0
        earliest: int = load(self._entry.earliest)(
            [float(epoch.merit) for epoch in one.epochs], **self._parameters
        )
        return earliest

    def n_judged(self, place: int) -> int:
        """Return how many epochs of a running trial stand, whatever comes of others."""
        return self._open[place].judged

    def end(self, place: int, history: History) -> list[Settled]:
        """Take the end of a trial; return all that are settled by it, in the order of places."""
        self._open[place].ended = history
        settled = []
        for number, one in sorted(self._open.items()):
            if not self.knows(number, self._lag):
                break
            self._judge(number, one)
            if one.ended is None:
                continue
            final = _final(one.ended, one.cut, self._stop)
            settled.append(Settled(number, final))
            one.ended = None
            if final is not None:
                self._close(number, final)
        return settled

    def _close(self, place: int, history: History) -> None:
        one = self._open.pop(place)
        state, value = outcome(history)
        # As Optuna has it: the value of a pruned trial is the last that it reported.
        number = self._storage.get_trial(one.trial_id).number
        self._study.tell(number, value if state == TrialState.COMPLETE else None, state)
        self._settled.add(place)

    def _judge(self, place: int, one: _Open) -> None:
        if one.cut is None and self.knows(place, self._lag):
            self._ask(place, one)

    def _ask(self, place: int, one: _Open) -> None:
        """Report the epochs that are not judged yet, up to one that the trial should end at."""
        with self._storage.up_to(place - self._lag + 1 if self._lag else None):
            for epoch in one.epochs[one.judged :]:
                self._storage.set_trial_intermediate_value(
                    one.trial_id, epoch.epoch, float(epoch.merit)
                )
                one.judged += 1
                if one.pruner.prune(self._study, self._storage.get_trial(one.trial_id)):
                    one.cut = epoch.epoch
                    return


def _final(history: History, cut: int | None, stop: StopReason) -> History | None:
    """Return what counts of a trial that should have ended after `cut` epochs; see `Settled`."""
    if cut is None or history.stop_reason == "failed":
        return history
    epochs = history.epochs[:cut]
    if epochs == history.epochs:
        return replace(history, stop_reason=stop)
    kept = History(epochs, stop, seconds=sum(epoch.seconds for epoch in epochs))
    return kept if kept.best == history.best else None
