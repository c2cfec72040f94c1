"""The crew prepares whoever is new with all that was ordered before, and replaces the dead."""

from __future__ import annotations

from pathlib import Path

import pytest

from automl_cv.errors import AutomlError, UserError
from automl_cv.history import History
from automl_cv.orders import crew as crew_module
from automl_cv.orders.messages import (
    Extracting,
    Failed,
    PrepareFeatures,
    PreparePixels,
    SpaceNeeded,
    Survey,
)
from automl_cv.study.studyfile import Backbone
from tests.orders.scripted import DEATH, PREPARED, SURVEYED, ScriptedCrew, obedient

PIXELS = PreparePixels()
SMALL = PrepareFeatures(Backbone(image_size=16))


def test_all_workers_are_prepared_and_one_tells_of_it():
    told = []

    def script(worker, order):
        yield Extracting(1, 2, 10.0)
        yield SpaceNeeded(1, 2, None)
        yield PREPARED

    with ScriptedCrew(2, script) as crew:
        assert crew.prepare(SMALL, told.append) == PREPARED
        assert [worker.lives for worker in crew.workers] == [[[SMALL]]] * 2
        assert len(told) == 4
        assert all(worker.is_prepared for worker in crew.workers)


def test_features_are_had_once_they_were_ordered():
    with ScriptedCrew(1, obedient) as crew:
        own = PrepareFeatures(Backbone())
        assert crew.made(own) is None
        crew.make_ready()
        assert crew.made(own) is not None, "the study's own backbone needs no order of its own"
        assert crew.made(SMALL) is None and crew.made(PIXELS) is None
        crew.prepare(SMALL, print)
        assert crew.made(SMALL) is not None


def test_a_replaced_worker_is_prepared_again_with_all_earlier_orders():
    with ScriptedCrew(1, obedient) as crew:
        (worker,) = crew.workers
        orders = [crew.make_ready(), SMALL, PIXELS]
        for order in orders[1:]:
            crew.prepare(order, print)
        crew.order(worker, Survey())
        assert worker.lives == [[*orders, Survey()]]
        assert worker.receive() == SURVEYED
        worker.replace()
        assert not worker.is_prepared
        crew.order(worker, Survey())
        assert worker.lives[1] == [*orders, Survey()]
        assert worker.receive() == SURVEYED


def test_a_worker_that_dies_answers_failed_and_is_another_one_then():
    def script(worker, order):
        yield DEATH if len(worker.lives) == 1 and order == Survey() else PREPARED

    with ScriptedCrew(1, script) as crew:
        (worker,) = crew.workers
        before = crew.make_ready()
        crew.order(worker, Survey())
        ((one, answer),) = crew.answers(timeout=1)
        assert one is worker
        assert isinstance(answer, Failed)
        assert (answer.reason, answer.history) == (
            "the worker process ended with exit code 1",
            History(),
        )
        crew.order(worker, Survey())
        assert worker.lives == [[before, Survey()], [before, Survey()]]


def dying(*deaths: int):
    """Return a script whose process dies at these orders, counted over all its lives."""
    heard = []

    def script(worker, order):
        heard.append(order)
        yield DEATH if len(heard) - 1 in deaths else next(obedient(worker, order))

    return script


def test_a_worker_that_dies_while_it_is_made_ready_begins_anew():
    with ScriptedCrew(1, dying(1, 3)) as crew:
        (worker,) = crew.workers
        first = crew.make_ready()
        crew.prepare(SMALL, print)
        assert worker.lives == [[first, SMALL], [first, SMALL], [first, SMALL]]
        assert worker.is_prepared
        worker.replace()
        crew.order(worker, Survey())
        assert worker.lives[3] == [first, SMALL, Survey()]


def test_one_that_died_between_two_stages_is_told_all_of_it():
    with ScriptedCrew(1, dying(1)) as crew:
        (worker,) = crew.workers
        first = crew.make_ready()
        crew.order(worker, Survey())
        assert isinstance(worker.receive(), Failed)
        crew.prepare(SMALL, print)
        assert worker.lives[1] == [first, SMALL]


def test_one_that_dies_again_and_again_ends_the_search():
    with ScriptedCrew(1, dying(*range(9))) as crew:
        with pytest.raises(AutomlError, match="ended with exit code 1"):
            crew.make_ready()
        assert len(crew.workers[0].lives) == crew_module.DEATHS_AT_WORK + 1


@pytest.mark.parametrize("n_deaths", [1, crew_module.DEATHS_AT_WORK])
def test_what_one_is_asked_that_dies_the_next_process_answers(n_deaths):
    with ScriptedCrew(1, dying(*range(1, 2 * n_deaths, 2))) as crew:
        crew.make_ready()
        answer = crew.ask(Survey())
        fails = n_deaths == crew_module.DEATHS_AT_WORK
        assert (isinstance(answer, Failed) and answer.is_dead) if fails else answer == SURVEYED


def test_a_worker_is_replaced_after_so_many_trials(monkeypatch):
    monkeypatch.setattr(crew_module, "TRIALS_BEFORE_REPLACEMENT", 3)
    with ScriptedCrew(1, obedient) as crew:
        (worker,) = crew.workers
        crew.make_ready()
        for n_trained, n_lives in ((2, 1), (3, 2)):
            worker.trained = n_trained
            crew.order(worker, Survey())
            assert len(worker.lives) == n_lives
        assert worker.trained == 0


@pytest.mark.parametrize(("exit_code", "error"), [(2, UserError), (1, AutomlError)])
def test_what_can_not_be_prepared_is_an_error(exit_code, error):
    def script(worker, order):
        yield Failed("no such weights", exit_code, "Traceback: …")

    with ScriptedCrew(1, script) as crew:
        with pytest.raises(error, match="no such weights") as raised:
            crew.prepare(SMALL, print)
        assert raised.value.exit_code == exit_code
        assert raised.value.__notes__ == ["Traceback: …"]
        assert crew.made(SMALL) is None


def test_who_has_nothing_to_say_is_waited_for_no_longer_than_asked():
    with ScriptedCrew(2, obedient) as crew:
        assert list(crew.answers(timeout=0.01)) == []


def test_workers_are_hired_up_to_a_number():
    with ScriptedCrew(0, obedient) as crew:
        crew.hire(2)
        crew.hire(2)
        assert [worker.number for worker in crew.workers] == [0, 1]


class Started:
    """A process as far as `Worker` speaks to it, that leaves a file behind as TensorFlow does."""

    def __init__(self, command, *, env, **other) -> None:
        self.folder = Path(env["TMPDIR"])
        (self.folder / "__autograph_generated_file.py").touch()

    def kill(self) -> None:
        pass

    def wait(self) -> int:
        return -9


def test_a_worker_that_is_killed_leaves_nothing_in_the_temporary_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(crew_module.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(crew_module.subprocess, "Popen", Started)
    worker = crew_module.Worker(0)
    (folder,) = tmp_path.iterdir()
    assert folder.name.startswith(crew_module.TEMPORARY)
    worker.replace()
    assert [folder] != list(tmp_path.iterdir())
    worker.close()
    assert not list(tmp_path.iterdir())
