"""The trials of one stage: written as they run, read back, settled after a crash."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import RDBStorage
from optuna.trial import TrialState, create_trial

from automl_cv.errors import AutomlError
from automl_cv.history import Epoch, History
from automl_cv.store.checksums import UNREADABLE, begun_sums, finished_sums, opened, sealed
from automl_cv.store.claims import run_holder
from automl_cv.store.database import damaged_facts
from automl_cv.store.described import describe
from automl_cv.store.facts import StageFacts, StudyFacts, facts_from_json, facts_to_json
from automl_cv.store.lease import Lease
from automl_cv.store.optuna_tables import TrialRow, read_trials, study_attribute, trials_with
from automl_cv.store.optuna_writes import Ending, end_trial, widen, write_curve
from automl_cv.store.outcome import outcome, plain
from automl_cv.store.patience import patiently
from automl_cv.store.predictions import Predictions, packed
from automl_cv.store.reading import is_held, read_predictions, read_records
from automl_cv.store.records import (
    CHECKSUMS,
    FACTS,
    HISTORY,
    INTERRUPTED,
    LEASE,
    OPTIMIZER,
    PREDICTIONS,
    STOP_REASON,
    TRIAL,
    WORKER,
    TrialRecord,
    history_to_json,
)


@dataclass
class _Begun:
    """A trial of this process that the database shows as running."""

    trial_id: int
    lease: Lease
    epochs: tuple[Epoch, ...] = ()  # that are stored


class StageTrials:
    """The trials of one stage of one run. Made by `create` or `open`.

    Args:
        storage: the database.
        study: the Optuna study that holds the stage; samplers draw from it.
        run: name of the run.
        stage: name of the stage.
        facts: what is known of the study.
        stage_facts: what is known of the stage.
    """

    def __init__(
        self,
        storage: RDBStorage,
        study: optuna.Study,
        *,
        run: str,
        stage: str,
        facts: StudyFacts,
        stage_facts: StageFacts,
    ) -> None:
        self.storage = storage
        self.study = study
        self.run = run
        self.stage = stage
        self.facts = facts
        self.stage_facts = stage_facts
        self._study_id = storage.get_study_id_from_name(study.study_name)
        self._begun: dict[int, _Begun] = {}

    @classmethod
    def create(
        cls,
        storage: RDBStorage,
        run: str,
        stage: str,
        facts: StudyFacts,
        stage_facts: StageFacts | None = None,
    ) -> StageTrials:
        """Begin a stage.

        Args:
            storage: the database.
            run: name of the run.
            stage: name of the stage.
            facts: what is known of the study.
            stage_facts: what is known of the stage; None for nothing but that it begins now.

        Raises:
            AutomlError: the run has this stage already.
        """
        study = patiently(
            lambda: optuna.create_study(
                storage=storage,
                study_name=f"{run}/{stage}",
                direction="maximize",
                load_if_exists=True,  # made by a process that died before it stored the facts
            )
        )
        if study_attribute(storage, study._study_id, FACTS) is not None:
            raise AutomlError(f"stage {stage!r} of {run} stands in the database already")
        own = StageFacts() if stage_facts is None else stage_facts
        trials = cls(storage, study, run=run, stage=stage, facts=facts, stage_facts=own)
        trials.update_facts()
        trials.describe()
        return trials

    @classmethod
    def open(cls, storage: RDBStorage, run: str, stage: str) -> StageTrials:
        """Return a stage that was begun before.

        Raises:
            AutomlError: there is none, or what is stored of it is damaged.
        """
        try:
            study = optuna.load_study(storage=storage, study_name=f"{run}/{stage}")
        except KeyError:
            raise AutomlError(f"the database holds no stage {stage!r} of {run}") from None
        stored = study_attribute(storage, study._study_id, FACTS)
        try:
            facts, own = facts_from_json(stage, opened(stored or ""))
        except UNREADABLE:
            raise AutomlError(damaged_facts(storage, run, stage)) from None
        return cls(storage, study, run=run, stage=stage, facts=facts, stage_facts=own)

    def describe(self) -> None:
        """Say in Optuna's own tables what this is, for whoever opens them with other programs."""
        describe(self.storage, self._study_id, self.run, self.stage, self.facts)

    def update_facts(self, **changes: Any) -> None:
        """Store the facts with some of their fields changed: warnings, reference, notes, …

        Args:
            changes: fields of the study's facts, of the stage's, or of both, in one write.
        """
        of_stage = {each.name for each in fields(StageFacts)} & changes.keys()
        own = {name: changes.pop(name) for name in of_stage}
        self.stage_facts = replace(self.stage_facts, **own)
        self.facts = replace(self.facts, **changes)
        stored = facts_to_json(self.stage, self.facts, self.stage_facts)
        patiently(lambda: self.study.set_user_attr(FACTS, sealed(stored)))

    def widen(self, distributions: Mapping[str, BaseDistribution]) -> None:
        """Give all trials wider distributions: choices with further ones at the end.

        Args:
            distributions: by parameter.
        """
        patiently(lambda: widen(self.storage, self._study_id, distributions))

    @property
    def name(self) -> str:
        """Name of the Optuna study: "quickstart/coarse"."""
        return f"{self.run}/{self.stage}"

    def records(self) -> list[TrialRecord]:
        """Return one record for each slot that was ever begun, ordered by slot."""
        return read_records(
            self.storage,
            self._study_id,
            self.run,
            self.stage,
            with_system_attributes=True,
        )

    def predictions(self, records: Sequence[TrialRecord] | None = None) -> dict[int, Predictions]:
        """Return what trials said of the images that validated them, by slot.

        Args:
            records: the trials; None for all that finished.
        """
        if records is None:
            records = self.records()
        return read_predictions(self.storage, self._study_id, records)

    def with_predictions(self) -> set[int]:
        """Return Optuna's numbers of the trials that kept what they said."""
        return trials_with(self.storage, self._study_id, PREDICTIONS)

    def settle(self) -> list[int]:
        """Fail the trials whose process died, and return their slots, to be run again.

        What they had reached stays readable, as the state "interrupted".
        """
        settled: list[int] = []
        running = self._running()
        holder = run_holder(self.storage, self.run) if running else None
        for row in running:
            if not is_held(row, holder):
                self._mark_interrupted(row.trial_id, last_written(row))
                settled += row.slots[:1] if row.is_damaged else [row.attributes[TRIAL]]
        return sorted(settled)

    def begin(
        self,
        trial: int,
        parameters: Mapping[str, Any],
        distributions: Mapping[str, BaseDistribution],
        *,
        lease: Lease | None = None,
        system_attributes: Mapping[str, Any] | None = None,
        began: datetime | None = None,
    ) -> None:
        """Show a trial as running. Only worth its cost for trials of more than a second.

        Args:
            trial: the slot.
            parameters: drawn values by name.
            distributions: what each was drawn from.
            lease: who runs it; None for this process.
            system_attributes: what a sampler keeps with its trials.
            began: when its training did; None for now.
        """
        record = TrialRecord(
            run=self.run,
            stage=self.stage,
            trial=trial,
            state="running",
            parameters=dict(parameters),
            system_attributes=dict(system_attributes or {}),
        )
        sums = begun_sums(record, distributions)
        own = lease or Lease.of_this_process()
        self._create(record, distributions, own, sums, began=began or own.time)

    def write_epochs(self, trial: int, history: History) -> None:
        """Store the epochs of a begun trial that are not yet stored, and renew its lease."""
        begun = self._begun[trial]
        begun.lease = begun.lease.renewed()
        # A worker that died begins again, and has for a time fewer than are stored.
        history = replace(history, epochs=max(begun.epochs, history.epochs, key=len))
        missing = history.epochs[len(begun.epochs) :]
        patiently(lambda: write_curve(self.storage, begun.trial_id, missing))
        begun.epochs = history.epochs
        self._set_attributes(
            begun.trial_id,
            {HISTORY: sealed(history_to_json(history)), LEASE: begun.lease.to_json()},
        )

    def finish(
        self,
        trial: int,
        parameters: Mapping[str, Any],
        distributions: Mapping[str, BaseDistribution],
        history: History,
        *,
        optimizer_config: Mapping[str, Any] | None = None,
        worker: Mapping[str, Any] | None = None,
        system_attributes: Mapping[str, Any] | None = None,
        probabilities: np.ndarray | None = None,
    ) -> None:
        """Store a finished trial, whether it was begun or not.

        Its state follows from `history.stop_reason`. Until the last of a few short
        transactions the trial counts as running, so that a crash between them leaves a slot
        to settle and never half a result.

        Args:
            trial: the slot.
            parameters: drawn values by name.
            distributions: what each was drawn from.
            history: all epochs, with a stop reason.
            optimizer_config: the optimizer's whole configuration.
            worker: what is known of the process that ran the trial.
            system_attributes: what a sampler keeps with its trials.
            probabilities: of the images that validated it, at its best epoch.
        """
        kept = {} if probabilities is None else {PREDICTIONS: packed(probabilities)}
        record = TrialRecord(
            run=self.run,
            stage=self.stage,
            trial=trial,
            state="running",
            parameters=dict(parameters),
            history=history,
            optimizer_config=dict(optimizer_config or {}),
            worker=dict(worker or {}),
            system_attributes={**(system_attributes or {}), **kept},
        )
        begun = self._begun.get(trial)
        lease = (Lease.of_this_process() if begun is None else begun.lease).renewed()
        sums = finished_sums(_attributes(record), record, distributions, lease.to_json())
        if begun is None:
            begun = self._create(record, distributions, lease, sums)
        else:
            self._set_attributes(begun.trial_id, {**_attributes(record), LEASE: lease.to_json()})
            for key, stored in record.system_attributes.items():
                self._set_system_attribute(begun.trial_id, key, stored)
            self._set_attribute(begun.trial_id, CHECKSUMS, sums)
        state, value = outcome(history)
        self._end(
            begun.trial_id,
            Ending(
                state=state,
                value=value,
                began=lease.time - timedelta(seconds=history.seconds),
                ended=lease.time,
                shown=plain(self.stage, history),
            ),
            history.epochs[len(begun.epochs) :],
        )
        del self._begun[trial]

    def interrupt(self, trial: int, history: History) -> None:
        """Give up a begun trial: what it reached stays readable, and its slot runs again.

        Args:
            trial: the slot.
            history: what it reached, and how long it took; its error says why it is given up.
        """
        self.write_epochs(trial, history)
        begun = self._begun.pop(trial)
        self._mark_interrupted(begun.trial_id, begun.lease.time, plain(self.stage, history))

    def _create(
        self,
        record: TrialRecord,
        distributions: Mapping[str, BaseDistribution],
        lease: Lease,
        sums: Mapping[str, Any],
        *,
        began: datetime | None = None,
    ) -> _Begun:
        template = create_trial(
            state=TrialState.RUNNING,
            params=dict(record.parameters),
            distributions=dict(distributions),
            # The checksums come first: where the end of a page is lost, they are not lost alone.
            user_attrs={CHECKSUMS: sums, **_attributes(record), LEASE: lease.to_json()},
            system_attrs=dict(record.system_attributes),
        )
        template.datetime_start = began or lease.time
        create = self.storage.create_new_trial
        trial_id = patiently(lambda: create(self._study_id, template_trial=template))
        self._begun[record.trial] = _Begun(trial_id, lease)
        return self._begun[record.trial]

    def _mark_interrupted(
        self, trial_id: int, ended: datetime, shown: Mapping[str, Any] | None = None
    ) -> None:
        self._set_attributes(trial_id, {INTERRUPTED: True})
        self._end(trial_id, Ending(state=TrialState.FAIL, ended=ended, shown=shown or {}))

    def _end(self, trial_id: int, ending: Ending, epochs: Sequence[Epoch] = ()) -> None:
        patiently(lambda: end_trial(self.storage, trial_id, ending, epochs))

    def _set_attributes(self, trial_id: int, attributes: Mapping[str, Any]) -> None:
        for key, value in attributes.items():
            self._set_attribute(trial_id, key, value)

    def _set_attribute(self, trial_id: int, key: str, value: Any) -> None:
        patiently(lambda: self.storage.set_trial_user_attr(trial_id, key, value))

    def _set_system_attribute(self, trial_id: int, key: str, value: Any) -> None:
        patiently(lambda: self.storage.set_trial_system_attr(trial_id, key, value))

    def _running(self) -> list[TrialRow]:
        rows = read_trials(self.storage, self._study_id)
        return [
            row
            for row in rows
            if row.state is TrialState.RUNNING and (TRIAL in row.attributes or row.slots)
        ]


def last_written(row: TrialRow) -> datetime:
    """Return when a trial whose process died was last written; now where that is damaged."""
    try:
        return Lease.from_json(row.attributes[LEASE]).time
    except UNREADABLE:
        return datetime.now(UTC)


def _attributes(record: TrialRecord) -> dict[str, Any]:
    attributes: dict[str, Any] = {
        TRIAL: record.trial,
        HISTORY: history_to_json(record.history),
        STOP_REASON: record.history.stop_reason,
        OPTIMIZER: dict(record.optimizer_config),
        WORKER: dict(record.worker),
    }
    return {key: value for key, value in attributes.items() if value not in (None, {})}
