"""Which studies a database holds: one Optuna study a stage, called "RUN/STAGE".

The first run of a study has the study's name, "quickstart"; those begun later, on other images
or by `search --new`, are "quickstart@2", "quickstart@3", …

One search at a time holds a run, from before its features are extracted to its end: see
`store.claims`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from optuna.storages import RDBStorage

from automl_cv.errors import AutomlError, UserError, suggest, warn
from automl_cv.store.checksums import UNREADABLE, Damaged, checksum, opened
from automl_cv.store.claims import Holder, holder_of
from automl_cv.store.database import damaged_facts, database_seconds, place_of
from automl_cv.store.facts import RunFacts, StageFacts, StudyFacts, facts_from_json, joined
from automl_cv.store.lease import Lease
from automl_cv.store.optuna_tables import last_attributes, read_studies
from automl_cv.store.records import CHECKSUMS, FACTS, LEASE


@dataclass(frozen=True)
class StudyRun:
    """One run of a study.

    Args:
        name: "quickstart" or "quickstart@2".
        stages: names of the stages begun so far, in order.
        study_ids: Optuna's number of each stage's study.
        facts: of the study, as each stage has them; of a run that is only planned, what it
            will begin with.
        stage_facts: facts of each stage.
        changed: when a stage or a trial was last begun or finished, UTC.
        holder: the search that runs it, or was killed while it did.
        damage: line that says so where what is stored of a stage is damaged; nothing else is
            known of the run then.
    """

    name: str
    stages: tuple[str, ...]
    study_ids: tuple[int, ...]
    facts: tuple[StudyFacts, ...]
    stage_facts: tuple[StageFacts, ...]
    changed: datetime
    holder: Holder | None = None
    damage: str | None = None

    @property
    def study(self) -> str:
        """Name of the study, without the run's number."""
        return self.name.partition("@")[0]

    @property
    def number(self) -> int:
        """Which run of the study it is, from 1."""
        return int(self.name.partition("@")[2] or 1)

    @property
    def exact_name(self) -> str:
        """The name that stays this run's own: "quickstart@1", "quickstart@2"."""
        return f"{self.study}@{self.number}"

    def check_sound(self) -> None:
        """Refuse a run of which what is stored is damaged, by an AutomlError."""
        if self.damage is not None:
            raise AutomlError(self.damage)

    def check_free(self) -> None:
        """Refuse a run that another search is at; AutomlError names the process."""
        if self.holder is not None and self.holder.is_alive:
            raise AutomlError(
                f"{self.name} is being searched by process {self.holder}; wait for its end, or "
                "begin a run of your own with --new"
            )

    def position(self, stage: str) -> int:
        """Return the index of a stage; UserError with close matches if there is none."""
        if stage not in self.stages:
            raise UserError(
                f"{self.name} has no trials of a stage {stage!r}: {suggest(stage, self.stages)}"
            )
        return self.stages.index(stage)

    def joined_facts(self, positions: Sequence[int]) -> RunFacts:
        """Return the facts of the stages at these positions as one."""
        of_stages = {self.stages[place]: self.stage_facts[place] for place in positions}
        return joined([self.facts[place] for place in positions], of_stages)


_EARLIEST = datetime.min.replace(tzinfo=UTC)


class _StageRow(NamedTuple):
    """A stage of a run: its fields are those of `StudyRun`."""

    stage: str
    study_id: int
    facts: StudyFacts
    stage_facts: StageFacts
    changed: datetime


def runs(storage: RDBStorage, *, with_planned: bool = False) -> list[StudyRun]:
    """Return the runs that a database holds, the one that changed last at the end.

    Optuna studies of other programs in the same database are left out. A run of which what is
    stored is damaged is returned as such, so that others can be read and new ones begun.

    Args:
        storage: the database.
        with_planned: also return those, without stages, that another search holds but has not
            begun yet: it extracts features.
    """
    touched = last_attributes(storage, (LEASE, CHECKSUMS))
    held: dict[str, Holder | None] = {}
    stages: dict[str, list[_StageRow]] = {}
    damage: dict[str, str] = {}
    found_studies, now = read_studies(storage), database_seconds(storage)
    for found in found_studies:
        run, _, stage = found.name.rpartition("/")
        if run not in held:
            held[run] = holder_of(found.texts, now)
        if FACTS not in found.texts:
            continue
        own_stages = stages.setdefault(run, [])
        try:
            facts, own = facts_from_json(stage, opened(found.texts[FACTS]))
        except UNREADABLE:
            damage.setdefault(run, damaged_facts(storage, run, stage))
            continue
        changed = _changed(own, touched.get(found.study_id, {}), found.name)
        own_stages.append(_StageRow(stage, found.study_id, facts, own, changed))
    found_runs = [
        StudyRun(
            name=name,
            stages=tuple(row.stage for row in rows),
            study_ids=tuple(row.study_id for row in rows),
            facts=tuple(row.facts for row in rows),
            stage_facts=tuple(row.stage_facts for row in rows),
            changed=max((row.changed for row in rows), default=_EARLIEST),
            holder=held[name],
            damage=damage.get(name),
        )
        for name, rows in stages.items()
    ]
    if with_planned:
        found_runs += [
            _planned(name, holder)
            for name, holder in held.items()
            if name not in stages and holder is not None and holder.is_alive
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
        AutomlError: what is stored of it is damaged.
    """
    held = runs(storage)
    if not held:
        raise UserError(
            f"{place_of(storage)} holds no study yet; `automl-cv search quickstart` makes one"
        )
    if name is None:
        # One whose time can't be read may be the last.
        latest = next((run for run in held if run.changed == _EARLIEST), held[-1])
        latest.check_sound()
        return latest
    if "@" in name:
        exact = name.removesuffix("@1")
        matches = [run for run in held if run.name == exact]
    else:
        matches = sorted((run for run in held if run.study == name), key=lambda run: run.number)
    if not matches:
        names = sorted(run.name for run in held)
        raise UserError(f"{place_of(storage)} holds no study {name!r}: {suggest(name, names)}")
    matches[-1].check_sound()
    return matches[-1]


def next_run(held: Sequence[StudyRun], study: str) -> str:
    """Return the name that a new run of `study` takes: "quickstart", then "quickstart@2", …"""
    numbers = [run.number for run in held if run.study == study]
    return f"{study}@{max(numbers) + 1}" if numbers else study


def shown_name(storage: RDBStorage, run: str) -> str:
    """Return the name by which `find_run` finds this very run: "quickstart@1" once there is @2."""
    latest = find_run(storage, run.partition("@")[0])
    return run if run == latest.name or "@" in run else f"{run}@1"


def _changed(own: StageFacts, touched: Mapping[str, str], name: str) -> datetime:
    """Return when a stage began, or the last of its trials did or was written.

    Args:
        own: facts of the stage.
        touched: who held that trial, and its checksums, as stored.
        name: of the Optuna study.
    """
    if LEASE not in touched:
        return own.started
    try:
        sums = json.loads(touched.get(CHECKSUMS, "null"))
        if sums and sums.get("lease", checksum(touched[LEASE])) != checksum(touched[LEASE]):
            raise Damaged("not what was stored")
        return max(own.started, Lease.from_json(json.loads(touched[LEASE])).time)
    except UNREADABLE:
        warn(
            f"{name}: the time of its last trial is damaged in the database; where no study is "
            "named, the one that changed last may be another"
        )
        return own.started


def _planned(name: str, holder: Holder) -> StudyRun:
    # Of a stage that has not begun nothing is known yet, whatever its name.
    facts, own = facts_from_json("", holder.facts)
    return StudyRun(
        name=name,
        stages=(),
        study_ids=(),
        facts=(facts,),
        stage_facts=(),
        changed=own.started,
        holder=holder,
    )
