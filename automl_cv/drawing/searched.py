"""Trials that a sampler draws from the space which the stage declares.

What each function does is said in `catalog.origins.OriginEntry`.
"""

from __future__ import annotations

from collections.abc import Mapping

from automl_cv.drawing.distinct import n_sets
from automl_cv.drawing.origins import StoredRun, Wanted
from automl_cv.drawing.stage_memory import StageMemory
from automl_cv.store.facts import StageFacts
from automl_cv.store.trials import StageTrials
from automl_cv.study.space import Choice, Constant, Value
from automl_cv.study.stage import Stage
from automl_cv.study.trial import Member

# Zeiler 2012 (https://arxiv.org/abs/1212.5701) has no learning rate at all, which is 1.0.
ADADELTA_NOTE = (
    "Adadelta: 0.001 is Keras's default learning rate, the paper's is 1.0; "
    "at 0.001 it hardly moves in 50 epochs"
)


def derived_space(stage: Stage, run: StoredRun, begun: StageTrials | None) -> None:
    """Return None: the declared space is searched."""


def memory_of(stage: Stage, run: StoredRun, trials: StageTrials) -> StageMemory:
    """Return what draws trials from the stage's space."""
    return StageMemory(trials.name, stage, run.study.seed)


def wanted(stage: Stage, facts: StageFacts) -> Wanted:
    """Return as many trials as the stage asks for, or as there are different ones."""
    count = n_sets(facts.searched_space(stage), stage.trials)
    return Wanted(range(count), None if count == stage.trials else count)


def is_current(stage: Stage, run: StoredRun, facts: StageFacts) -> bool:
    """Return True: no other stage has a say in what is drawn."""
    return True


def notes(stage: Stage) -> tuple[str, ...]:
    """Return a line where Adadelta alone is searched at a rate that is not its own."""
    optimizer, rate = map(stage.space.parameters.get, ("optimizer", "learning_rate"))
    is_adadelta = isinstance(optimizer, Constant) and optimizer.value == "Adadelta"
    is_default = isinstance(rate, Constant | Choice) and "0.001" in str(rate)
    return (ADADELTA_NOTE,) if is_adadelta and is_default else ()


def members(stage: Stage, run: StoredRun, parameters: Mapping[str, Value]) -> tuple[Member, ...]:
    """Return none: its trials are trainings of their own."""
    return ()
