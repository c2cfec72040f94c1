"""The time that a search has, and how much of it is set aside for stages that train again."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence

from automl_cv.history import History
from automl_cv.store.progress import Progress
from automl_cv.study.stage import Stage
from automl_cv.study.studyfile import StudyFile

# Of ten measured trials, the second slowest counts: early stopping makes most of them shorter
# than the finalists, which are the ones that went on improving.
QUANTILE = 0.9


class Budget:
    """Says when a stage has to end.

    A stage that searches ends early by what the stages below it need that train its best
    trials again, so that there is a winner when the time ends. What they need is estimated
    from the trials measured so far, anew after each.

    Args:
        study: holds all stages.
        stages: those that this search runs, in order.
        seconds: the time that it has, from now; None for all it wants.
        workers: processes that train side by side; of a cluster that may change.
    """

    def __init__(
        self, study: StudyFile, stages: Sequence[Stage], seconds: float | None, workers: int
    ) -> None:
        self._study = study
        self._stages = stages
        self._ends = None if seconds is None else time.monotonic() + seconds
        self.workers = workers
        self._seconds: dict[str, list[float]] = {}  # of each trial, by epoch allowed
        self._results: dict[str, int] = {}
        self._reserves: dict[str, float] = {}
        self._has_something = False

    def measure(self, stage: Stage, history: History) -> None:
        """Take in a trial that ended, now or in an earlier search."""
        self._seconds.setdefault(stage.name, []).append(history.seconds / stage.epochs)
        if history.best is not None and history.stop_reason != "failed":
            self._results[stage.name] = self._results.get(stage.name, 0) + 1
            self.note_result()
        self._reserves.clear()

    def note_result(self) -> None:
        """Take note that there is something to show: a trial, or an epoch of one that runs."""
        self._has_something = True

    def is_over(self, stage: Stage) -> bool:
        """Tell whether a stage has to end.

        Never before there is anything to show: a search whose time ends while the images are
        read, or in the first epoch of its first trial, goes on to the end of that epoch.
        """
        if self._ends is None or not self._has_something:
            return False
        return time.monotonic() >= self._ends - self.reserve(stage)

    def reserve(self, stage: Stage) -> float:
        """Return the seconds that are set aside while a stage runs."""
        if stage.name not in self._reserves:
            later = self._stages[[one.name for one in self._stages].index(stage.name) + 1 :]
            again = [] if stage.retrained_stages else [one for one in later if one.retrained_stages]
            self._reserves[stage.name] = sum(map(self._needed, again), 0.0)
        return self._reserves[stage.name]

    def n_sources(self, stage: Stage) -> int:
        """Return how many trials a stage that retrains would train again as things stand now."""
        at_hand = sum(
            self.n_sources(source) if source.retrained_stages else self._results.get(source.name, 0)
            for source in map(self._study.stage, stage.retrained_stages)
        )
        return min(stage.retraining.top, at_hand)

    def _needed(self, stage: Stage) -> float:
        """Return the seconds that a stage which retrains takes from here; 0 if unknown."""
        trials = min(stage.trials, self.n_sources(stage) * stage.retraining.n_repeats)
        measured = [each for name in self._searched(stage) for each in self._seconds.get(name, ())]
        if not measured:
            return 0.0
        each = sorted(measured)[math.ceil(QUANTILE * len(measured)) - 1] * stage.epochs
        return math.ceil(trials / self.workers) * each

    def _searched(self, stage: Stage) -> set[str]:
        """Return the names of the stages that searched what a stage trains again."""
        found: set[str] = set()
        for source in map(self._study.stage, stage.retrained_stages):
            found |= self._searched(source) if source.retrained_stages else {source.name}
        return found


def must_wait(
    stage: Stage, study: StudyFile, progress: Mapping[str, Progress], budget: Budget
) -> bool:
    """Tell whether a stage can't be run in the time that is left.

    What a stage that narrows searches is decided by all trials of the other stage, those
    still to come included; so is which of the finalists is the best. Only the finalists
    themselves are taken from what there is, so that there is a winner: a resume adds those
    that it finds.

    Args:
        stage: the one whose turn it is.
        study: holds all stages.
        progress: how far the stages before it came in this search.
        budget: the time.
    """
    at_hand = [name for name in stage.sources if name in progress]
    cut = [study.stage(name) for name in at_hand if progress[name].is_cut]
    if not stage.retrained_stages or any(source.retrained_stages for source in cut):
        return budget.is_over(stage) or bool(cut)
    return budget.is_over(stage) or (bool(cut) and budget.n_sources(stage) == 0)
