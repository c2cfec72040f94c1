"""The one place that writes Optuna's tables themselves: its own way is slow, or closed.

Measured with 1,000 trials of 50 epochs (tests/benchmarks/report_speed.py): `add_trial` with a
curve of 50 epochs takes about 4 times as long as the same without it and `write_curve`, since it
looks each step up before it inserts it. `end_trial` stores in one transaction what takes Optuna
three, with the times of the training in place of the writing's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.trial import TrialState
from sqlalchemy import Connection, event, insert, inspect, select, update
from sqlalchemy.dialects import mysql
from sqlalchemy.exc import IntegrityError

from automl_cv.errors import AutomlError
from automl_cv.history import Epoch
from automl_cv.store.patience import patient

WROTE = "automl-cv wrote"  # of a connection: its transaction has changed something


def without_noise(value: float) -> float:
    """Return what other programs show of a figure: 0.975, and not 0.9750000238418579.

    Keras measures in float32, of which 7 digits are true; the records have all that it said.
    """
    return float(f"{value:.7g}")


def write_curve(storage: RDBStorage, trial_id: int, epochs: Sequence[Epoch]) -> None:
    """Store epochs' merits as intermediate values, in one transaction.

    Args:
        storage: the database.
        trial_id: a trial that runs.
        epochs: epochs that are not yet stored.
    """
    # Where the connection was lost before, and all of it is stored after all, that is well.
    with suppress(IntegrityError), storage.engine.begin() as connection:
        _insert_curve(connection, trial_id, epochs)


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How a trial ends, to Optuna.

    Args:
        state: a finished one.
        value: what it reached; None for nothing.
        began: when its training did; None leaves the time that is stored.
        ended: when its training did.
        shown: user attributes for whoever reads the database with other programs.
    """

    state: TrialState
    value: float | None = None
    began: datetime | None = None
    ended: datetime
    shown: Mapping[str, Any] = field(default_factory=dict)


def end_trial(
    storage: RDBStorage, trial_id: int, ending: Ending, epochs: Sequence[Epoch] = ()
) -> None:
    """Store how a trial that runs ends, in one transaction.

    Args:
        storage: the database.
        trial_id: the trial.
        ending: how it ends.
        epochs: epochs that are not yet stored.

    Raises:
        AutomlError: another process has ended it.
    """
    try:
        with storage.engine.begin() as connection:
            is_ended = _end(connection, trial_id, ending, epochs)
            if not is_ended:
                connection.rollback()
    except IntegrityError:
        is_ended = False
    if not is_ended and not _has_ended(storage, trial_id, ending):
        raise AutomlError(
            "another process has ended a trial that runs here; let one search at a time run a study"
        )


def _end(connection: Connection, trial_id: int, ending: Ending, epochs: Sequence[Epoch]) -> bool:
    """Store how a trial ends; return whether it ran until now."""
    trial, attribute = models.TrialModel.__table__, models.TrialUserAttributeModel
    times = {"datetime_start": ending.began, "datetime_complete": ending.ended}
    utc = {name: _as_stored(time) for name, time in times.items() if time}
    _insert_curve(connection, trial_id, epochs)
    if ending.value is not None:
        value, kind = models.TrialValueModel.value_to_stored_repr(without_noise(ending.value))
        row = {"trial_id": trial_id, "objective": 0, "value": value, "value_type": kind}
        connection.execute(insert(models.TrialValueModel), [row])
    shown = [
        {"trial_id": trial_id, "key": key, "value_json": json.dumps(one)}
        for key, one in ending.shown.items()
    ]
    if shown:
        connection.execute(insert(attribute), shown)
    changed = connection.execute(
        update(trial)
        .where(trial.c.trial_id == trial_id, trial.c.state == TrialState.RUNNING)
        .values(state=ending.state, **utc)
    )
    return changed.rowcount == 1


@patient
def _has_ended(storage: RDBStorage, trial_id: int, ending: Ending) -> bool:
    """Tell whether a trial ended just so: its connection was lost when all had been stored."""
    trial = models.TrialModel.__table__
    with storage.engine.connect() as connection:
        row = connection.execute(
            select(trial.c.state, trial.c.datetime_complete).where(trial.c.trial_id == trial_id)
        ).one()
    # MySQL's times have no fractions of a second.
    apart = None if row[1] is None else abs((row[1] - _as_stored(ending.ended)).total_seconds())
    return row[0] is ending.state and apart is not None and apart < 1


def _as_stored(time: datetime) -> datetime:
    """Return a time as Optuna 5 has them: in UTC, without saying so."""
    return time.astimezone(UTC).replace(tzinfo=None)


def _insert_curve(connection: Connection, trial_id: int, epochs: Sequence[Epoch]) -> None:
    value_model = models.TrialIntermediateValueModel
    rows = []
    for epoch in epochs:
        value, kind = value_model.intermediate_value_to_stored_repr(without_noise(epoch.merit))
        rows.append(
            {
                "trial_id": trial_id,
                "step": epoch.epoch,
                "intermediate_value": value,
                "intermediate_value_type": kind,
            }
        )
    if rows:
        connection.execute(insert(value_model), rows)


def widen(
    storage: RDBStorage, study_id: int, distributions: Mapping[str, BaseDistribution]
) -> None:
    """Say of all trials of an Optuna study that they were drawn from wider distributions.

    Optuna takes no trial whose choices are not those of the trials before. It stores a choice
    as its place in the list and a number as itself, so that further choices at the end and
    wider ends of a range change no value.

    Args:
        storage: the database.
        study_id: Optuna's number of the study.
        distributions: by parameter.
    """
    trial, parameter = models.TrialModel, models.TrialParamModel
    of_study = select(trial.trial_id).where(trial.study_id == study_id)
    with storage.engine.begin() as connection:
        for name, distribution in distributions.items():
            connection.execute(
                update(parameter)
                .where(parameter.param_name == name, parameter.trial_id.in_(of_study))
                .values(distribution_json=distribution_to_json(distribution))
            )


def swap_study_attribute(
    storage: RDBStorage, study_id: int, key: str, before: str | None, after: Any
) -> bool:
    """Set a user attribute of an Optuna study, unless another process did so in the meantime.

    Args:
        storage: the database.
        study_id: Optuna's number of the study.
        key: of the attribute.
        before: the text that `study_attribute` returned.
        after: what to store.

    Returns:
        Whether it was set: the database still held `before`.
    """
    return swap_study_attributes(storage, study_id, {key: (before, json.dumps(after))})


def swap_study_attributes(
    storage: RDBStorage, study_id: int, changes: Mapping[str, tuple[str | None, str]]
) -> bool:
    """Set user attributes of an Optuna study, all or none, unless another process did so before.

    Args:
        storage: the database.
        study_id: Optuna's number of the study.
        changes: by key the text that `study_attribute` returned, and the one to store.

    Returns:
        Whether they were set: the database still held each text.
    """
    try:
        with storage.engine.begin() as connection:
            for key, (before, after) in changes.items():
                if not _swapped(connection, study_id, key, before, after):
                    connection.rollback()
                    return False
    except IntegrityError:
        return False
    return True


def _swapped(
    connection: Connection, study_id: int, key: str, before: str | None, after: str
) -> bool:
    attribute = models.StudyUserAttributeModel
    if before is None:
        row = {"study_id": study_id, "key": key, "value_json": after}
        # Of an insertion PostgreSQL tells no count; a row that is there already is an error.
        connection.execute(insert(attribute), [row])
        return True
    change = (
        update(attribute)
        .where(
            attribute.study_id == study_id,
            attribute.key == key,
            attribute.value_json == before,
        )
        .values(value_json=after)
    )
    return connection.execute(change).rowcount == 1


def lengthen_texts(storage: RDBStorage) -> None:
    """Make room for long texts where Optuna's tables have none: in MySQL and MariaDB.

    TEXT holds 65,535 bytes there (https://mariadb.com/kb/en/text/), a history of 1,200 epochs and
    what a trial said of 40,000 images more; LONGTEXT holds 4 GB. Elsewhere they are unbounded.
    Optuna's versions of its schema know nothing of it.
    """
    if storage.engine.dialect.name not in ("mysql", "mariadb"):
        return
    inspector = inspect(storage.engine)
    quote = storage.engine.dialect.identifier_preparer.quote
    for table in models.BaseModel.metadata.tables.values():
        short = [
            column["name"]
            for column in inspector.get_columns(table.name)
            if type(column["type"]) is mysql.TEXT
        ]
        for name in short:
            with storage.engine.begin() as connection:
                connection.exec_driver_sql(
                    f"ALTER TABLE {quote(table.name)} MODIFY {quote(name)} LONGTEXT"
                )


@contextmanager
def checked_writes(storage: RDBStorage, check: Callable[[Connection], None]) -> Iterator[None]:
    """Have a check within each transaction that writes, for a with block: Optuna's and ours.

    It comes last, right before the commit: SQLite's one writer holds the file by then, and with
    other databases the check locks the row that it goes by. So nobody can change what was checked
    before the commit is done.

    Args:
        storage: the database; transactions of other storages on the same one are not checked.
        check: raises where nothing may be written; the transaction is rolled back then.
    """

    def note(connection: Connection, *told: Any) -> None:
        context = told[-2]
        if context is not None and (context.isinsert or context.isupdate or context.isdelete):
            connection.info[WROTE] = True

    def commit(connection: Connection) -> None:
        if connection.info.pop(WROTE, False):
            check(connection)

    def forget(connection: Connection) -> None:
        if not connection.invalidated:  # lost, it has none, and asking for them raises
            connection.info.pop(WROTE, None)

    listeners = (("after_cursor_execute", note), ("commit", commit), ("rollback", forget))
    for name, listener in listeners:
        event.listen(storage.engine, name, listener)
    try:
        yield
    finally:
        for name, listener in listeners:
            event.remove(storage.engine, name, listener)
