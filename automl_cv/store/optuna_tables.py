"""The one place that reads Optuna's tables themselves: its own way is slow, or closed.

`store.optuna_writes` writes them. Measured with 1,000 trials of 50 epochs
(tests/benchmarks/report_speed.py): `get_all_trials` takes about 20 times as long as `read_trials`,
since it makes an object of each intermediate value.

The schema is versioned; `RDBStorage` refuses to open one that it does not know.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.trial import TrialState
from sqlalchemy import Connection, String, func, select, type_coerce

from automl_cv.store.checksums import UNREADABLE, begun_sum, opened, record_sum, sampler_sum
from automl_cv.store.patience import patient
from automl_cv.store.records import CHECKSUMS, INTERRUPTED, PREDICTIONS, PREFIX, TRIAL


@dataclass(frozen=True)
class TrialRow:
    """A trial as Optuna stores it, without its intermediate values.

    Args:
        trial_id: unique in the database, and growing.
        number: Optuna's number within its study.
        state: Optuna's state.
        parameters: values by name, in the order in which they were drawn.
        attributes: user attributes by key; ours alone.
        system_attributes: what a sampler keeps with its trials; empty where not read.
        is_damaged: whether it is not what was stored: nothing of it can be used then but who it
            may be, and the state only where it could be read.
        slots: which trials of ours it may be, the likeliest first, where it is damaged.
    """

    trial_id: int
    number: int
    state: TrialState
    parameters: dict[str, Any]
    attributes: dict[str, Any]
    system_attributes: dict[str, Any]
    is_damaged: bool = False
    slots: tuple[int, ...] = ()


@dataclass(frozen=True)
class StudyRow:
    """An Optuna study with its user attributes as the stored texts, by key."""

    study_id: int
    name: str
    texts: dict[str, str]


@patient
def read_trials(
    storage: RDBStorage, study_id: int, *, with_system_attributes: bool = False
) -> list[TrialRow]:
    """Return all trials of one Optuna study in the order in which they were begun.

    What each said of the images is left out, `system_attribute` has it.
    """
    trial, parameter = models.TrialModel, models.TrialParamModel
    own, kept = models.TrialUserAttributeModel, models.TrialSystemAttributeModel
    kinds: list[tuple[Any, Any]] = [(own, own.key.startswith(PREFIX))]
    if with_system_attributes:
        kinds.append((kept, kept.key != PREDICTIONS))
    of_study = trial.study_id == study_id
    with storage.engine.connect() as connection:
        trial_rows = connection.execute(
            # As text: SQLAlchemy raises on a state that it does not know.
            select(trial.trial_id, trial.number, type_coerce(trial.state, String))
            .where(of_study)
            .order_by(trial.trial_id)
        ).all()
        parameter_rows = connection.execute(
            select(
                parameter.trial_id,
                parameter.param_name,
                parameter.param_value,
                parameter.distribution_json,
            )
            .join(trial)
            .where(of_study)
            .order_by(parameter.param_id)
        ).all()
        attribute_rows = [
            connection.execute(
                select(kind.trial_id, kind.key, kind.value_json)
                .join(trial)
                .where(of_study, is_read)
            ).all()
            for kind, is_read in kinds
        ]
    drawn: dict[int, list[tuple[str, float, str]]] = defaultdict(list)
    for trial_id, name, value, distribution in parameter_rows:
        drawn[trial_id].append((name, value, distribution))
    texts = [_by_owner(rows) for rows in attribute_rows]
    return [
        _row(
            (trial_id, number, state),
            drawn[trial_id],
            texts[0][trial_id],
            texts[1][trial_id] if with_system_attributes else None,
        )
        for trial_id, number, state in trial_rows
    ]


def _row(
    own: tuple[int, int, str],
    drawn: Sequence[tuple[str, float, str]],
    texts: Mapping[str, str],
    system_texts: Mapping[str, str] | None,
) -> TrialRow:
    """Return a trial as a row, or as a damaged one where its texts are not those of its checksums.

    Args:
        own: number in the database, number in the study and state.
        drawn: name, value as stored, and distribution as JSON of each parameter.
        texts: user attributes as JSON, by key.
        system_texts: the system attributes likewise; None where they were not read.
    """
    trial_id, number, name = own
    try:
        state = TrialState[name]
        row = TrialRow(
            trial_id=trial_id,
            number=number,
            state=state,
            parameters={
                key: _distribution(text).to_external_repr(value) for key, value, text in drawn
            },
            attributes={key: opened(text) for key, text in texts.items()},
            system_attributes={key: json.loads(text) for key, text in (system_texts or {}).items()},
        )
        if _is_as_stored(row, texts, system_texts):
            return row
    except UNREADABLE:
        state = TrialState.__members__.get(str(name), TrialState.FAIL)
    return TrialRow(
        trial_id, number, state, {}, {}, {}, is_damaged=True, slots=tuple(_slots(texts))
    )


def _is_as_stored(
    row: TrialRow, texts: Mapping[str, str], system_texts: Mapping[str, str] | None
) -> bool:
    """Tell whether a trial's checksums are right; one of an older automl-cv has none."""
    if CHECKSUMS not in texts:
        return True
    sums = row.attributes[CHECKSUMS]
    if "record" not in sums and (not row.state.is_finished() or INTERRUPTED in texts):
        return bool(sums["begun"] == begun_sum(row.attributes[TRIAL], row.parameters))
    return bool(sums["record"] == record_sum(texts, row.parameters)) and (
        system_texts is None or bool(sums["sampler"] == sampler_sum(system_texts))
    )


def _slots(texts: Mapping[str, str]) -> Iterable[int]:
    """Yield what a damaged trial's number of ours may be: it stands in two places."""
    for key in (CHECKSUMS, TRIAL):
        try:
            stored = json.loads(texts[key])
            slot = stored["trial"] if key == CHECKSUMS else stored
        except UNREADABLE:
            continue
        if isinstance(slot, int) and slot >= 0:
            yield slot


@patient
def read_studies(storage: RDBStorage) -> list[StudyRow]:
    """Return all Optuna studies of a database, in the order in which they were made."""
    study, attribute = models.StudyModel, models.StudyUserAttributeModel
    with storage.engine.connect() as connection:
        studies = connection.execute(
            select(study.study_id, study.study_name).order_by(study.study_id)
        ).all()
        rows = connection.execute(
            select(attribute.study_id, attribute.key, attribute.value_json)
        ).all()
    texts = _by_owner(rows)
    return [StudyRow(study_id, str(name), texts[study_id]) for study_id, name in studies]


@patient
def system_attribute(
    storage: RDBStorage, study_id: int, key: str, numbers: Sequence[int] | None = None
) -> dict[int, str]:
    """Return a system attribute of trials of one Optuna study, as stored, by number there.

    Args:
        storage: the database.
        study_id: Optuna's number of the study.
        key: of the attribute.
        numbers: Optuna's, of the trials; None for all.
    """
    trial, attribute = models.TrialModel, models.TrialSystemAttributeModel
    wanted = (
        select(trial.number, attribute.value_json)
        .join(attribute, attribute.trial_id == trial.trial_id)
        .where(trial.study_id == study_id, attribute.key == key)
    )
    if numbers is not None:
        wanted = wanted.where(trial.number.in_(numbers))
    with storage.engine.connect() as connection:
        return {number: text for number, text in connection.execute(wanted)}


@patient
def trials_with(storage: RDBStorage, study_id: int, key: str) -> set[int]:
    """Return Optuna's numbers of the trials of a study that have a system attribute."""
    trial, attribute = models.TrialModel, models.TrialSystemAttributeModel
    with storage.engine.connect() as connection:
        rows = connection.execute(
            select(trial.number)
            .join(attribute, attribute.trial_id == trial.trial_id)
            .where(trial.study_id == study_id, attribute.key == key)
        )
        return set(rows.scalars())


@patient
def last_attributes(storage: RDBStorage, keys: Sequence[str]) -> dict[int, dict[str, str]]:
    """Return attributes, as stored, of the trial that was begun last, by Optuna study's number."""
    trial, attribute = models.TrialModel, models.TrialUserAttributeModel
    newest = select(func.max(trial.trial_id)).group_by(trial.study_id)
    with storage.engine.connect() as connection:
        rows = connection.execute(
            select(trial.study_id, attribute.key, attribute.value_json)
            .join(attribute, attribute.trial_id == trial.trial_id)
            .where(trial.trial_id.in_(newest), attribute.key.in_(keys))
        ).all()
    return _by_owner(rows)


@patient
def study_attribute(storage: RDBStorage, study_id: int, key: str) -> str | None:
    """Return a user attribute of an Optuna study as the stored text; None if there is none."""
    with storage.engine.connect() as connection:
        return study_text(connection, study_id, key)


def study_text(
    connection: Connection, study_id: int, key: str, *, locked: bool = False
) -> str | None:
    """Return what `study_attribute` does, within a transaction.

    Args:
        connection: of the transaction.
        study_id: Optuna's number of the study.
        key: of the attribute.
        locked: keep others from changing it until the transaction ends. SQLite knows no such
            thing, and needs none in a transaction that has written.
    """
    attribute = models.StudyUserAttributeModel
    wanted = select(attribute.value_json).where(
        attribute.study_id == study_id, attribute.key == key
    )
    return connection.execute(wanted.with_for_update(read=True) if locked else wanted).scalar()


def _by_owner(rows: Iterable[Any]) -> dict[int, dict[str, str]]:
    """Return the stored texts of attributes by trial, or by study, and key."""
    texts: dict[int, dict[str, str]] = defaultdict(dict)
    for owner, key, text in rows:
        texts[owner][key] = text
    return texts


@lru_cache(maxsize=1024)
def _distribution(text: str) -> BaseDistribution:
    return json_to_distribution(text)
