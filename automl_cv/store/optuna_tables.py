"""The one place that reads and writes Optuna's tables themselves: its own way is slow, or closed.

Measured with 1,000 trials of 50 epochs (tests/benchmarks/report_speed.py): `get_all_trials`
takes about 20 times as long as `read_trials`, since it makes an object of each intermediate
value; `add_trial` with a curve of 50 epochs about 4 times as long as the same without it and
`write_curve`, since it looks each step up before it inserts it.

The schema is versioned; `RDBStorage` refuses to open one that it does not know.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from optuna.distributions import BaseDistribution, distribution_to_json, json_to_distribution
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.trial import TrialState
from sqlalchemy import func, insert, select, update
from sqlalchemy.exc import IntegrityError

from automl_cv.history import Epoch
from automl_cv.store.records import PREDICTIONS


@dataclass(frozen=True)
class TrialRow:
    """A trial as Optuna stores it, without its intermediate values.

    Args:
        trial_id: unique in the database, and growing.
        number: Optuna's number within its study.
        state: Optuna's state.
        parameters: values by name, in the order in which they were drawn.
        attributes: user attributes by key.
        system_attributes: what a sampler keeps with its trials; empty where not read.
    """

    trial_id: int
    number: int
    state: TrialState
    parameters: dict[str, Any]
    attributes: dict[str, Any]
    system_attributes: dict[str, Any]


def read_trials(
    storage: RDBStorage, study_id: int, *, with_system_attributes: bool = False
) -> list[TrialRow]:
    """Return all trials of one Optuna study in the order in which they were begun.

    What each said of the images is left out, `system_attribute` has it.
    """
    trial, parameter = models.TrialModel, models.TrialParamModel
    kinds = [models.TrialUserAttributeModel]
    if with_system_attributes:
        kinds.append(models.TrialSystemAttributeModel)
    of_study = trial.study_id == study_id
    with storage.engine.connect() as connection:
        trial_rows = connection.execute(
            select(trial.trial_id, trial.number, trial.state)
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
                .where(of_study, kind.key != PREDICTIONS)
            ).all()
            for kind in kinds
        ]
    parameters: dict[int, dict[str, Any]] = defaultdict(dict)
    for trial_id, name, value, distribution in parameter_rows:
        parameters[trial_id][name] = _distribution(distribution).to_external_repr(value)
    attributes = [_by_trial(rows) for rows in attribute_rows]
    return [
        TrialRow(
            trial_id=trial_id,
            number=number,
            state=state,
            parameters=parameters[trial_id],
            attributes=attributes[0][trial_id],
            system_attributes=attributes[1][trial_id] if with_system_attributes else {},
        )
        for trial_id, number, state in trial_rows
    ]


def system_attribute(
    storage: RDBStorage, study_id: int, key: str, numbers: Sequence[int] | None = None
) -> dict[int, Any]:
    """Return a system attribute of trials of one Optuna study that have it, by number there.

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
        rows = connection.execute(wanted).all()
    return {number: json.loads(value) for number, value in rows}


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


def write_curve(storage: RDBStorage, trial_id: int, epochs: Sequence[Epoch]) -> None:
    """Store epochs' merits as intermediate values, in one transaction.

    Args:
        storage: the database.
        trial_id: a trial that runs.
        epochs: epochs that are not yet stored.
    """
    value_model = models.TrialIntermediateValueModel
    rows = []
    for epoch in epochs:
        value, kind = value_model.intermediate_value_to_stored_repr(epoch.merit)
        rows.append(
            {
                "trial_id": trial_id,
                "step": epoch.epoch,
                "intermediate_value": value,
                "intermediate_value_type": kind,
            }
        )
    if rows:
        with storage.engine.begin() as connection:
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


def last_attributes(storage: RDBStorage, key: str) -> dict[int, Any]:
    """Return one user attribute of the trial that was begun last, by Optuna study's number."""
    trial, attribute = models.TrialModel, models.TrialUserAttributeModel
    newest = select(func.max(trial.trial_id)).group_by(trial.study_id)
    with storage.engine.connect() as connection:
        rows = connection.execute(
            select(trial.study_id, attribute.value_json)
            .join(attribute, attribute.trial_id == trial.trial_id)
            .where(trial.trial_id.in_(newest), attribute.key == key)
        ).all()
    return {study_id: json.loads(value) for study_id, value in rows}


def study_attribute(storage: RDBStorage, study_id: int, key: str) -> str | None:
    """Return a user attribute of an Optuna study as the stored text; None if there is none."""
    attribute = models.StudyUserAttributeModel
    with storage.engine.connect() as connection:
        return connection.execute(
            select(attribute.value_json).where(attribute.study_id == study_id, attribute.key == key)
        ).scalar()


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
    attribute = models.StudyUserAttributeModel
    stored = json.dumps(after)
    change = (
        insert(attribute).values(study_id=study_id, key=key, value_json=stored)
        if before is None
        else update(attribute)
        .where(
            attribute.study_id == study_id,
            attribute.key == key,
            attribute.value_json == before,
        )
        .values(value_json=stored)
    )
    try:
        with storage.engine.begin() as connection:
            return connection.execute(change).rowcount == 1
    except IntegrityError:
        return False


def _by_trial(rows: Iterable[Any]) -> dict[int, dict[str, Any]]:
    attributes: dict[int, dict[str, Any]] = defaultdict(dict)
    for trial_id, key, value in rows:
        attributes[trial_id][key] = json.loads(value)
    return attributes


@lru_cache(maxsize=1024)
def _distribution(text: str) -> BaseDistribution:
    return json_to_distribution(text)
