"""A search that is hit by faults of a seed's until it is done, in one process and a real database.

What a machine does to a search is drawn from the seed: the process is killed before any statement
that it gives the database, before or after any commit, or between two answers of its workers;
the database is locked, or its disk is full; a worker dies in an epoch; workers answer in any order.
Killed, it writes nothing more, not even its claim back. The same command is then given again. Or
the process sleeps for an hour: the same search is begun elsewhere meanwhile, takes the run over and
ends it, and the first wakes.

    python -m tests.search.simulated [--searches 1000] [--from 0]

says of how many seeds the board was another than that of an undisturbed search.
"""

from __future__ import annotations

import argparse
import random
import sqlite3
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import optuna
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from automl_cv.drawing.origins import StoredRun
from automl_cv.errors import AutomlError
from automl_cv.orders.messages import Answer, Train
from automl_cv.search import stage_run
from automl_cv.search.budget import Budget
from automl_cv.search.context import SearchContext
from automl_cv.search.stages import StageSequence
from automl_cv.store import claims, database, patience
from automl_cv.store.claims import claim
from automl_cv.store.database import open_storage
from automl_cv.store.facts import StudyFacts
from automl_cv.store.records import TrialRecord
from automl_cv.store.runs import runs
from automl_cv.study import studyfile
from tests.orders.scripted import DEATH, ScriptedCrew, ScriptedWorker, obedient
from tests.search import conducted
from tests.search.conducted import IMAGES, empty_database

EPOCHS = 4
_RAW = conducted.STUDY.as_toml_data()
_RAW["stage"][0] |= {
    "trials": 5,
    "epochs": EPOCHS,
    "pruner": {"name": "median", "n_startup_trials": 2},
}
_RAW["stage"][1] |= {"trials": 3, "epochs": EPOCHS}
STUDY = studyfile.parse(_RAW, "s.toml")
"""That of `conducted`, with more trials, and a pruner that compares them."""

MOST_ATTEMPTS = 60
LONG = 0.3
"""The share of searches whose trials are long."""
KINDS = (
    *("kill", "kill at commit", "kill after commit", "kill at an answer", "locked", "full"),
    "asleep",
)


class Killed(BaseException):
    """Stands for the end of the process that conducts: nothing catches it."""


@dataclass
class World:
    """What all machines share.

    Args:
        place: where the process runs that is at work; nobody sees the processes elsewhere.
        slept: how far the database's clock is ahead of this machine's, in seconds.
    """

    place: int = 0
    slept: float = 0.0

    @contextmanager
    def elsewhere(self, seconds: float) -> Iterator[None]:
        """Let time pass, and have another process be at work for a with block."""
        self.slept += seconds
        here, self.place = self.place, self.place + 1
        try:
            yield
        finally:
            self.place = here

    @contextmanager
    def turning(self) -> Iterator[None]:
        """Have claims go by this world's places and clock for a with block."""
        told = claims.seconds_of
        with (
            mock.patch.object(claims, "place", lambda: f"place {self.place}"),
            mock.patch.object(claims, "seconds_of", lambda asked: told(asked) + self.slept),
            mock.patch.object(database, "seconds_of", lambda asked: told(asked) + self.slept),
        ):
            yield


@dataclass
class Machine:
    """What happens to one attempt at a search.

    Args:
        draw: decides all of it.
        is_sound: nothing happens.
        kind: one of `KINDS`.
        left: so many statements, commits or answers before it does.
        is_dead: the process has been killed.
    """

    draw: random.Random
    is_sound: bool = False
    kind: str = ""
    left: int = 0
    is_dead: bool = False
    died: set[tuple[str, int]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.kind = self.draw.choice(KINDS)
        often = {"kill": 400, "locked": 400, "full": 400}
        self.left = self.draw.randrange(often.get(self.kind, 60))

    def meets(self, *kinds: str) -> bool:
        """Tell whether what happens happens now; of the dead nothing goes on."""
        if self.is_dead:
            raise Killed
        if self.is_sound or self.kind not in kinds:
            return False
        self.left -= 1
        return self.left == -1

    def kill(self) -> None:
        self.is_dead = True
        raise Killed

    def at_statement(self, *given: Any) -> None:
        if self.meets("kill"):
            self.kill()
        for kind, said in (("locked", "database is locked"), ("full", "database or disk is full")):
            if self.kind == kind and self.meets(kind):
                raise OperationalError(given[2], given[3], sqlite3.OperationalError(said))

    def before_commit(self, connection: Any) -> None:
        if self.meets("kill at commit"):
            self.kill()

    def after_commit(self, session: Any) -> None:
        if self.meets("kill after commit"):
            self.kill()


class HitCrew(ScriptedCrew):
    """Hears its workers in any order; a worker may die in an epoch of a trial, once."""

    def __init__(self, count: int, machine: Machine, sleep: Callable[[], None]) -> None:
        self._machine = machine
        self._sleep = sleep
        super().__init__(count, self._answer)

    def _answer(self, worker: ScriptedWorker, order: object) -> Iterator[object]:
        answers, machine = obedient(worker, order, EPOCHS), self._machine
        verdict = None
        with suppress(StopIteration):
            while True:
                answer = answers.send(verdict)
                if isinstance(order, Train) and not machine.is_sound:
                    key = (order.trial.stage.name, order.trial.number)
                    if key not in machine.died and machine.draw.random() < 0.02:
                        machine.died.add(key)
                        yield DEATH
                        return
                verdict = yield answer

    def answers(self, timeout: float | None = None) -> Iterator[tuple[ScriptedWorker, Answer]]:
        if self._machine.meets("kill at an answer"):
            self._machine.kill()
        if self._machine.meets("asleep"):
            self._sleep()
        waiting = [one for one in self.workers if one.connection.poll()]
        if waiting:
            worker = self._machine.draw.choice(waiting)
            yield worker, worker.receive()


@contextmanager
def _opened(path: Path, machine: Machine) -> Iterator[Any]:
    """Open the database on a machine; close it as the end of a process does."""
    storage = open_storage(f"sqlite:///{path}", create=True)
    event.listen(storage.engine, "before_cursor_execute", machine.at_statement)
    event.listen(storage.engine, "commit", machine.before_commit)
    event.listen(storage.scoped_session, "after_commit", machine.after_commit)
    try:
        yield storage
    finally:
        claims._OWN.clear()
        machine.is_dead, machine.is_sound = False, True
        storage.scoped_session.remove()
        storage.engine.dispose()


def attempt(path: Path, machine: Machine, workers: int, world: World) -> bool:
    """Search as far as the machine lets it; return whether all is done."""

    def sleep() -> None:
        other = Machine(machine.draw, is_sound=True)
        with world.elsewhere(3600.0):
            assert attempt(path, other, workers, world), "it took the run over, and ended it"

    with _opened(path, machine) as storage:
        facts = StudyFacts(STUDY.as_toml_data(), seed=STUDY.seed, split_sizes={})
        try:
            run = StoredRun(STUDY, storage, "s")
            begun = next((one.stages for one in runs(storage) if one.name == "s"), ())
            taken = claim(storage, "s", STUDY.stages[0].name, facts)
            assert taken is not None, "nobody else is there"
            with taken.kept(3600.0), HitCrew(workers, machine, sleep) as crew:
                crew.make_ready()
                context = SearchContext(
                    run=run,
                    claim=taken,
                    facts=facts,
                    crew=crew,
                    budget=Budget(STUDY, STUDY.stages, None, workers),
                    listen=lambda one: None,
                    cache_dir=path.parent / "cache",
                    images=IMAGES,
                )
                sequence = StageSequence(context, begun)
                for stage in STUDY.stages:
                    sequence.run(stage)
                sequence.note_waiting()
            return not sequence.shortfalls
        except (Killed, AutomlError, OperationalError, optuna.exceptions.StorageInternalError):
            return False


def board(path: Path) -> list[tuple[Any, ...]]:
    """Return all that decides a leaderboard, stage by stage."""
    storage = open_storage(f"sqlite:///{path}", create=False)
    try:
        run = StoredRun(STUDY, storage, "s")
        found = []
        for stage in STUDY.stages:
            opened = run.open(stage.name)
            own = opened.stage_facts
            found.append((stage.name, own.narrowed, own.finalists, own.contenders))
            found += [_kept(record) for record in opened.records()]
        return found
    finally:
        storage.engine.dispose()


def _kept(record: TrialRecord) -> tuple[Any, ...]:
    return (
        record.stage,
        record.trial,
        record.state,
        dict(record.parameters),
        record.history,
        dict(record.optimizer_config),
        dict(record.system_attributes),
        record.said,
    )


def searched(folder: Path, seed: int | None) -> tuple[list[tuple[Any, ...]], list[str]]:
    """Search until all is done; return the board, and what happened.

    Args:
        folder: an empty one.
        seed: of what happens; None for nothing.
    """
    path = folder / "s.db"
    path.write_bytes(empty_database())
    draw = random.Random(seed)
    happened = []
    # Trials count as short, which are written at their end, or as long, after each epoch.
    seconds = 0.0 if draw.random() < LONG else 1e9
    world = World()
    with (
        world.turning(),
        mock.patch.object(patience.time, "sleep", lambda seconds: None),
        mock.patch.object(stage_run, "SECONDS_BETWEEN_WRITES", seconds),
    ):
        for number in range(MOST_ATTEMPTS):
            # In the end the machine holds still: else a seed may never get through.
            machine = Machine(draw, is_sound=seed is None or number > draw.randrange(1, 5))
            workers = 1 if seed is None else draw.choice((1, 2, 4))
            happened.append("" if machine.is_sound else machine.kind)
            if attempt(path, machine, workers, world):
                return board(path), happened
    raise AssertionError(f"seed {seed}: not done after {MOST_ATTEMPTS} attempts")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--searches", type=int, default=1000)
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first seed")
    options = parser.parse_args()
    other: list[int] = []
    met: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        expected, _ = searched(Path(folder), None)
    for seed in range(options.first, options.first + options.searches):
        with tempfile.TemporaryDirectory() as folder:
            found, happened = searched(Path(folder), seed)
        met.update(happened)
        if found != expected:
            other.append(seed)
            print(f"seed {seed}: another board, after {', '.join(filter(None, happened))}")
    print(f"{options.searches} searches, {len(other)} with another board; met: {dict(met)}")
    sys.exit(bool(other))


if __name__ == "__main__":
    main()
