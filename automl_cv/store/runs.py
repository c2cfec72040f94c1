"""Which studies a database holds: one Optuna study a stage, called "RUN/STAGE".

The first run of a study has the study's name, "quickstart"; those that `search --new`
began are "quickstart@2", "quickstart@3", …
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from optuna.storages import RDBStorage

from automl_cv.errors import UserError, suggest
from automl_cv.store.lease import Lease
from automl_cv.store.optuna_tables import last_attributes
from automl_cv.store.records import FACTS, LEASE, StudyFacts


@dataclass(frozen=True)
class StudyRun:
    """One run of a study.

    Args:
        name: "quickstart" or "quickstart@2".
        stages: names of the stages begun so far, in order.
        study_ids: Optuna's number of each stage's study.
        facts: facts of each stage.
        changed: when a stage or a trial was last begun or finished, UTC.
    """

    name: str
    stages: tuple[str, ...]
    study_ids: tuple[int, ...]
    facts: tuple[StudyFacts, ...]
    changed: datetime

    @property
    def study(self) -> str:
        """Name of the study, without the run's number."""
        return self.name.partition("@")[0]

    @property
    def number(self) -> int:
        """Which run of the study it is, from 1."""
        return int(self.name.partition("@")[2] or 1)

    def position(self, stage: str) -> int:
        """Return the index of a stage; UserError with close matches if there is none."""
        if stage not in self.stages:
            raise UserError(
                f"{self.name} has no trials of a stage {stage!r}: {suggest(stage, self.stages)}"
            )
        return self.stages.index(stage)


def runs(storage: RDBStorage) -> list[StudyRun]:
    """Return the runs that a database holds, the one that changed last at the end.

    Optuna studies of other programs in the same database are left out.
    """
    touched = last_attributes(storage, LEASE)
    stages: dict[str, list[tuple[str, int, StudyFacts, datetime]]] = {}
    for found in sorted(storage.get_all_studies(), key=lambda study: study._study_id):
        if FACTS not in found.user_attrs:
            continue
        run, _, stage = found.study_name.rpartition("/")
        facts = StudyFacts.from_json(found.user_attrs[FACTS])
        lease = touched.get(found._study_id)
        changed = max(facts.started, Lease.from_json(lease).time) if lease else facts.started
        stages.setdefault(run, []).append((stage, found._study_id, facts, changed))
    found_runs = [
        StudyRun(
            name=name,
            stages=tuple(stage for stage, *_ in parts),
            study_ids=tuple(study_id for _, study_id, *_ in parts),
            facts=tuple(facts for *_, facts, _ in parts),
            changed=max(changed for *_, changed in parts),
        )
        for name, parts in stages.items()
    ]
    return sorted(found_runs, key=lambda run: run.changed)


def find_run(storage: RDBStorage, name: str | None = None) -> StudyRun:
    """Return one run.

    Args:
        storage: the database.
        name: "quickstart" for that study's latest run, "quickstart@1" for its first; None
            for the run that changed last.

    Raises:
        UserError: there is none; the message names close matches.
    """
    held = runs(storage)
    if not held:
        raise UserError(
            f"{_place(storage)} holds no study yet; `automl-cv search quickstart` makes one"
        )
    if name is None:
        return held[-1]
    if "@" in name:
        exact = name.removesuffix("@1")
        matches = [run for run in held if run.name == exact]
    else:
        matches = sorted((run for run in held if run.study == name), key=lambda run: run.number)
    if not matches:
        names = sorted(run.name for run in held)
        raise UserError(f"{_place(storage)} holds no study {name!r}: {suggest(name, names)}")
    return matches[-1]


def next_run(storage: RDBStorage, study: str) -> str:
    """Return the name that a new run of `study` takes: "quickstart", then "quickstart@2", …"""
    numbers = [run.number for run in runs(storage) if run.study == study]
    return f"{study}@{max(numbers) + 1}" if numbers else study


def _place(storage: RDBStorage) -> str:
    address = storage.engine.url
    return address.database or address.render_as_string(hide_password=True)
