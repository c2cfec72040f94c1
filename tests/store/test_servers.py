"""What a search stores in PostgreSQL and MariaDB, and how it outlives a restart of them."""

import gc
import random
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from optuna.exceptions import StorageInternalError
from sqlalchemy import inspect, text
from sqlalchemy.dialects import mysql
from sqlalchemy.exc import OperationalError

from automl_cv.errors import AutomlError, UserError, trouble
from automl_cv.history import Epoch, History
from automl_cv.store import claims, patience
from automl_cv.store.claims import STALE_SECONDS, Claim, claim
from automl_cv.store.database import database_seconds, open_storage
from automl_cv.store.labels import read_labels, write_labels
from automl_cv.store.optuna_tables import study_attribute
from automl_cv.store.optuna_writes import Ending, end_trial, swap_study_attributes
from automl_cv.store.patience import patiently
from automl_cv.store.records import BEAT
from automl_cv.store.runs import find_run, runs
from automl_cv.store.trials import StageTrials
from tests.published import COARSE, FACTS, distributions_of, history_of, parameters_of
from tests.store import servers

pytestmark = [
    pytest.mark.slow,
    # PyMySQL closes no socket that it could not connect.
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
]

PARAMETERS = parameters_of(COARSE[5])
DISTRIBUTIONS = distributions_of(PARAMETERS)
HISTORY = history_of(COARSE[5])
LONG = History(
    tuple(Epoch(n, 0.123456789, n / 2000, 0.987654321, 1 / 3, 0.001, 0.01) for n in range(1, 2001)),
    "epochs",
    seconds=20.0,
)


@pytest.fixture(scope="module", params=["postgresql", "mariadb"])
def server(request):
    with getattr(servers, request.param)() as server:
        yield server


@pytest.fixture
def url(server):
    return server.database()


@pytest.fixture
def opened(url):
    """Return a function that opens the database once more."""
    storages = []

    def open_once_more():
        storages.append(open_storage(url, create=True))
        return storages[-1]

    yield open_once_more
    for storage in storages:
        storage.remove_session()
        storage.engine.dispose()
    gc.collect()


@pytest.fixture
def trials(opened):
    return StageTrials.create(opened(), "quickstart", "coarse", FACTS)


@pytest.mark.exhaustive
def test_what_is_long_comes_back_as_it_was(trials, opened):
    said = np.random.default_rng(1).dirichlet(np.ones(10), 40_000).astype(np.float32)
    facts = replace(FACTS, ledger={"skipped": [{"path": "ü" * 90, "reason": "x"}] * 2000})
    trials.update_facts(ledger=facts.ledger)
    trials.begin(0, PARAMETERS, DISTRIBUTIONS)
    trials.write_epochs(0, History(LONG.epochs[:1200]))
    trials.finish(0, PARAMETERS, DISTRIBUTIONS, LONG, probabilities=said)
    trials.begin(1, PARAMETERS, DISTRIBUTIONS)
    trials.interrupt(1, History(LONG.epochs[:3]))
    write_labels(trials.storage, "quickstart", np.arange(40_000) % 10)
    other = opened()
    again = StageTrials.open(other, "quickstart", "coarse")
    assert again.facts.ledger == facts.ledger
    first, second = again.records()
    assert (first.state, first.history) == ("complete", LONG)
    assert (second.state, len(second.history.epochs)) == ("interrupted", 3)
    np.testing.assert_allclose(again.predictions()[0].probabilities, said, rtol=0.01)
    assert read_labels(other, "quickstart").classes.tolist() == [n % 10 for n in range(40_000)]
    assert find_run(other, "quickstart").stages == ("coarse",)
    assert len(again.study.trials[0].intermediate_values) == 2000


def test_a_claim_goes_by_the_clock_of_the_server_and_is_fenced(trials, opened, monkeypatch):
    places = iter(range(9))
    monkeypatch.setattr(claims, "place", lambda: f"place {next(places)}")
    assert abs(database_seconds(trials.storage) - time.time()) < 5
    other = opened()
    mine = claim(trials.storage, "quickstart", "coarse", FACTS)
    assert claim(other, "quickstart", "coarse", FACTS) is None
    with pytest.raises(AutomlError, match="another search has taken"), mine.kept():
        trials.finish(0, PARAMETERS, DISTRIBUTIONS, HISTORY)
        assert mine.beat()
        later = database_seconds(other) + STALE_SECONDS
        with monkeypatch.context() as clock:
            clock.setattr(claims, "database_seconds", lambda storage: later)
            theirs = claim(other, "quickstart", "coarse", FACTS)
        assert theirs.fence == 2
        trials.finish(1, PARAMETERS, DISTRIBUTIONS, HISTORY)
    assert [record.trial for record in trials.records()] == [0]
    assert theirs.beat()
    assert [run.holder.fence for run in runs(other)] == [2]


def test_nobody_takes_a_run_between_the_check_and_the_write(trials, opened, monkeypatch):
    other = opened()
    mine = claim(trials.storage, "quickstart", "coarse", FACTS)
    before = study_attribute(other, 1, BEAT)
    change = {BEAT: (before, before.replace("owner", "taken"))}
    taking = threading.Thread(target=lambda: swap_study_attributes(other, 1, change))
    checked, seen = Claim._check, []

    def then_taken(self, connection):
        checked(self, connection)
        if not seen:
            taking.start()
            taking.join(0.5)
            seen.append(taking.is_alive())

    monkeypatch.setattr(Claim, "_check", then_taken)
    with mine.kept():
        trials.update_facts(notes=("written",))
        taking.join()
        assert seen == [True], "it waits for the commit"
        with pytest.raises(AutomlError, match="another search has taken"):
            trials.update_facts(notes=("too late",))
    assert StageTrials.open(other, "quickstart", "coarse").stage_facts.notes == ("written",)


@pytest.mark.exhaustive
def test_a_restart_of_the_server_costs_nothing(server, trials):
    """It crashes, so that every connection of the pool is broken, and comes back after a while."""
    taken = claim(trials.storage, "quickstart", "coarse", FACTS)
    with taken.kept():
        trials.begin(0, PARAMETERS, DISTRIBUTIONS)
        trials.write_epochs(0, History(HISTORY.epochs[:3]))
        server.kill()
        back = threading.Timer(0.5, server.begin)
        back.start()
        trials.write_epochs(0, History(HISTORY.epochs[:4]))
        back.join()
        trials.finish(0, PARAMETERS, DISTRIBUTIONS, HISTORY)
        server.kill()
        server.begin()
        trials.finish(1, PARAMETERS, DISTRIBUTIONS, HISTORY)
        taken.check()
    assert [(one.state, one.history) for one in trials.records()] == [("complete", HISTORY)] * 2


def test_a_write_whose_answer_was_lost_is_done_once(trials, monkeypatch):
    """The server has committed, and the connection breaks before it can say so."""
    monkeypatch.setattr(patience.time, "sleep", lambda seconds: None)
    engine, broken = trials.storage.engine, []
    commit = engine.dialect.do_commit

    def lost(connection):
        commit(connection)
        if len(broken) % 2 == 0:
            connection.driver_connection.close()
        broken.append(connection)
        commit(connection)

    monkeypatch.setattr(engine.dialect, "do_commit", lost)
    trials.begin(0, PARAMETERS, DISTRIBUTIONS)
    trials.write_epochs(0, History(HISTORY.epochs[:3]))
    trials.finish(0, PARAMETERS, DISTRIBUTIONS, HISTORY)
    trials.update_facts(notes=("once",))
    monkeypatch.undo()
    assert len(broken) > 6
    (record,) = trials.records()
    assert (record.state, record.history) == ("complete", HISTORY)
    found = [one for one in trials.study.trials if one.state.is_finished()]
    assert [len(one.intermediate_values) for one in found] == [len(HISTORY.epochs)]
    other = Ending(state=found[0].state, ended=datetime(2026, 1, 1, tzinfo=UTC))
    with pytest.raises(AutomlError, match="another process has ended a trial"):
        end_trial(trials.storage, found[0]._trial_id, other)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_connection_may_be_lost_before_any_statement(trials, monkeypatch):
    monkeypatch.setattr(patience.time, "sleep", lambda seconds: None)
    engine, draw, broken = trials.storage.engine, random.Random(0), []
    execute = engine.dialect.do_execute

    def lost(cursor, statement, *given):
        if draw.random() < 0.1:
            cursor.connection.close()
            broken.append(statement)
        execute(cursor, statement, *given)

    taken = claim(trials.storage, "quickstart", "coarse", FACTS)
    with taken.kept():
        monkeypatch.setattr(engine.dialect, "do_execute", lost)
        for trial in range(5):
            opened = StageTrials.open(trials.storage, "quickstart", "coarse")
            opened.begin(trial, PARAMETERS, DISTRIBUTIONS)
            opened.write_epochs(trial, History(HISTORY.epochs[:3]))
            opened.finish(trial, PARAMETERS, DISTRIBUTIONS, HISTORY)
            opened.update_facts(notes=(str(trial),))
            opened.describe()
        found = StageTrials.open(trials.storage, "quickstart", "coarse")
        records = found.records()
        taken.check()
        monkeypatch.undo()
    assert {one.split()[0].lower() for one in broken} == {"select", "insert", "update"}
    assert [(one.state, one.history) for one in records] == [("complete", HISTORY)] * 5
    assert found.stage_facts.notes == ("4",)


@pytest.mark.exhaustive
def test_a_server_that_stays_away_is_told_in_a_line(server, trials, monkeypatch):
    waited = []
    monkeypatch.setattr(patience.time, "sleep", waited.append)
    taken = claim(trials.storage, "quickstart", "coarse", FACTS)
    server.kill()
    try:
        with pytest.raises(AutomlError, match=r"could not be reached for 46 s \(.*kept$") as told:
            with taken.kept():
                trials.update_facts(notes=("never",))
        assert len(str(told.value).splitlines()) == 1
        assert 45 < sum(waited) < STALE_SECONDS
        with pytest.raises(AutomlError, match="could not be reached for 46 s"):
            runs(trials.storage)
        with pytest.raises(OperationalError) as unread:
            trials.storage.engine.connect()
        assert trouble(unread.value).startswith("the database server can't be used (")
        with pytest.raises(UserError, match=r"^--storage .*") as refused:
            open_storage(server.url, create=False)
        assert len(str(refused.value).splitlines()) == 1
    finally:
        server.begin()


def test_two_that_wait_for_each_other_go_on(trials):
    """A database ends one of them; what it wrote is written again."""
    trials.begin(0, PARAMETERS, DISTRIBUTIONS)
    ways = {
        "a": text("update studies set study_name = study_name where study_id = 1"),
        "b": text("update trials set number = number where trial_id = 1"),
    }
    met, tried, done = threading.Barrier(2), set(), []

    def write(order: str) -> None:
        with trials.storage.engine.begin() as connection:
            connection.execute(ways[order[0]])
            if order not in tried:
                tried.add(order)
                met.wait(20)
            connection.execute(ways[order[1]])
        done.append(order)

    both = [
        threading.Thread(target=lambda order=order: patiently(lambda: write(order)))
        for order in ("ab", "ba")
    ]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert sorted(done) == ["ab", "ba"]


def test_texts_of_an_older_database_are_lengthened(server, url):
    if server.url.startswith("postgresql"):
        pytest.skip("PostgreSQL's texts have no bounds")
    storage = open_storage(url, create=True)
    with storage.engine.begin() as connection:
        connection.execute(text("alter table trial_user_attributes modify value_json text"))
    open_storage(url, create=True).engine.dispose()
    columns = inspect(storage.engine).get_columns("trial_user_attributes")
    assert [type(one["type"]) for one in columns if one["name"] == "value_json"] == [mysql.LONGTEXT]
    storage.engine.dispose()


def test_whoever_only_reads_needs_no_right_to_write(server, url, trials):
    trials.finish(0, PARAMETERS, DISTRIBUTIONS, HISTORY)
    if server.url.startswith("postgresql"):
        server.do("DROP ROLE IF EXISTS reader")
        server.do("CREATE ROLE reader LOGIN IN ROLE pg_read_all_data")
        read = url.replace("automl@", "reader@")
    else:
        server.do("CREATE OR REPLACE USER reader@localhost")
        server.do("GRANT SELECT ON *.* TO reader@localhost")
        read = url.replace("root@", "reader@")
    storage = open_storage(read, create=False)
    run = find_run(storage)
    reader = StageTrials.open(storage, run.name, "coarse")
    assert [record.history for record in reader.records()] == [HISTORY]
    with pytest.raises(StorageInternalError, match="exception is raised during the commit"):
        reader.update_facts(notes=("mine",))
    storage.remove_session()
    storage.engine.dispose()
