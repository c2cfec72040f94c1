"""Reads the trials of a stage back as records."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache

from optuna.storages import RDBStorage
from optuna.trial import TrialState

from automl_cv.errors import warn
from automl_cv.history import History
from automl_cv.store.checksums import UNREADABLE, Damaged, checksum
from automl_cv.store.claims import Holder, run_holder
from automl_cv.store.lease import Lease
from automl_cv.store.optuna_tables import (
    TrialRow,
    read_trials,
    system_attribute,
)
from automl_cv.store.predictions import Predictions, unpacked
from automl_cv.store.records import (
    CHECKSUMS,
    DAMAGED,
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

    A trial whose record is damaged has failed. It is warned of one that does not even say which
    trial it is.

    Args:
        storage: the database.
        study_id: Optuna's number of the stage's study.
        run: name of the run.
        stage: name of the stage.
        with_system_attributes: whether to read what samplers keep, which may be much.
    """
    records: list[TrialRecord] = []
    damaged: list[TrialRow] = []
    holder = cache(lambda: run_holder(storage, run))  # asked where a trial runs alone
    for row in read_trials(storage, study_id, with_system_attributes=with_system_attributes):
        if row.is_damaged:
            damaged.append(row)
        elif TRIAL in row.attributes:
            try:
                records.append(_record(row, run, stage, holder))
            except UNREADABLE:
                damaged.append(replace(row, slots=_slots(row)))
        elif row.state.is_finished():
            damaged.append(row)
    if damaged:
        records = _with_damaged(records, damaged, run, stage)
    return one_per_slot(records)


def _slots(row: TrialRow) -> tuple[int, ...]:
    slot = row.attributes[TRIAL]
    return (slot,) if isinstance(slot, int) else ()


def _with_damaged(
    records: Sequence[TrialRecord], damaged: Sequence[TrialRow], run: str, stage: str
) -> list[TrialRecord]:
    """Return records with those of damaged trials, each at a slot that no sound one holds."""
    held = {record.trial for record in records if record.state != "interrupted"}
    lost = []
    history = History((), "failed", DAMAGED)
    for row in damaged:
        free = [slot for slot in row.slots if slot not in held]
        if free:
            lost.append(TrialRecord(run, stage, free[0], "failed", {}, history, number=row.number))
        elif not row.slots:
            warn(
                f"stage {stage} of {run}: a trial in the database is damaged, so that it can't be "
                "told which; the next search trains what is missing"
            )
    return [*lost, *records]


def read_predictions(
    storage: RDBStorage, study_id: int, records: Sequence[TrialRecord]
) -> dict[int, Predictions]:
    """Return what trials of a stage said of the images that validated them, by slot.

    It is warned of one whose predictions are damaged, and they are left out.

    Args:
        storage: the database.
        study_id: Optuna's number of the stage's study.
        records: the trials; those that did not finish are left out.
    """
    finished = {
        record.number: record
        for record in records
        if record.number is not None and record.state in ("complete", "pruned")
    }
    asked = list(finished) if len(finished) <= MOST_ASKED else None
    stored = system_attribute(storage, study_id, PREDICTIONS, asked)
    found = {}
    for number, record in finished.items():
        text = stored.get(number)
        if text is None and record.said is None:
            continue
        try:
            if text is None or (record.said is not None and record.said != checksum(text)):
                raise Damaged("not what was stored")
            found[record.trial] = unpacked(json.loads(text))
        except UNREADABLE:
            warn(
                f"trial {record.name} of {record.run}: what it said of the validation images is "
                "damaged in the database; figures that need it are worked out without it"
            )
    return found


def _record(
    row: TrialRow, run: str, stage: str, holder: Callable[[], Holder | None]
) -> TrialRecord:
    stored = row.attributes
    return TrialRecord(
        run=run,
        stage=stage,
        trial=stored[TRIAL],
        state=_state(row, holder),
        parameters=row.parameters,
        history=history_from_json(stored[HISTORY]),
        optimizer_config=stored.get(OPTIMIZER, {}),
        worker=stored.get(WORKER, {}),
        system_attributes=row.system_attributes,
        number=row.number,
        said=(stored.get(CHECKSUMS) or {}).get("said"),
    )


def is_held(row: TrialRow, holder: Holder | None) -> bool:
    """Tell whether the process that runs a trial may still live; of a damaged one it is unknown.

    Args:
        row: a trial that runs.
        holder: who holds its run.
    """
    try:
        lease = Lease.from_json(row.attributes[LEASE])
    except UNREADABLE:
        return False
    if holder is None or not holder.owner:
        return lease.is_alive
    return holder.is_alive and holder.lease.is_same_process(lease)


def _state(row: TrialRow, holder: Callable[[], Holder | None]) -> State:
    match row.state:
        case TrialState.COMPLETE:
            return "complete"
        case TrialState.PRUNED:
            return "pruned"
        case TrialState.FAIL:
            return "interrupted" if row.attributes.get(INTERRUPTED) else "failed"
    return "running" if is_held(row, holder()) else "interrupted"
