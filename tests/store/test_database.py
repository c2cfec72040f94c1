import logging
import sqlite3
import subprocess
import sys
import threading
import time

import optuna
import pytest
from sqlalchemy.exc import OperationalError

from automl_cv.errors import AutomlError, UserError
from automl_cv.results.leaderboard import leaderboard
from automl_cv.store import database, patience
from automl_cv.store.database import open_storage
from automl_cv.store.patience import patiently
from automl_cv.store.records import HISTORY
from automl_cv.store.trials import StageTrials
from tests.published import COARSE, FACTS, build, finish


def test_a_file_has_a_write_ahead_log_and_syncs_normally(tmp_path):
    storage = open_storage(f"sqlite:///{tmp_path}/a.db", create=True)
    with storage.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 1
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 5000


ENDS = """
from automl_cv.loading import process_is_ours, seldom_collected
process_is_ours()
with seldom_collected():
    from automl_cv.store.database import open_storage
kept = open_storage("sqlite:///a.db", create=True)
kept.get_all_studies()
"""


def test_a_process_that_ends_puts_the_log_into_the_database(tmp_path):
    subprocess.run([sys.executable, "-c", ENDS], cwd=tmp_path, check=True)
    assert [one.name for one in tmp_path.iterdir()] == ["a.db"]


def test_a_reader_makes_no_file(tmp_path):
    path = tmp_path / "absent.db"
    with pytest.raises(UserError, match=r"absent\.db: no such database .*`automl-cv search"):
        open_storage(f"sqlite:///{path}", create=False)
    assert not path.exists()


def test_a_reader_leaves_a_foreign_database_alone(tmp_path):
    path = tmp_path / "foreign.db"
    with sqlite3.connect(path) as connection:
        connection.execute("create table cats (name text)")
    connection.close()
    with pytest.raises(UserError, match="holds no trials of automl-cv"):
        open_storage(f"sqlite:///{path}", create=False)
    with sqlite3.connect(path) as connection:
        assert connection.execute("select name from sqlite_master").fetchall() == [("cats",)]
    connection.close()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("automl-cv.db", "no address of a database"),
        ("nonsense://x", "nonsense"),
        ("sqlite:////nowhere/at/all/x.db", "check that its folder exists"),
        ("postgresql+absent://user:secret@host/x", "absent"),
        ("postgresql://user:secret@host:port/x", "no address of a database"),
        ("postgresql+absent://user@host/x?password=secret", "absent"),
        ("user:secret@host", "no address of a database"),
    ],
)
def test_an_address_that_cannot_be_used_is_one_line(url, message):
    with pytest.raises(UserError, match=message) as caught:
        open_storage(url, create=True)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("create", [True, False])
def test_a_file_that_is_no_database_is_one_line(tmp_path, create):
    path = tmp_path / "notes.db"
    path.write_text("these are notes, " * 100)
    with pytest.raises(UserError, match="file is not a database") as caught:
        open_storage(f"sqlite:///{path}", create=create)
    assert "\n" not in str(caught.value)


def test_a_path_may_hold_braces(tmp_path):
    open_storage(f"sqlite:///{tmp_path}/{{a}}.db", create=True)
    assert (tmp_path / "{a}.db").exists()


def test_optuna_prints_nothing(tmp_path, capfd):
    storage = open_storage(f"sqlite:///{tmp_path}/a.db", create=True)
    optuna.create_study(storage=storage, study_name="x")
    logging.getLogger("optuna.study").error("loud")
    assert capfd.readouterr() == ("", "")


def test_a_reader_sees_what_a_writer_has_not_closed(tmp_path):
    url, storage = build(tmp_path)
    trials = StageTrials.open(storage, "slides", "coarse")
    with storage.engine.connect() as connection:  # a write transaction that stays open
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        assert len(leaderboard(url)) == 11
        connection.rollback()
    finish(trials, 6, COARSE[0])
    assert len(leaderboard(url)) == 12


def _locker(path):
    connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    return connection


@pytest.mark.slow
def test_a_write_waits_for_a_lock_to_go(tmp_path):
    path = tmp_path / "a.db"
    storage = open_storage(f"sqlite:///{path}", create=True, busy_seconds=0.01)
    trials = StageTrials.create(storage, "run", "stage", FACTS)
    locker = _locker(path)
    release = threading.Timer(0.15, lambda: (locker.rollback(), locker.close()))
    release.start()
    trials.update_facts(notes=("written under a lock",))
    release.join()
    assert StageTrials.open(storage, "run", "stage").stage_facts.notes == ("written under a lock",)


def test_a_lock_that_stays_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(patience, "ATTEMPTS", 2)
    path = tmp_path / "a.db"
    storage = open_storage(f"sqlite:///{path}", create=True, busy_seconds=0.01)
    trials = StageTrials.create(storage, "run", "stage", FACTS)
    locker = _locker(path)
    before = time.monotonic()
    with pytest.raises(AutomlError, match="stayed locked for 2 attempts"):
        trials.update_facts(notes=("lost",))
    assert time.monotonic() > before
    locker.rollback()
    locker.close()


def test_other_failures_are_not_retried():
    calls = []

    def broken():
        calls.append(HISTORY)
        raise KeyError("gone")

    with pytest.raises(KeyError):
        patiently(broken)
    assert len(calls) == 1


@pytest.mark.parametrize(
    "said",
    ["table studies already exists", "UNIQUE constraint failed: alembic_version.version_num"],
)
def test_tables_that_another_search_made_at_the_same_moment(tmp_path, monkeypatch, said):
    """Optuna looks for each and then makes it: of two searches on a new file one came too late."""
    opened = []

    def late_once(*given, **named):
        opened.append(given)
        if len(opened) == 1:
            raise OperationalError("CREATE TABLE studies", {}, sqlite3.OperationalError(said))
        return optuna.storages.RDBStorage(*given, **named)

    monkeypatch.setattr(database, "_PatientStorage", late_once)
    open_storage(f"sqlite:///{tmp_path}/new.db", create=True)
    assert len(opened) == 2
    opened.clear()
    said_otherwise = "no such table: studies"
    monkeypatch.setattr(database, "_MADE_BY_OTHERS", (said_otherwise,))
    with pytest.raises(UserError):
        open_storage(f"sqlite:///{tmp_path}/other.db", create=True)
