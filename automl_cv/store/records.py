"""What the database holds of a study and of a trial, as plain data, and under which keys."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from automl_cv.catalog.metrics import ACCURACY, METRICS, MetricEntry
from automl_cv.history import Epoch, History
from automl_cv.store.course import Course
from automl_cv.study.space import Space
from automl_cv.words import trials_text

# Attributes of an Optuna study or trial. The version grows when a value's meaning changes.
FACTS = "automl-cv:v1:facts"  # of a study: StudyFacts
HOLDER = "automl-cv:v2:holder"  # of a run's first study: see `store.runs.claim`
TRIAL = "automl-cv:v1:trial"  # of a trial, like all below: the slot, from 0
HISTORY = "automl-cv:v1:history"
STOP_REASON = "automl-cv:v1:stop_reason"  # also in the history; on its own for dashboards
OPTIMIZER = "automl-cv:v1:optimizer"
WORKER = "automl-cv:v1:worker"
LEASE = "automl-cv:v1:lease"
INTERRUPTED = "automl-cv:v1:interrupted"

State = Literal["complete", "pruned", "failed", "running", "interrupted"]
"""complete and pruned trials have a result; a failed one could not be trained; an interrupted
one lost its process, and its slot runs again."""


class Narrowed(BaseModel):
    """The space of a stage that narrows another stage's: what, whence and why.

    Args:
        stage: name of the stage that was narrowed from.
        trials: its trials that the space was derived from, best first.
        space: what is searched instead of that stage's space.
        reasons: one line for each parameter of that stage and of this one: why it has the
            ends or values it has, or why it was dropped.
        remarks: lines that a reader of the results should know.
        best_now: its best trials when a search last looked. Others than `trials` where it
            got more of them after the first trial was drawn from `space`, which then stays.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: str
    trials: tuple[int, ...]
    space: Space
    reasons: dict[str, str]
    remarks: tuple[str, ...] = ()
    best_now: tuple[int, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """The remarks, and a line where the best trials are no longer those it came from."""
        if self.best_now in ((), self.trials):
            return self.remarks
        return (
            *self.remarks,
            f"the best of {self.stage} are now {trials_text(self.best_now)}; the ranges stay "
            "those that the first trials were drawn from, `search --new` narrows anew",
        )


@dataclass(frozen=True)
class StudyFacts:
    """What must be known to read a study's results, stored with each of its stages.

    Args:
        study: the study file as plain data (`StudyFile.as_toml_data`).
        digest: hash of all in it that changes results.
        seed: every random number derives from it.
        versions: version by name: automl-cv, python, optuna, keras, tensorflow, numpy.
        data_source: folder, manifest or built-in name.
        data_fingerprint: hash of the images and their splits.
        class_names: in the order of their indices.
        split_sizes: number of images by split: train, validation, test.
        ledger: what became of each file that was found: `automl_cv.data.ledger.Ledger` as a dict.
        warnings: lines that belong above the leaderboard.
        reference: a classifier that nothing was searched for, on the same features and
            split: label, accuracy, val_accuracy, loss, val_loss, seconds.
        notes: lines that belong below the leaderboard.
        narrowed: the space that each stage with `narrow_from` searches, by stage.
        finalists: the trials that each stage with `retrain` ever trained again, in the order
            of its slots, as "stage/trial", by stage.
        contenders: those of them that count now, best first, by stage: others were the best
            only until a stage above went on.
        courses: how far each stage came, by stage; also of those that were not begun.
        started: when the stage began, UTC. Optuna's own times are naive and local.
    """

    study: Mapping[str, Any]
    digest: str = ""
    seed: int = 0
    versions: Mapping[str, str] = field(default_factory=dict)
    data_source: str = ""
    data_fingerprint: str = ""
    class_names: tuple[str, ...] = ()
    split_sizes: Mapping[str, int] = field(default_factory=dict)
    ledger: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    reference: Mapping[str, Any] | None = None
    notes: tuple[str, ...] = ()
    narrowed: Mapping[str, Narrowed] = field(default_factory=dict)
    finalists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    contenders: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    courses: Mapping[str, Course] = field(default_factory=dict)
    started: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def backbone(self) -> str:
        """Name of the frozen network."""
        return str(self.study.get("backbone", {}).get("name", ""))

    @property
    def networks(self) -> dict[str, str]:
        """Names of the networks that stages train from scratch, by stage."""
        stages = self.study.get("stage", ())
        return {stage["name"]: stage["network"]["name"] for stage in stages if stage.get("network")}

    @property
    def n_validation(self) -> int | None:
        """Number of validation images; None where it is not known."""
        return self.split_sizes.get("validation")

    @property
    def metric(self) -> MetricEntry:
        """What trials are ranked by."""
        return METRICS[self.study.get("metric", ACCURACY)]

    def counts(self, record: TrialRecord) -> bool:
        """Tell whether a trial counts: not one that was trained again and is outdone since."""
        contenders = self.contenders.get(record.stage)
        source = record.parameters.get("source")
        return contenders is None or source is None or source in contenders

    def to_json(self) -> dict[str, Any]:
        """Return the facts as plain dicts, lists and strings."""
        narrowed = {name: one.model_dump(mode="json") for name, one in self.narrowed.items()}
        return {**asdict(self), "narrowed": narrowed, "started": self.started.isoformat()}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> StudyFacts:
        """Return the facts that `to_json` wrote; keys of a newer automl-cv are left out."""
        known = {field.name for field in fields(cls)}
        values = {name: value for name, value in stored.items() if name in known}
        for name in ("class_names", "warnings", "notes"):
            values[name] = tuple(values.get(name, ()))
        for key in ("finalists", "contenders"):
            values[key] = {name: tuple(chosen) for name, chosen in values.get(key, {}).items()}
        values["courses"] = {
            name: Course(**{**course, "redrawn": tuple(course["redrawn"])})
            for name, course in values.get("courses", {}).items()
        }
        values["narrowed"] = {
            name: Narrowed.model_validate(one) for name, one in values.get("narrowed", {}).items()
        }
        return cls(**{**values, "started": datetime.fromisoformat(values["started"])})


@dataclass(frozen=True)
class TrialRecord:
    """One slot of a stage: the parameters, and what came of them.

    Args:
        run: name of the run: "quickstart", or "quickstart@2" for a second one.
        stage: name of the stage.
        trial: the slot, from 0; the same after a resume.
        state: see `State`.
        parameters: drawn values by name.
        history: epochs, stop reason, seconds.
        optimizer_config: the optimizer's whole configuration, Keras's defaults included.
        worker: what is known of the process that ran the trial.
        system_attributes: what a sampler keeps with its trials; empty where not read.
        number: Optuna's own number; None before the record is stored.
    """

    run: str
    stage: str
    trial: int
    state: State
    parameters: Mapping[str, Any]
    history: History = field(default_factory=History)
    optimizer_config: Mapping[str, Any] = field(default_factory=dict)
    worker: Mapping[str, Any] = field(default_factory=dict)
    system_attributes: Mapping[str, Any] = field(default_factory=dict)
    number: int | None = None

    @cached_property
    def best(self) -> Epoch | None:
        """The history's best epoch, looked for once."""
        return self.history.best

    @property
    def value(self) -> float | None:
        """Merit of the best epoch; None where no epoch has finite losses."""
        return None if self.best is None else self.best.merit

    @property
    def is_ranked(self) -> bool:
        """Whether the trial has a result that a leaderboard can show."""
        return self.state in ("complete", "pruned") and self.value is not None

    @property
    def is_done(self) -> bool:
        """Whether a trial need not run again: it has a result, or diverged and always will.

        A trial that broke (out of memory, a killed process) gets another chance with the
        next search, since its cause may be gone.
        """
        return self.state in ("complete", "pruned") or self.history.stop_reason == "diverged"

    @property
    def reason(self) -> str:
        """Say in one line why a trial has no result, or not yet."""
        match self.state:
            case "failed":
                return self.history.error or self.history.stop_reason or "no reason was recorded"
            case "interrupted":
                return "its process ended; the next search runs it again"
            case "running":
                return "runs now"
        return "" if self.is_ranked else "no epoch with finite losses"


def history_to_json(history: History) -> dict[str, Any]:
    """Return a history as strict JSON: the losses of a diverged epoch become null."""
    stored = history.to_json()
    stored["epochs"] = {
        name: [value if math.isfinite(value) else None for value in column]
        for name, column in stored["epochs"].items()
    }
    return stored


def history_from_json(stored: Mapping[str, Any]) -> History:
    """Return the history that `history_to_json` wrote; null becomes NaN."""
    columns = {
        name: [math.nan if value is None else value for value in column]
        for name, column in stored["epochs"].items()
    }
    return History.from_json({**stored, "epochs": columns})


def one_per_slot(records: list[TrialRecord]) -> list[TrialRecord]:
    """Return one record a slot, ordered by slot: what finished counts before what did not.

    Args:
        records: trials of one stage in the order in which they were begun.
    """
    weight = {"complete": 3, "pruned": 3, "running": 2, "failed": 1, "interrupted": 0}
    chosen: dict[int, TrialRecord] = {}
    for record in records:
        other = chosen.get(record.trial)
        if other is None or weight[record.state] >= weight[other.state]:
            chosen[record.trial] = record
    return [chosen[slot] for slot in sorted(chosen)]


def merged(facts: list[StudyFacts]) -> StudyFacts:
    """Return the facts of several stages of one run as one: the last one's, every line kept."""
    return replace(
        facts[-1],
        warnings=_unique([line for one in facts for line in one.warnings]),
        notes=_unique([line for one in facts for line in one.notes]),
        narrowed={name: narrowed for one in facts for name, narrowed in one.narrowed.items()},
        finalists={name: chosen for one in facts for name, chosen in one.finalists.items()},
        contenders={name: chosen for one in facts for name, chosen in one.contenders.items()},
        courses=_courses(facts),
        reference=next((one.reference for one in reversed(facts) if one.reference), None),
        started=min(one.started for one in facts),
    )


def _courses(facts: list[StudyFacts]) -> dict[str, Course]:
    """Join the courses; what a stage says of itself counts before what others noted of it."""
    found: dict[str, Course] = {}
    for one in facts:
        for name, course in one.courses.items():
            if name not in found or course.is_begun:
                found[name] = course
    return found


def _unique(lines: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(lines))
