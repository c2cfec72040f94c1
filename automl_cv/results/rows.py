"""The rows of a leaderboard: a trial each, and one for all repeats of a trial trained again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import mean, median_high

from automl_cv.history import Epoch, History
from automl_cv.results.comparison import REPEAT, SOURCE, Retrained, compare
from automl_cv.results.intervals import differs
from automl_cv.results.ranking import best_of, in_order
from automl_cv.results.winning_stage import choose_stage
from automl_cv.scoring import wilson
from automl_cv.store.facts import StudyFacts
from automl_cv.store.records import TrialRecord


@dataclass(frozen=True)
class Row:
    """One row.

    Args:
        record: the trial. Of one that was trained again: its first repeat, without the
            parameter `repeat`; its one epoch has the means over the repeats at their best epochs,
            and its seconds are those of all.
        figures: its best epoch, or these means.
        n_epochs: epochs that were run; of repeats the middle one.
        n_images: different images behind `figures`; None where it is not known.
        repeats: how many trainings the figures are means of.
        folds: number of folds that the repeats stand for; None for seeds.
        is_winner: whether it is of the trial that `fit` takes, among those trained again.
    """

    record: TrialRecord
    figures: Epoch
    n_epochs: int
    n_images: int | None
    repeats: int = 1
    folds: int | None = None
    is_winner: bool = False

    @property
    def interval(self) -> tuple[float | None, float | None]:
        """Wilson's 95 % interval of the validation accuracy, over images; of repeats the mean's.

        All rows have the same kind: what an interval over seeds leaves out, other images, is
        most of what is not known.
        """
        return wilson(self.figures.val_accuracy, self.n_images) if self.n_images else (None, None)


def rows_of(
    ranked: Sequence[TrialRecord], repeated: Sequence[TrialRecord], facts: StudyFacts
) -> list[Row]:
    """Return the rows of a leaderboard in its order.

    Without trials that were trained again that is the order of `ranked`. With them the winner is
    first, as `choose_stage` names it: what `fit` takes, and the report says, is then row 1. All
    others follow by their figures, the means among them.

    Args:
        ranked: trials with a result, best first.
        repeated: trials that were trained again, in the order of their stages.
        facts: of the study.
    """
    rows = [_of_trial(record, facts) for record in ranked]
    stages = compare(repeated, facts).stages
    if not stages:
        return rows
    choice = choose_stage(stages)
    winner = (choice.stage.stage, choice.winner.source)
    rows += [
        _of_repeats(stage, source, own, facts, is_winner=(stage.stage, source) == winner)
        for stage in stages
        for source, own in _by_source(stage, repeated).items()
    ]
    of = {id(row.record): row for row in rows}
    ordered = [of[id(record)] for record in in_order((row.record for row in rows), facts)]
    return sorted(ordered, key=lambda row: not row.is_winner)


def ties(rows: Sequence[Row], facts: StudyFacts) -> list[bool | None]:
    """Tell of each row whether chance explains its distance to the first; None if not known.

    Rows of unlike images are not compared: a mean over folds is of all that are no test images.
    """
    metric = facts.metric
    if not rows or not rows[0].n_images or not metric.is_share_of_images:
        return [None for _ in rows]
    n_images = rows[0].n_images
    values = [metric.score(row.figures.merit) for row in rows]
    return [
        not differs(max(values[0], value), min(values[0], value), n_images)
        if row.n_images == n_images
        else None
        for row, value in zip(rows, values, strict=True)
    ]


def _of_trial(record: TrialRecord, facts: StudyFacts) -> Row:
    return Row(record, best_of(record), len(record.history.epochs), facts.n_validation)


def _by_source(stage: Retrained, repeated: Sequence[TrialRecord]) -> dict[str, list[TrialRecord]]:
    own = [record for record in repeated if record.stage == stage.stage and record.is_ranked]
    return {
        one.source: [record for record in own if record.parameters[SOURCE] == one.source]
        for one in stage.finalists
    }


def _of_repeats(
    stage: Retrained, source: str, own: Sequence[TrialRecord], facts: StudyFacts, *, is_winner: bool
) -> Row:
    best = [best_of(record) for record in own]
    scores = [epoch.score for epoch in best if epoch.score is not None]
    figures = Epoch(
        epoch=median_high(epoch.epoch for epoch in best),
        accuracy=mean(epoch.accuracy for epoch in best),
        val_accuracy=mean(epoch.val_accuracy for epoch in best),
        loss=mean(epoch.loss for epoch in best),
        val_loss=mean(epoch.val_loss for epoch in best),
        learning_rate=best[0].learning_rate,
        seconds=mean(epoch.seconds for epoch in best),
        score=mean(scores) if scores else None,
    )
    reasons = {record.history.stop_reason for record in own}
    history = History(
        (figures,),
        reasons.pop() if len(reasons) == 1 else None,
        seconds=sum(record.history.seconds for record in own),
    )
    parameters = {name: one for name, one in own[0].parameters.items() if name != REPEAT}
    n_images = facts.n_validation
    if stage.folds:  # each image that is no test image validates once, if all folds are there
        n_images = facts.n_known if len(own) == stage.folds else None
    return Row(
        record=replace(own[0], parameters=parameters, history=history),
        figures=figures,
        n_epochs=median_high(len(record.history.epochs) for record in own),
        n_images=n_images or None,
        repeats=len(own),
        folds=stage.folds,
        is_winner=is_winner,
    )
