"""Which trial of a run is fitted, and how sure the search was of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, median_high
from typing import Any

from automl_cv.errors import AutomlError, UserError
from automl_cv.history import Epoch
from automl_cv.results.comparison import REPEAT, SOURCE, Finalist, Retrained, compare
from automl_cv.results.corrected import corrected, overtuning_text
from automl_cv.results.leaderboard import RunTrials, read_run
from automl_cv.results.ranking import in_order, least_share, reference_record
from automl_cv.results.repeats import Interval, in_own_units, interval
from automl_cv.results.winning_stage import choice_text, choose_stage, repeats_text
from automl_cv.saved.facts import CorrectedFigures, Metric, Validation, WinnerFacts
from automl_cv.scoring import wilson
from automl_cv.store.records import TrialRecord
from automl_cv.study import reference
from automl_cv.words import counted


@dataclass(frozen=True)
class Winner:
    """A trial to be fitted.

    Args:
        facts: what a model's manifest keeps of it.
        records: the trial itself, or its repeats over seeds or folds.
        searched: stage and number of the searched trial, whose seeds it has.
    """

    facts: WinnerFacts
    records: tuple[TrialRecord, ...]
    searched: tuple[str, int]

    @property
    def replay(self) -> tuple[Epoch, ...]:
        """The epochs to go by: of the repeat with the median best epoch, up to that one."""
        best = median_high([_best(record).epoch for record in self.records])
        record = next(one for one in self.records if _best(one).epoch == best)
        return record.history.epochs[:best]

    @property
    def slot(self) -> str:
        """What `--trial` takes to choose it again."""
        if self.facts.stage == reference.NAME:
            return reference.NAME
        return f"{self.facts.stage}/{self.records[0].trial}"


def choose(storage: str, study: str, trial: str | None = None) -> tuple[RunTrials, Winner]:
    """Return a run and the trial of it that is to be fitted.

    Where stages trained trials again, `choose_stage` decides between
    them; otherwise the leaderboard does.

    Args:
        storage: address of the database.
        study: see `automl_cv.store.runs.find_run`.
        trial: "stage/number" for another trial, "reference" for the reference.

    Raises:
        UserError: there is no such run or trial, or the trial has no result.
        AutomlError: no trial has a result.
    """
    read = read_run(storage, study)
    if trial is not None:
        return read, _named(storage, read, trial)
    if read.repeated:
        choice = choose_stage(compare(read.repeated, read.facts).stages)
        why = choice_text(choice, read.facts.metric)
        return read, _repeated(read, choice.stage, choice.winner, why)
    if not read.ranked:
        of = " on all images" if read.screened else ""
        raise AutomlError(
            f"{read.run.name} has no trial with a result{of}; `automl-cv report {read.run.name}` "
            "says why"
        )
    name = read.facts.metric.about
    floor = reference_record(read.facts, read.run.name)
    first, *_ = in_order([*read.ranked, *([floor] if floor else [])], read.facts)
    why = f"the first of {len(read.ranked)} trials by validation {name} at their best epochs"
    if least_share(list(read.ranked), read.facts) is not None:
        among = "" if floor is None else " and the reference"
        why = (
            f"of {len(read.ranked)} trials{among}, of those within one standard error of the "
            f"highest {name} the one of lowest log loss, out of folds"
        )
    return read, _single(storage, read, first, why)


def _named(storage: str, read: RunTrials, trial: str) -> Winner:
    if trial == reference.NAME:
        floor = reference_record(read.facts, read.run.name)
        if floor is None:
            raise UserError(
                f"--trial {trial}: it can be fitted where folds validate and trials are ranked by "
                'accuracy or log loss; set validation = "folds" in the study and search again'
            )
        return _single(storage, read, floor, "chosen by hand")
    stage, slash, number = trial.rpartition("/")
    if not slash or not number.isdecimal():
        raise UserError(f"--trial {trial}: expected STAGE/NUMBER, as `automl-cv report` shows it")
    of_stage = read_run(storage, f"{read.run.study}@{read.run.number}", stage)
    if of_stage.screened:
        raise UserError(
            f"--trial {trial}: stage {stage} saw a sample of {of_stage.facts.n_known:,} images, so "
            "that nobody knows what its trials are worth on all; name a trial of another stage"
        )
    for record in of_stage.ranked:
        if record.trial == int(number):
            if SOURCE not in record.parameters:
                return _single(storage, read, record, "chosen by hand")
            (again,) = compare(of_stage.repeated, read.facts).stages
            (one,) = (one for one in again.finalists if one.source == record.parameters[SOURCE])
            why = f"chosen by hand, as stage {stage} trained it again"
            return _repeated(of_stage, again, one, why)
    reasons = [one.reason for one in of_stage.unranked if one.trial == int(number)]
    why = f"it has no result: {reasons[0]}" if reasons else "there is none of that number"
    raise UserError(f"--trial {trial}: {why}; `automl-cv report` lists those there are")


def _single(storage: str, read: RunTrials, record: TrialRecord, why: str) -> Winner:
    epoch = _best(record)
    low, high, over = _of_images(read, epoch.val_accuracy)
    validation = Validation(
        accuracy=epoch.val_accuracy,
        low=low,
        high=high,
        loss=epoch.val_loss,
        over=over,
        metric=_metric(read, interval([epoch.merit]), over),
        classes=len(read.facts.class_names) or None,
        corrected=_corrected(storage, read, record),
    )
    return _winner(read, [record], why, record.name, validation)


def _corrected(storage: str, read: RunTrials, record: TrialRecord) -> CorrectedFigures | None:
    """Return the figures of the leaderboard's first, corrected for the choice; None of others.

    Whoever names that trial by hand gets what the search chose, too.
    """
    first = read.ranked[0] if read.ranked else None
    if first is None or (first.stage, first.trial) != (record.stage, record.trial):
        return None
    found = corrected(storage, read)
    if found is None:
        return None
    return CorrectedFigures(
        value=found.figure.value,
        low=found.figure.low,
        high=found.figure.high,
        loss=found.log_loss.value,
        loss_low=found.log_loss.low,
        loss_high=found.log_loss.high,
        trials=found.trials,
        note=overtuning_text(found),
    )


def _repeated(read: RunTrials, again: Retrained, one: Finalist, why: str) -> Winner:
    """Return a trial with all its repeats in a stage."""
    accuracy = mean(one.accuracies.values())
    low, high, over = _of_images(read, accuracy)
    over_images = None
    if not read.facts.metric.has_own_column and math.isfinite(one.merit.low):
        if low is not None and high is not None and not again.folds:
            over_images = low, high
        # Student's t knows no bounds, and a share has some.
        low, high = max(one.merit.low, 0.0), min(one.merit.high, 1.0)
        over = _over(read, again, one)
    validation = Validation(
        accuracy=accuracy,
        low=low,
        high=high,
        loss=one.val_loss,
        over=over,
        metric=_metric(read, one.merit, _over(read, again, one)),
        over_images=over_images,
        classes=len(read.facts.class_names) or None,
    )
    own = [
        record
        for record in read.repeated
        if record.stage == again.stage and record.parameters[SOURCE] == one.source
    ]
    return _winner(read, own, why, one.source, validation)


def _winner(
    read: RunTrials,
    records: Sequence[TrialRecord],
    why: str,
    trial: str,
    validation: Validation,
) -> Winner:
    parameters: dict[str, Any] = {
        name: value for name, value in records[0].parameters.items() if name not in (SOURCE, REPEAT)
    }
    facts = WinnerFacts(
        run=read.run.name,
        stage=records[0].stage,
        trial=trial,
        why=why,
        parameters=parameters,
        validation=validation,
    )
    stage, _, number = trial.rpartition("/")
    return Winner(facts, tuple(records), (stage, int(number)))


def _metric(read: RunTrials, merit: Interval, over: str) -> Metric | None:
    """Return what trials are ordered by, in its own units; None where that is accuracy."""
    entry = read.facts.metric
    if not entry.has_own_column:
        return None
    found = in_own_units(merit, entry)
    low, high = (found.low, found.high) if math.isfinite(found.low) else (None, None)
    return Metric(name=entry.name, value=found.mean, low=low, high=high, over=over)


def _of_images(read: RunTrials, accuracy: float) -> tuple[float | None, float | None, str]:
    n_images = read.facts.n_validation
    if not n_images:
        return None, None, "an unknown number of images"
    return *wilson(accuracy, n_images), f"{n_images:,} images"


def _over(read: RunTrials, again: Retrained, one: Finalist) -> str:
    """Return what a mean is over; seeds all have the same validation images, folds have not."""
    over = repeats_text(again, one)
    if again.folds or not read.facts.n_validation:
        return over
    return f"{over}, the same {counted(read.facts.n_validation, 'validation image')}"


def _best(record: TrialRecord) -> Epoch:
    assert record.best is not None, "only ranked trials come here"
    return record.best
