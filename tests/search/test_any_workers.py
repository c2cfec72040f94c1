"""A board is the same for any number of workers, whichever is faster, dies or is killed.

The reference is Optuna itself, asked for one trial after the other.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import optuna
import pytest

from automl_cv.drawing.origins import StoredRun
from automl_cv.drawing.stage_memory import StageMemory
from automl_cv.history import Epoch, History
from automl_cv.orders.messages import Answer, Train, Trained
from automl_cv.search import stage_run
from automl_cv.search.budget import Budget
from automl_cv.search.context import SearchContext
from automl_cv.search.stage_run import LOSSES_OF_A_TRIAL, StageRun
from automl_cv.store.facts import StageFacts, StudyFacts
from automl_cv.store.outcome import outcome
from automl_cv.store.records import TrialRecord
from automl_cv.study import studyfile
from automl_cv.study.stage import Stage
from tests.depth import each_time
from tests.orders.scripted import DEATH, ScriptedCrew, ScriptedWorker, obedient
from tests.search.conducted import IMAGES, STUDY

TRIALS, EPOCHS = 20, 12

PRUNERS = [
    {"name": "median", "n_startup_trials": 3, "n_warmup_steps": 2, "n_min_trials": 2},
    {"name": "percentile", "percentile": 30.0, "n_startup_trials": 2, "n_warmup_steps": 1},
    {"name": "hyperband"},
    {"name": "successive_halving", "reduction_factor": 2},
    {"name": "early_stopping", "patience": 2},
]
SAMPLERS = [
    {"name": "tpe", "n_startup_trials": 4, "lag": 3},
    {"name": "cmaes", "lag": 3},
    {"name": "gp", "n_startup_trials": 4, "lag": 3},
]
NAMES = {"ids": lambda one: one["name"]}


def stage_of(pruner: object = "none", sampler: object = "random") -> Stage:
    return studyfile.parse(
        {
            "name": "s",
            "stage": [
                {
                    "name": "coarse",
                    "trials": TRIALS,
                    "epochs": EPOCHS,
                    "pruner": pruner,
                    "sampler": sampler,
                    "space": {
                        "optimizer": ["SGD"],
                        "batch_size": {"low": 16, "high": 64},
                        "learning_rate": {"low": 0.001, "high": 0.1, "log": True},
                        "momentum": {"low": 0.0, "high": 0.9},
                    },
                }
            ],
        },
        "s.toml",
    ).stage("coarse")


def curve(parameters: dict) -> list[Epoch]:
    """Return epochs that cross those of other parameters; some stay level, some diverge."""
    rate, momentum = parameters["learning_rate"], parameters["momentum"]
    top = 1 - abs(math.log10(rate) + 2) / 3 - 0.2 * momentum
    epochs = []
    for number in range(1, EPOCHS + 1):
        value = top * (1 - math.exp(-number * (0.1 + momentum)))
        is_over = rate > 0.05 and number > 1 + 9 * momentum
        loss = math.inf if is_over else 0.1
        epochs.append(Epoch(number, value, round(value, 3), loss, loss, rate, 0.0))
        if is_over:
            break
    return epochs


def said(trial: int, history: History) -> np.ndarray:
    """Return probabilities that tell by which epoch's weights they were found."""
    best = 0 if history.best is None else history.best.epoch
    return np.full((2, 2), (trial + best / 100) / 100, np.float32)


def ended(trial: int, ran: list[Epoch], stop: str | None) -> Trained:
    if not ran[-1].is_finite:
        stop = "diverged"
    history = History(tuple(ran), stop or "epochs", seconds=0.0)
    return Trained(history, {"name": "SGD"}, said(trial, history))


def train(order: Train, deaths: random.Random | None = None) -> Iterator[object]:
    ran: list[Epoch] = []
    stop = None
    for epoch in curve(dict(order.trial.parameters)):
        if deaths is not None and deaths.random() < 0.02:
            yield DEATH
            return
        ran.append(epoch)
        if epoch.is_finite:
            verdict = yield epoch
            stop = verdict.stop
        if stop is not None:
            break
    yield ended(order.trial.number, ran, stop)


class Killed(BaseException):
    """Stands for a kill of the process that conducts."""


class UnevenCrew(ScriptedCrew):
    """Hears its workers in an order of a seed's, and may be killed.

    Args:
        count: of workers.
        seed: decides who answers first, and which process dies; not too many a trial.
        answers: after so many the search is killed.
    """

    def __init__(self, count: int, seed: int, answers: int | None = None) -> None:
        self._random = random.Random(seed)
        self._left = answers
        self._tried: Counter[int] = Counter()
        super().__init__(count, self._answer)

    def _answer(self, worker: ScriptedWorker, order: object) -> Iterator[object]:
        if not isinstance(order, Train):
            yield from obedient(worker, order)
            return
        number = order.trial.number
        may_die = self._left is not None and self._tried[number] <= LOSSES_OF_A_TRIAL
        self._tried[number] += 1
        yield from train(order, self._random if may_die else None)

    def answers(self, timeout: float | None = None) -> Iterator[tuple[ScriptedWorker, Answer]]:
        waiting = [one for one in self.workers if one.connection.poll()]
        if waiting:
            worker = self._random.choice(waiting)
            if self._left is not None:
                self._left -= 1
                if self._left < 0:
                    raise Killed
            yield worker, worker.receive()


class Context(SearchContext):
    def checkpoint(self, stage: str, trial: int) -> Path:
        return Path("none")


class Kept:
    """What `StageTrials` is to a stage that runs, without a database: it outlives a kill."""

    def __init__(self) -> None:
        self.name = "s/coarse"
        self.facts = StudyFacts(STUDY.as_toml_data(), seed=STUDY.seed, split_sizes={})
        self.stage_facts = StageFacts()
        self.ended: dict[int, TrialRecord] = {}
        self.said: dict[int, list] = {}
        self.begun: dict[int, tuple[Epoch, ...]] = {}

    def describe(self) -> None:
        pass

    def settle(self) -> None:
        """There is nothing to settle: what had not ended is lost."""

    def records(self) -> list[TrialRecord]:
        return [self.ended[trial] for trial in sorted(self.ended)]

    def update_facts(self, **changes: Any) -> None:
        self.stage_facts = replace(self.stage_facts, progress=changes["progress"])

    def begin(self, trial: int, *known: object, **more: object) -> None:
        assert trial not in self.begun, "shown twice"
        self.begun[trial] = ()

    def write_epochs(self, trial: int, history: History) -> None:
        self.begun[trial] = max(self.begun[trial], history.epochs, key=len)

    def interrupt(self, trial: int, history: History) -> None:
        del self.begun[trial]

    def finish(
        self,
        trial: int,
        parameters: Mapping[str, Any],
        distributions: object,
        history: History,
        **known: Any,
    ) -> None:
        assert trial not in self.ended or not self.ended[trial].is_done, "stored twice"
        written = self.begun.pop(trial, ())
        assert history.epochs[: len(written)] == written, "what was written stands"
        state = "failed" if history.stop_reason == "failed" else "complete"
        attributes = dict(known["system_attributes"])
        self.ended[trial] = TrialRecord(
            "s", "coarse", trial, state, dict(parameters), history, system_attributes=attributes
        )
        self.said[trial] = [] if state == "failed" else known["probabilities"].tolist()

    def board(self) -> list:
        """Return of each trial its parameters, its history, and what it said."""
        return [
            (one.trial, dict(one.parameters), one.history, self.said[one.trial])
            for one in self.records()
        ]


def searched(stage: Stage, workers: int, seed: int = 0, *, kills: bool = False) -> list:
    """Return the board of a search that is gone on with until it has all trials."""
    kept, chance = Kept(), random.Random(seed)
    while sum(one.is_done for one in kept.ended.values()) < stage.trials:
        answers = chance.randrange(20, 150) if kills else None
        with UnevenCrew(workers, chance.randrange(1000), answers) as crew, suppress(Killed):
            crew.make_ready()
            context = Context(
                run=StoredRun(STUDY, None, "s"),
                claim=SimpleNamespace(check=lambda: None),
                facts=kept.facts,
                crew=crew,
                budget=Budget(STUDY, [stage], None, workers),
                listen=lambda event: None,
                cache_dir=Path(),
                images=IMAGES,
            )
            kept.begun.clear()
            memory = StageMemory("s/coarse", stage, STUDY.seed)
            StageRun(context, stage, memory, kept).run()
    return kept.board()


def asked_in_turn(stage: Stage) -> list:
    """Return what one worker's search stores: Optuna asked for trial after trial."""
    from automl_cv.catalog.pruners import PRUNERS as TABLE
    from automl_cv.drawing.samplers import sampler_of

    own = {key: value for key, value in stage.pruner.parameters.items() if key != "lag"}
    pruner = TABLE[stage.pruner.name].load()(**own)
    study = optuna.create_study(study_name="s/coarse", direction="maximize", pruner=pruner)
    word = "plateau" if stage.pruner.name == "early_stopping" else "pruned"
    found = []
    for number in range(TRIALS):
        study.sampler = sampler_of(stage, STUDY.seed, number)
        trial = study.ask()
        parameters = stage.space.draw(trial)
        ran, stop = [], None
        for epoch in curve(parameters):
            ran.append(epoch)
            if epoch.is_finite:
                trial.report(epoch.merit, epoch.epoch)
                stop = word if trial.should_prune() else None
            if stop:
                break
        history = ended(number, ran, stop).history
        state, value = outcome(history)
        study.tell(trial, value if state.name == "COMPLETE" else None, state)
        found.append((number, parameters, history, said(number, history).tolist()))
    return found


@pytest.fixture(autouse=True)
def every_epoch_is_written(monkeypatch):
    monkeypatch.setattr(stage_run, "SECONDS_BETWEEN_WRITES", 0.0)


@cache
def alone(stage: str) -> list:
    return searched(Stage.model_validate_json(stage), 1)


def boards_differ(stage: Stage, workers: int, seeds: Iterable[int]) -> list[int]:
    """Return the seeds whose search, every second one killed again and again, is another one."""
    one = alone(stage.model_dump_json())
    return [seed for seed in seeds if searched(stage, workers, seed, kills=seed % 2 == 0) != one]


@pytest.mark.parametrize("pruner", PRUNERS, **NAMES)
def test_one_worker_prunes_as_optuna_does_in_turn(pruner):
    stage = stage_of(pruner)
    board = asked_in_turn(stage)
    assert alone(stage.model_dump_json()) == board
    stops = {history.stop_reason for _, _, history, _ in board}
    assert stops > {"epochs"} and stops & {"plateau", "pruned"}, "curves of every kind"


@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize("pruner", PRUNERS, **NAMES)
def test_verdicts_do_not_depend_on_workers_or_kills(pruner, workers):
    assert not boards_differ(stage_of(pruner), workers, range(2))


@pytest.mark.slow
@pytest.mark.parametrize("workers", [2, 4])
@pytest.mark.parametrize("pruner", PRUNERS[:4], **NAMES)
def test_nor_on_a_longer_lag(pruner, workers):
    assert not boards_differ(stage_of({**pruner, "lag": 5}), workers, range(4))


@pytest.mark.slow
@pytest.mark.parametrize("workers", each_time(2, of=[1, 2, 4]))
@pytest.mark.parametrize("pruner", ["none", PRUNERS[0]], ids=["none", "median"])
@pytest.mark.parametrize("sampler", SAMPLERS, **NAMES)
def test_nor_do_draws_of_samplers_that_learn_with_a_lag(sampler, pruner, workers):
    if sampler["name"] == "gp":
        pytest.importorskip("torch")
    assert not boards_differ(stage_of(pruner, sampler), workers, range(3))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pruner", "sampler"),
    [({**PRUNERS[0], "lag": 0}, "random"), ("none", {**SAMPLERS[0], "lag": 0})],
    ids=["median", "tpe"],
)
def test_without_a_lag_they_do(pruner, sampler):
    stage = stage_of(pruner, sampler)
    boards = [searched(stage, 4, seed) for seed in range(4)]
    assert any(board != boards[0] for board in boards)
