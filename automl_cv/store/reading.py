"""Reads the trials of a stage back as records."""

from __future__ import annotations

from collections.abc import Sequence

from optuna.storages import RDBStorage
from optuna.trial import TrialState

from automl_cv.store.lease import Lease
from automl_cv.store.optuna_tables import (
    TrialRow,
    read_trials,
    system_attribute,
)
from automl_cv.store.predictions import Predictions, unpacked
from automl_cv.store.records import (
    HISTORY,
    INTERRUPTED,
    LEASE,
    OPTIMIZER,
    PREDICTIONS,
    TRIAL,
    WORKER,
    State,
    TrialRecord,
    history_from_json,
    one_per_slot,
)

# Values that any SQLite takes in a statement, less the two others (https://sqlite.org/limits.html).
MOST_ASKED = 997


def read_records(
    storage: RDBStorage,
    study_id: int,
    run: str,
    stage: str,
    *,
    with_system_attributes: bool = False,
) -> list[TrialRecord]:
    """Return one record for each slot of a stage, ordered by slot.

    Args:
        storage: the database.
        study_id: Optuna's number of the stage's study.
        run: name of the run.
        stage: name of the stage.
        with_system_attributes: whether to read what samplers keep, which may be much.
    """
    rows = [
        row
        for row in read_trials(storage, study_id, with_system_attributes=with_system_attributes)
        if TRIAL in row.attributes
    ]
    return one_per_slot([_record(row, run, stage) for row in rows])


def read_predictions(
    storage: RDBStorage, study_id: int, records: Sequence[TrialRecord]
) -> dict[int, Predictions]:
    """Return what trials of a stage said of the images that validated them, by slot.

    Args:
        storage: the database.
        study_id: Optuna's number of the stage's study.
        records: the trials; those that did not finish are left out.
    """
    slots = {
        record.number: record.trial
        for record in records
        if record.number is not None and record.state in ("complete", "pruned")
    }
    asked = list(slots) if len(slots) <= MOST_ASKED else None
    stored = system_attribute(storage, study_id, PREDICTIONS, asked)
    return {slots[number]: unpacked(one) for number, one in stored.items() if number in slots}


def _record(row: TrialRow, run: str, stage: str) -> TrialRecord:
    stored = row.attributes
    return TrialRecord(
        run=run,
        stage=stage,
        trial=stored[TRIAL],
        state=_state(row),
        parameters=row.parameters,
        history=history_from_json(stored[HISTORY]),
        optimizer_config=stored.get(OPTIMIZER, {}),
        worker=stored.get(WORKER, {}),
        system_attributes=row.system_attributes,
        number=row.number,
    )


def lease_of(row: TrialRow) -> Lease:
    """Return who holds, or held, a trial."""
    return Lease.from_json(row.attributes[LEASE])


def _state(row: TrialRow) -> State:
    match row.state:
        case TrialState.COMPLETE:
            return "complete"
        case TrialState.PRUNED:
            return "pruned"
        case TrialState.FAIL:
            return "interrupted" if row.attributes.get(INTERRUPTED) else "failed"
    return "running" if lease_of(row).is_alive else "interrupted"
