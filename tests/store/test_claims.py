"""Who holds a run, for how long, and what becomes of a search that lost it."""

import json
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from functools import partial

import numpy as np
import optuna
import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from automl_cv.errors import AutomlError
from automl_cv.history import History
from automl_cv.store import claims
from automl_cv.store import runs as runs_module
from automl_cv.store.checksums import sealed
from automl_cv.store.claims import STALE_SECONDS, Claim, claim, run_holder
from automl_cv.store.database import database_seconds, open_storage
from automl_cv.store.facts import StageFacts, facts_to_json
from automl_cv.store.labels import write_labels
from automl_cv.store.lease import Lease
from automl_cv.store.optuna_tables import study_attribute
from automl_cv.store.optuna_writes import swap_study_attribute
from automl_cv.store.records import BEAT, HOLDER
from automl_cv.store.runs import next_run, runs
from automl_cv.store.trials import StageTrials
from tests.published import COARSE, FACTS, STAGE_FACTS, distributions_of, history_of, parameters_of
from tests.stored import put

PARAMETERS = parameters_of(COARSE[5])
DISTRIBUTIONS = distributions_of(PARAMETERS)
HISTORY = history_of(COARSE[5])


class Clock:
    """The database's clock, which a test sets."""

    def __init__(self) -> None:
        self.seconds = 1_000_000.0

    def __call__(self, storage: object) -> float:
        return self.seconds


def begun(storage):
    """Store a stage with two trials, one that runs and one that has ended."""
    trials = StageTrials.create(storage, "quickstart", "coarse", FACTS, STAGE_FACTS)
    trials.finish(0, PARAMETERS, DISTRIBUTIONS, HISTORY)


@pytest.fixture
def url(tmp_path):
    return put(tmp_path / "trials.db", begun)


@pytest.fixture
def storage(url):
    return open_storage(url, create=False)


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    for module in (claims, runs_module):
        monkeypatch.setattr(module, "database_seconds", clock)
    monkeypatch.setattr(claims, "seconds_of", clock)
    return clock


@pytest.fixture
def elsewhere(monkeypatch):
    """Have claims be made from two places by turns: nobody sees the other's processes."""
    places = iter(range(100))
    monkeypatch.setattr(claims, "place", lambda: f"place {next(places)}")


def claimed(storage) -> Claim:
    taken = claim(storage, "quickstart", "coarse", FACTS)
    assert taken is not None
    return taken


# Another process takes a run, whose features it would extract now, and waits to be killed.
CHILD = """
import sys, time
from automl_cv.store.claims import claim
from automl_cv.store.database import open_storage
from tests.published import FACTS

taken = claim(open_storage(sys.argv[1], create=True), "quickstart", "coarse", FACTS)
print(taken is not None, flush=True)
time.sleep(60)
"""


@pytest.mark.slow
def test_one_search_holds_a_run_from_before_its_first_stage_to_its_death(tmp_path):
    storage = open_storage(f"sqlite:///{tmp_path}/trials.db", create=True)
    command = [sys.executable, "-c", CHILD, str(storage.engine.url)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "True\n"
        assert runs(storage) == []
        (planned,) = runs(storage, with_planned=True)
        assert (planned.name, planned.stages, planned.facts) == ("quickstart", (), (FACTS,))
        with pytest.raises(AutomlError, match=f"searched by process {child.pid} on .* --new"):
            planned.check_free()
        assert next_run([planned], "quickstart") == "quickstart@2"
        assert claim(storage, "quickstart", "other", FACTS) is None
        StageTrials.create(storage, "quickstart", "coarse", FACTS)
        (begun,) = runs(storage, with_planned=True)
        with pytest.raises(AutomlError, match=f"searched by process {child.pid} on .* UTC; wait"):
            begun.check_free()
        child.send_signal(signal.SIGKILL)
    begun.check_free()
    taken = claimed(storage)
    assert runs(storage)[0].holder is not None
    taken.release()
    assert runs(storage)[0].holder is None


def test_a_process_that_nobody_sees_counts_as_dead_a_minute_after_its_last_beat(
    storage, clock, elsewhere
):
    first = claimed(storage)
    clock.seconds += STALE_SECONDS - 1
    assert claim(storage, "quickstart", "coarse", FACTS) is None
    with pytest.raises(AutomlError, match=r"heard of 59 s ago .* would be free in 1 s\); wait"):
        runs(storage)[0].check_free()
    assert first.beat()
    clock.seconds += STALE_SECONDS - 1
    assert claim(storage, "quickstart", "coarse", FACTS) is None
    clock.seconds += 1
    second = claimed(storage)
    assert (first.fence, second.fence) == (1, 2)
    first.check()  # nobody has told it yet
    assert not first.beat()
    with pytest.raises(AutomlError, match="another search has taken quickstart over"):
        first.check()
    first.release()
    assert run_holder(storage, "quickstart").fence == 2, "the other's claim stands"
    second.release()
    assert claimed(storage).fence == 3


def test_the_clock_of_this_machine_does_not_matter(storage, clock, elsewhere, monkeypatch):
    claimed(storage)
    lease = Lease.of_this_process()
    old = replace(lease, time=lease.time - timedelta(hours=2))
    monkeypatch.setattr(Lease, "of_this_process", lambda: old)
    assert claim(storage, "quickstart", "coarse", FACTS) is None


def test_two_of_one_host_name_and_process_number_are_told_apart(storage, clock, elsewhere):
    """As two containers of one image are; also two searches of one process."""
    first = claimed(storage)
    assert claim(storage, "quickstart", "coarse", FACTS) is None
    first.release()
    claimed(storage)


def test_a_process_gives_up_a_claim_that_it_could_not_give_back(storage, monkeypatch):
    first = claimed(storage)
    assert claim(storage, "quickstart", "coarse", FACTS) is None
    monkeypatch.setattr(Claim, "_stored", lambda *_: "null")
    first.release()
    monkeypatch.undo()
    assert claimed(storage).fence == 2


def writes(trials: StageTrials) -> dict:
    """Return every way in which a search writes; trial 1 runs."""
    trials.begin(1, PARAMETERS, DISTRIBUTIONS)
    trials.begin(2, PARAMETERS, DISTRIBUTIONS)
    storage, study = trials.storage, trials.study
    number = storage.get_study_id_from_name(trials.name)
    part = History(HISTORY.epochs[:2])
    swap = partial(swap_study_attribute, storage, number)
    return {
        "facts": lambda: trials.update_facts(notes=("x",)),
        "begin": lambda: trials.begin(7, PARAMETERS, DISTRIBUTIONS),
        "epochs": lambda: trials.write_epochs(1, part),
        "end": lambda: trials.finish(1, PARAMETERS, DISTRIBUTIONS, HISTORY),
        "finish": lambda: trials.finish(8, PARAMETERS, DISTRIBUTIONS, HISTORY),
        "interrupt": lambda: trials.interrupt(2, part),
        "settle": lambda: trials.settle(),
        "widen": lambda: trials.widen(DISTRIBUTIONS),
        "labels": lambda: write_labels(storage, "quickstart", np.zeros(3, int)),
        "stage": lambda: StageTrials.create(storage, "quickstart", "next", FACTS),
        "swap": lambda: swap("automl-cv:x", None, 1),
        "trial": lambda: storage.create_new_trial(number),
        "attribute": lambda: study.set_user_attr("x", 1),
    }


def contents(storage) -> list:
    """Return all rows of a database but those of claims."""
    with storage.engine.connect() as connection:
        names = connection.execute(
            text("select name from sqlite_master where type = 'table' order by name")
        ).scalars()
        return [
            (name, *row)
            for name in list(names)
            for row in connection.execute(text(f"select * from {name}"))  # noqa: S608
            if HOLDER not in row and BEAT not in row
        ]


def test_who_lost_its_claim_writes_nothing(storage, url, clock, elsewhere, monkeypatch):
    other = open_storage(url, create=False)
    away = replace(Lease.of_this_process(), host="away")
    mine = claimed(storage)
    with pytest.raises(AutomlError, match="taken quickstart over"), mine.kept():
        ways = writes(StageTrials.open(storage, "quickstart", "coarse"))
        clock.seconds += STALE_SECONDS
        monkeypatch.setattr(Lease, "of_this_process", lambda: away)
        theirs = claimed(other)
        before = contents(storage)
        refused = []
        for name, write in ways.items():
            with pytest.raises(AutomlError, match="another search has taken quickstart over"):
                write()
            refused.append(name)
            assert contents(storage) == before, name
        mine.check()
    assert refused == list(ways)
    with theirs.kept():
        theirs_trials = StageTrials.open(other, "quickstart", "coarse")
        assert theirs_trials.settle() == [1, 2], "what the other one ran is nobody's now"
        theirs_trials.finish(1, PARAMETERS, DISTRIBUTIONS, HISTORY)
    assert [one.state for one in theirs_trials.records()] == ["complete", "complete", "interrupted"]


def test_a_search_that_holds_its_claim_writes_all(storage, clock):
    with claimed(storage).kept():
        ways = writes(StageTrials.open(storage, "quickstart", "coarse"))
        before = contents(storage)
        for name, write in ways.items():
            write()
            after = contents(storage)
            assert (after != before) == (name not in ("settle", "widen")), name
            before = after


def test_nobody_takes_a_run_between_the_check_and_the_write(storage, url, monkeypatch):
    other = open_storage(url, create=False, busy_seconds=0)
    mine = claimed(storage)
    checked, met = Claim._check, []

    def then_taken(self, connection):
        checked(self, connection)
        before = study_attribute(other, 1, BEAT)
        with pytest.raises(OperationalError, match="locked"):
            swap_study_attribute(other, 1, BEAT, before, "theirs")
        met.append(before)

    monkeypatch.setattr(Claim, "_check", then_taken)
    with mine.kept():
        StageTrials.open(storage, "quickstart", "coarse").update_facts(notes=("written",))
    assert len(met) == 1


def test_a_beat_whose_answer_was_lost_loses_no_claim(storage, clock, elsewhere, monkeypatch):
    mine, swap = claimed(storage), claims.swap_study_attributes

    def lost(*arguments):
        swap(*arguments)
        raise OperationalError("", {}, Exception("the connection was lost"))

    clock.seconds += 10
    monkeypatch.setattr(claims, "swap_study_attributes", lost)
    with pytest.raises(OperationalError):
        mine.beat()
    monkeypatch.setattr(claims, "swap_study_attributes", swap)
    assert mine.beat()
    clock.seconds += 10
    assert mine.beat()
    assert run_holder(storage, "quickstart").silence == 0
    mine.release()
    assert run_holder(storage, "quickstart") is None


def test_a_search_beats_by_itself(storage):
    with claimed(storage).kept(seconds=0.01):
        first = study_attribute(storage, 1, BEAT)
        until = time.monotonic() + 20
        while study_attribute(storage, 1, BEAT) == first and time.monotonic() < until:
            time.sleep(0.01)
        assert study_attribute(storage, 1, BEAT) != first


@pytest.mark.slow
def test_a_claim_in_memory_needs_no_beat():
    storage = open_storage("sqlite:///:memory:", create=True)
    with claimed(storage).kept(seconds=0.001):
        StageTrials.create(storage, "quickstart", "coarse", FACTS)
        assert claim(storage, "quickstart", "coarse", FACTS) is None


@pytest.mark.parametrize(
    ("host", "age", "is_free"),
    [("elsewhere", 0, False), ("elsewhere", 7200, True), (None, 0, True)],
)
def test_a_claim_of_an_older_version_is_read(storage, host, age, is_free):
    lease = Lease.of_this_process()
    lease = replace(lease, time=lease.time - timedelta(seconds=age), process=2**22 + 1)
    lease = replace(lease, host=host or lease.host)
    stored = {"lease": lease.to_json(), "facts": facts_to_json("coarse", FACTS, StageFacts())}
    assert swap_study_attribute(storage, 1, HOLDER, None, sealed(stored))
    (run,) = runs(storage)
    assert run.holder.lease == lease
    with ExitStack() as held:
        if not is_free:
            held.enter_context(pytest.raises(AutomlError, match=rf"{lease.process} on elsewhere"))
        run.check_free()
    assert (claim(storage, "quickstart", "coarse", FACTS) is not None) == is_free


@pytest.mark.parametrize("key", [BEAT, HOLDER])
def test_a_damaged_claim_is_nobodys(storage, key):
    mine = claimed(storage)
    stored = study_attribute(storage, 1, key)
    with storage.engine.begin() as connection:
        connection.execute(
            text("update study_user_attributes set value_json = :it where key = :key"),
            {"it": stored.replace("owner", "owned"), "key": key},
        )
    assert mine.beat() == (key == HOLDER)
    claimed(storage)
    assert not mine.beat()


def test_a_run_whose_first_study_comes_late_is_held_once(storage, monkeypatch):
    """Two begin a run with different stages, and the one with the lower number is seen last."""
    optuna.create_study(storage=storage, study_name="late/first")
    optuna.create_study(storage=storage, study_name="late/second")
    both = claims.read_studies
    seen = iter([both(storage)[-1:]] * 2)
    monkeypatch.setattr(claims, "read_studies", lambda it: next(seen, None) or both(it))
    assert claim(storage, "late", "second", FACTS) is None
    taken = claim(storage, "late", "first", FACTS)
    assert taken is not None
    assert claim(storage, "late", "second", FACTS) is None
    taken.release()
    assert json.loads(study_attribute(storage, 2, HOLDER)) is None


def test_sqlite_has_the_clock_of_this_machine(storage):
    before = time.time()
    assert before - 0.01 <= database_seconds(storage) <= time.time() + 0.01
