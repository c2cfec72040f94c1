"""Trials as DataFrames: the leaderboard, the trials without a result, and every epoch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import pandas as pd
from optuna.storages import RDBStorage

from automl_cv.history import Epoch
from automl_cv.results.comparison import SOURCE
from automl_cv.results.ranking import in_order
from automl_cv.results.rows import Row, rows_of, ties
from automl_cv.results.said import Key, Right, right_of
from automl_cv.store.database import open_storage
from automl_cv.store.facts import RunFacts, StudyFacts
from automl_cv.store.progress import outdone_lines, progress_lines
from automl_cv.store.reading import read_records
from automl_cv.store.records import TrialRecord
from automl_cv.store.runs import StudyRun, find_run

# Parameters that every leaderboard has, in this order; others follow as they are met.
_PARAMETERS = {
    "batch_size": "Int64",
    "optimizer": "str",
    "learning_rate": "float64",
    "momentum": "float64",
}


@dataclass(frozen=True)
class RunTrials:
    """All that a database holds of one run.

    Args:
        run: the run.
        facts: facts of its stages as one.
        ranked: trials with a result, best first.
        unranked: trials that failed, were interrupted or run now; by stage and slot.
        repeated: trials that were trained again over seeds or folds. Among all stages they are
            not ranked: the luckiest of many repeats would come first, and folds have other
            validation images. Of one stage asked for by name they are.
        screened: trials with a result that saw a sample of the images; by stage and slot. Among all
            stages they are not ranked, as others were measured on other images. Of one stage asked
            for by name they are.
        storage: the database; None where there is none to ask again.
        is_whole: whether these are all stages of the run.
    """

    run: StudyRun
    facts: RunFacts
    ranked: tuple[TrialRecord, ...]
    unranked: tuple[TrialRecord, ...]
    repeated: tuple[TrialRecord, ...] = ()
    screened: tuple[TrialRecord, ...] = ()
    storage: RDBStorage | None = None
    is_whole: bool = True

    @cached_property
    def rows(self) -> list[Row]:
        """The rows of the leaderboard: trials, and in a whole run those trained again, one each."""
        return rows_of(self.ranked, self.repeated if self.is_whole else (), self.facts)

    @cached_property
    def right(self) -> Mapping[Key, Right]:
        """Which images retrained trials classified right, of those that kept what they said.

        Of those alone that no other of their stage repeats: repeats are compared with one
        another. It is read when it is asked for, since most readers never do.
        """
        if self.storage is None:
            return {}
        return right_of(self.storage, self.run, _alone(self.repeated))


def read_run(
    storage: str | RDBStorage, study: str | None = None, stage: str | None = None
) -> RunTrials:
    """Read one run, or one stage of it.

    The order is that of `results.ranking`: validation accuracy at the best epoch, highest first;
    then the validation loss there, lowest first; then stage and slot.

    Args:
        storage: the database, or its address.
        study: see `automl_cv.store.runs.find_run`.
        stage: name of one stage; None for all.

    Raises:
        UserError: no such database, study or stage.
    """
    if isinstance(storage, str):
        storage = open_storage(storage, create=False)
    run = find_run(storage, study)
    positions = range(len(run.stages)) if stage is None else [run.position(stage)]
    records = [
        record
        for position in positions
        for record in read_records(storage, run.study_ids[position], run.name, run.stages[position])
        if run.stage_facts[position].counts(record)
    ]
    repeated = [record for record in records if record.is_ranked and SOURCE in record.parameters]
    facts = run.joined_facts(positions)
    screened = [one for one in records if one.is_ranked and one.stage in facts.samples]
    if stage is not None and stage in facts.samples:
        facts = replace(facts, split_sizes=facts.samples[stage], reference=None)
    apart = {one.name for one in (*repeated, *screened)} if stage is None else set()
    ranked = in_order((one for one in records if one.is_ranked and one.name not in apart), facts)
    done = Counter(record.stage for record in records if record.is_done)
    progress = {
        name: one
        for name, one in facts.progress.items()
        # One that was begun since it was noted says itself how far it came.
        if one.is_begun or (stage is None and name not in run.stages)
    }
    lines = progress_lines(progress, done) + outdone_lines(facts.finalists, facts.contenders)
    return RunTrials(
        run=run,
        facts=replace(facts, notes=(*lines, *facts.notes)),
        ranked=tuple(ranked),
        unranked=tuple(record for record in records if not record.is_ranked),
        repeated=tuple(repeated),
        screened=tuple(screened),
        storage=storage,
        is_whole=stage is None,
    )


def _alone(repeated: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Return trials that no other of their stage repeats."""
    counts = Counter((record.stage, record.parameters[SOURCE]) for record in repeated)
    return [one for one in repeated if counts[one.stage, one.parameters[SOURCE]] == 1]


def leaderboard(
    storage: str | RDBStorage,
    study: str | None = None,
    stage: str | None = None,
    *,
    retrained: bool = True,
) -> pd.DataFrame:
    """Return the trials that have a result, the winner first.

    Example:
        >>> import automl_cv
        >>> board = automl_cv.leaderboard("sqlite:///automl-cv.db", "quickstart")
        >>> best = board.iloc[0]

    Args:
        storage: the database, or its address.
        study: "quickstart" for its latest run, "quickstart@1" for its first; None for the
            run that changed last.
        stage: name of one stage; None for all.
        retrained: whether trials that were trained again over seeds or folds have a row, one for
            all repeats: means at their best epochs, seconds of all. The one that `fit` takes is
            then first. A stage that trains again, asked for by name, has a row a repeat instead.

    Returns:
        One row a trial. rank; stage, trial (the slot; of repeats the first), model; repeats (1 of
        a trial that was trained once); a column for each parameter, missing where a trial has
        none, and `source`, the trial that a row repeats; epochs (run), best_epoch, of repeats the
        middle one; at the best epoch accuracy, the study's metric under its name where it is not
        accuracy, val_accuracy, its 95 % interval val_accuracy_low and _high (Wilson), loss,
        val_loss; tied_with_first: whether its val_accuracy can't be told from the first one's
        (`automl_cv.results.intervals.differs`), missing where trials are ranked by another metric
        and where other images validated; stop_reason; seconds; state.

    Raises:
        UserError: no such database, study or stage.
    """
    return ranked_frame(read_run(storage, study, stage), retrained=retrained)


def unfinished(
    storage: str | RDBStorage, study: str | None = None, stage: str | None = None
) -> pd.DataFrame:
    """Return the trials that have no result: failed, interrupted or still running.

    Args:
        storage: the database, or its address.
        study: as for `leaderboard`.
        stage: as for `leaderboard`.

    Returns:
        One row a trial: stage, trial, state, model, parameters, epochs, val_accuracy (best so
        far), seconds, reason.

    Raises:
        UserError: no such database, study or stage.
    """
    return unranked_frame(read_run(storage, study, stage))


def epochs(
    storage: str | RDBStorage,
    study: str | None = None,
    trial: int | None = None,
    stage: str | None = None,
) -> pd.DataFrame:
    """Return every epoch of every trial, finished or not.

    Args:
        storage: the database, or its address.
        study: as for `leaderboard`.
        trial: one slot; None for all.
        stage: as for `leaderboard`.

    Returns:
        One row an epoch: stage, trial, state, epoch (from 1), accuracy, val_accuracy, loss,
        val_loss, learning_rate, seconds, the study's metric where it is not accuracy; by stage,
        trial and epoch.

    Raises:
        UserError: no such database, study or stage.
    """
    return epochs_frame(read_run(storage, study, stage), trial)


def epochs_frame(read: RunTrials, trial: int | None = None) -> pd.DataFrame:
    """Return every epoch of every trial of a run; see `epochs`."""
    order = {name: position for position, name in enumerate(read.run.stages)}
    every = (*read.ranked, *read.unranked, *read.repeated)
    records = sorted(
        {
            (record.stage, record.trial): record
            for record in every
            if trial is None or record.trial == trial
        }.values(),
        key=lambda record: (order[record.stage], record.trial),
    )
    rows = [(record, epoch) for record in records for epoch in record.history.epochs]

    def of_epoch(name: str, dtype: str = "float64") -> pd.Series[Any]:
        return _series((getattr(epoch, name) for _, epoch in rows), dtype)

    return pd.DataFrame(
        {
            "stage": _series((record.stage for record, _ in rows), "str"),
            "trial": _series((record.trial for record, _ in rows), "Int64"),
            "state": _series((record.state for record, _ in rows), "str"),
            "epoch": of_epoch("epoch", "Int64"),
            **{
                name: of_epoch(name)
                for name in Epoch.__dataclass_fields__
                if name not in ("epoch", "score")
            },
            **_metric_column(read.facts, [epoch for _, epoch in rows]),
        }
    )


def ranked_frame(read: RunTrials, *, retrained: bool = True) -> pd.DataFrame:
    """Return the leaderboard of a run; see `leaderboard`."""
    rows = read.rows if retrained else rows_of(read.ranked, (), read.facts)
    records = [row.record for row in rows]
    best = [row.figures for row in rows]
    intervals = [row.interval for row in rows]
    return pd.DataFrame(
        {
            "rank": _series(range(1, len(rows) + 1), "Int64"),
            **_identity(read, records),
            "repeats": _series((row.repeats for row in rows), "Int64"),
            **_parameters(records),
            "epochs": _series((row.n_epochs for row in rows), "Int64"),
            "best_epoch": _series((epoch.epoch for epoch in best), "Int64"),
            "accuracy": _series((epoch.accuracy for epoch in best), "float64"),
            **_metric_column(read.facts, best),
            "val_accuracy": _series((epoch.val_accuracy for epoch in best), "float64"),
            "val_accuracy_low": _series((low for low, _ in intervals), "float64"),
            "val_accuracy_high": _series((high for _, high in intervals), "float64"),
            "loss": _series((epoch.loss for epoch in best), "float64"),
            "val_loss": _series((epoch.val_loss for epoch in best), "float64"),
            "tied_with_first": _series(ties(rows, read.facts), "boolean"),
            "stop_reason": _series((record.history.stop_reason for record in records), "str"),
            "seconds": _series((record.history.seconds for record in records), "float64"),
            "state": _series((record.state for record in records), "str"),
        }
    )


def unranked_frame(read: RunTrials) -> pd.DataFrame:
    """Return the trials of a run that have no result; see `unfinished`."""
    records = read.unranked
    return pd.DataFrame(
        {
            **_identity(read, records),
            "state": _series((record.state for record in records), "str"),
            **_parameters(records),
            "epochs": _series((len(record.history.epochs) for record in records), "Int64"),
            "val_accuracy": _series(
                (record.best and record.best.val_accuracy for record in records), "float64"
            ),
            "seconds": _series((record.history.seconds for record in records), "float64"),
            "reason": _series((record.reason for record in records), "str"),
        }
    )


def _metric_column(facts: StudyFacts, epochs: Sequence[Epoch]) -> dict[str, pd.Series[Any]]:
    """Return the metric of epochs, under its name; nothing where it is accuracy."""
    metric = facts.metric
    if not metric.has_own_column:
        return {}
    values = (None if one.score is None else metric.score(one.score) for one in epochs)
    return {metric.name: _series(values, "float64")}


def _identity(read: RunTrials, records: Sequence[TrialRecord]) -> dict[str, pd.Series[Any]]:
    return {
        "stage": _series((record.stage for record in records), "str"),
        "trial": _series((record.trial for record in records), "Int64"),
        "model": _series((_model(read, record) for record in records), "str"),
    }


def _model(read: RunTrials, record: TrialRecord) -> str:
    """Return the name of the network that is trained, or that a head's features come from."""
    declared = read.facts.networks.get(record.stage)
    if declared is not None:
        return str(record.parameters.get("network", declared))
    # A combination has that of its members.
    found = record.optimizer_config.get("backbone", read.facts.backbone)
    return str(record.parameters.get("backbone", found))


def _parameters(records: Sequence[TrialRecord]) -> dict[str, pd.Series[Any]]:
    """Return a typed column for each parameter that any of the trials has, or found."""
    values_of = [{**record.parameters, **record.found} for record in records]
    names = dict.fromkeys([*_PARAMETERS, *(name for own in values_of for name in own)])
    for name in ("backbone", "network"):
        names.pop(name, None)  # stands as the model
    columns = {}
    for name in names:
        values = [own.get(name) for own in values_of]
        dtype = _PARAMETERS.get(name) or _dtype(values)
        as_text: Callable[[Any], Any] = str if dtype == "str" else lambda value: value
        columns[name] = _series(
            (None if value is None else as_text(value) for value in values), dtype
        )
    return columns


def _dtype(values: Iterable[Any]) -> str:
    """Return the narrowest type that holds all values; pandas itself would say "object"."""
    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return "boolean"
    if kinds == {int}:
        return "Int64"
    return "float64" if kinds and kinds <= {int, float} else "str"


def _series(values: Iterable[Any], dtype: str) -> pd.Series[Any]:
    return pd.Series(list(values), dtype=dtype)
