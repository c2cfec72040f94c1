"""What a module of the table of origins has, and what its functions are given and give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from optuna.storages import RDBStorage

from automl_cv.catalog.origins import ORIGINS
from automl_cv.drawing.stage_memory import StageMemory
from automl_cv.store.facts import Narrowed, StageFacts
from automl_cv.store.runs import find_run
from automl_cv.store.trials import StageTrials
from automl_cv.study.space import Value
from automl_cv.study.stage import Stage
from automl_cv.study.studyfile import StudyFile
from automl_cv.study.trial import Member


@dataclass(frozen=True)
class StoredRun:
    """A run of a study, and the database that holds it.

    Args:
        study: holds all stages.
        storage: the database.
        name: name of the run.
    """

    study: StudyFile
    storage: RDBStorage
    name: str

    @property
    def begun(self) -> tuple[str, ...]:
        """Names of its stages that are stored; the time may have kept others from being begun."""
        whole = self.name if "@" in self.name else f"{self.name}@1"
        return find_run(self.storage, whole).stages

    def open(self, stage: str) -> StageTrials:
        """Return the part of the storage of a stage that was begun; AutomlError if none was."""
        return StageTrials.open(self.storage, self.name, stage)


@dataclass(frozen=True)
class Wanted:
    """The trials that a stage wants.

    Args:
        slots: their numbers.
        n_sets: number of different parameter sets, where more trials were asked for; else None.
    """

    slots: Sequence[int]
    n_sets: int | None = None


class Origin(Protocol):
    """A module of the table; `catalog.origins.OriginEntry` says what each function does."""

    def derived_space(
        self, stage: Stage, run: StoredRun, begun: StageTrials | None
    ) -> Narrowed | None:
        """Return what is searched now in place of the declared space."""

    def memory_of(self, stage: Stage, run: StoredRun, trials: StageTrials) -> StageMemory:
        """Return what draws the stage's trials."""

    def wanted(self, stage: Stage, facts: StageFacts) -> Wanted:
        """Return which trials the stage wants."""

    def is_current(self, stage: Stage, run: StoredRun, facts: StageFacts) -> bool:
        """Tell whether what the facts say is still so."""

    def notes(self, stage: Stage) -> tuple[str, ...]:
        """Return lines for readers of the results."""

    def members(
        self, stage: Stage, run: StoredRun, parameters: Mapping[str, Value]
    ) -> tuple[Member, ...]:
        """Return what a trial combines."""


def origin_of(stage: Stage) -> Origin:
    """Return the functions of a stage's origin."""
    return ORIGINS[stage.origin].load()
