"""What the database holds of a trial, as plain data, and the keys of all that it holds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from automl_cv.history import Epoch, History

# Attributes of an Optuna study or trial. The version grows when a value's meaning changes.
# What does not begin so (`store.outcome.plain`) is for other programs, and never read back.
PREFIX = "automl-cv:"
FACTS = "automl-cv:v1:facts"  # of a study: see `store.facts.facts_to_json`
HOLDER = "automl-cv:v2:holder"  # of a run's first study: see `store.claims`
BEAT = "automl-cv:v1:beat"  # beside it
LABELS = "automl-cv:v1:labels"  # of a run's first study: see `store.labels`
TRIAL = "automl-cv:v1:trial"  # of a trial, like all below: the slot, from 0
HISTORY = "automl-cv:v1:history"
STOP_REASON = "automl-cv:v1:stop_reason"  # also in the history; on its own for dashboards
OPTIMIZER = "automl-cv:v1:optimizer"
WORKER = "automl-cv:v1:worker"
LEASE = "automl-cv:v1:lease"
PREDICTIONS = "automl-cv:v1:predictions"  # a system attribute, read on demand alone
INTERRUPTED = "automl-cv:v1:interrupted"
# Of the others, see `store.checksums`; until the trial has finished, of what it began with.
CHECKSUMS = "automl-cv:v1:checksums"

DAMAGED = "its record in the database is damaged; the next search trains it again"
"""Why a trial has no result whose record is not what was stored."""

MEMBERS = "members"
"""The parameter of a trial that combines others: "exact/3 + coarse/2"."""

State = Literal["complete", "pruned", "failed", "running", "interrupted"]
"""complete and pruned trials have a result; a failed one could not be trained; an interrupted
one lost its process, and its slot runs again."""


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
        said: checksum of what it said of the images, as stored; None where it kept nothing, or
            an older automl-cv stored it.
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
    said: int | None = None

    @property
    def name(self) -> str:
        """Stage and slot, as a report shows them: "exact/3"."""
        return f"{self.stage}/{self.trial}"

    @cached_property
    def best(self) -> Epoch | None:
        """The history's best epoch, looked for once."""
        return self.history.best

    @property
    def found(self) -> dict[str, float]:
        """What training found of an exact head, where no parameter says it: its penalty."""
        own = (name for name in ("penalty", "shrinkage") if not self.parameters.get(name))
        return {name: self.optimizer_config[name] for name in own if name in self.optimizer_config}

    @property
    def weights(self) -> dict[str, float]:
        """What each member of a combination counts, by its name; empty of other trials."""
        if MEMBERS not in self.parameters:
            return {}
        weights: dict[str, float] = self.optimizer_config.get("weights", {})
        return weights

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
                return self.history.error or "its process ended; the next search runs it again"
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
