"""What a search comes to, in three sentences: the winner, what stages gained, what to do now."""

from __future__ import annotations

import math

from automl_cv.catalog.metrics import MetricEntry
from automl_cv.data.ledger import findings_of
from automl_cv.report.columns import TIE
from automl_cv.results.comparison import compare
from automl_cv.results.corrected import CorrectedWinner, overtuning_text
from automl_cv.results.intervals import differs
from automl_cv.results.leaderboard import RunTrials
from automl_cv.results.ranking import is_beaten_by_reference
from automl_cv.results.repeats import Interval, in_own_units
from automl_cv.results.rows import Row, ties
from automl_cv.results.winning_stage import choose_stage, repeats_text
from automl_cv.scoring import wilson
from automl_cv.study import reference
from automl_cv.study.library import shipped
from automl_cv.words import counted, signed

MANY = 0.5  # share of the trials that are tied with the first, from which more won't tell


def verdict_lines(read: RunTrials, winner: CorrectedWinner | None) -> list[str]:
    """Return the verdict, a sentence each; none where no trial has a result.

    Args:
        read: the trials.
        winner: what the first trial is worth, corrected for its choice; None where not known.
    """
    if not read.rows:
        return []
    return [
        line
        for line in (_winner(read, winner), _gained(read, winner), _next(read))
        if line is not None
    ]


def _winner(read: RunTrials, winner: CorrectedWinner | None) -> str:
    first, metric = read.rows[0], read.facts.metric
    if first.is_winner:
        return f"winner: {_retrained(read)}{_tied(read)}"
    called = "winner" if read.is_whole else "first"
    floor = read.facts.reference
    if floor is not None and is_beaten_by_reference(read.ranked, read.facts, read.run.name):
        label = floor.get("label", "not named")
        return (
            f"{called}: {reference.NAME}, {label}: {_accuracy(read, floor['val_accuracy'])}, log "
            f"loss {floor['val_loss']:.4f}; no trial stands before it"
        )
    if winner is not None and winner.name == first.record.name:
        figure = winner.figure
        return (
            f"{called}: {winner.name}, {metric.about} {figure.raw:.4f}; corrected for having been "
            f"chosen from {counted(winner.candidates, 'trial')} {figure.value:.4f} (95 % interval "
            f"{figure.low:.4f} to {figure.high:.4f}){_tied(read)}"
        )
    return (
        f"{called}: {first.record.name}, {_figure(read, first)}, not corrected for having been "
        f"chosen from {counted(len(read.rows), 'trial')}{_tied(read)}"
    )


def _figure(read: RunTrials, row: Row) -> str:
    """Return a row's figure with what is known of its interval over images."""
    metric = read.facts.metric
    if metric.has_own_column:
        return f"{metric.about} {metric.score(row.figures.merit):.4f}"
    return _accuracy(read, row.figures.val_accuracy, row.n_images)


def _accuracy(read: RunTrials, value: float, n_images: int | None = None) -> str:
    n_images = n_images or read.facts.n_validation
    if not n_images:
        return f"accuracy {value:.4f}"
    low, high = wilson(value, n_images)
    return f"accuracy {value:.4f} (95 % interval {low:.4f} to {high:.4f}, {n_images:,} images)"


def _retrained(read: RunTrials) -> str:
    """Return the winner of the trials that were trained again, with both of its intervals."""
    choice = choose_stage(compare(read.repeated, read.facts).stages)
    one = choice.winner
    text = f"{one.source} as stage {choice.stage.stage} trained it, {_figure(read, read.rows[0])}"
    over = repeats_text(choice.stage, one)
    text += f", the mean over {over}" if one.merit.n_repeats > 1 else f", over {over}"
    mean = in_own_units(one.merit, read.facts.metric)
    if math.isfinite(mean.low):
        text += f", over which it is {_ends(mean, read.facts.metric)}"
    return text


def _ends(mean: Interval, metric: MetricEntry) -> str:
    highest = 1.0 if metric.is_share_of_images else math.inf
    return f"{max(mean.low, 0.0):.4f} to {min(mean.high, highest):.4f}"


def n_tied(read: RunTrials) -> int:
    """Return how many rows can't be told from the first, itself left out."""
    return max(sum(tied is True for tied in ties(read.rows, read.facts)) - 1, 0)


def _tied(read: RunTrials) -> str:
    number = n_tied(read)
    if not number:
        return ""
    others = len(read.rows) - 1
    rows = "the other row" if others == 1 else f"{number} of {others} other rows"
    return f"; {rows} can't be told apart from it"


def _gained(read: RunTrials, winner: CorrectedWinner | None) -> str | None:
    """Say how far each stage got above those before it, and the first row above the reference."""
    best: dict[str, Row] = {}
    for row in read.rows:
        known = best.get(row.record.stage)
        if known is None or row.figures.merit > known.figures.merit:
            best[row.record.stage] = row
    order = [name for name in read.run.stages if name in best]
    start = best[order[0]]
    parts = [f"{order[0]} {read.facts.metric.score(start.figures.merit):.4f}"]
    highest = start
    for name in order[1:]:
        parts.append(f"{name} {_difference(read, best[name], highest)}")
        highest = max(highest, best[name], key=lambda row: row.figures.merit)
    text = f"stages: {', '.join(parts)}" if len(parts) > 1 else f"stage {parts[0]}"
    beside = _beside_reference(read)
    if beside is not None:
        text += f"; against the reference {beside}"
    if TIE in text:
        text += f" ({TIE} may be chance)"
    told = None if winner is None else overtuning_text(winner)
    return text if told is None else f"{text}; {told}"


def _difference(read: RunTrials, row: Row, other: Row) -> str:
    metric = read.facts.metric
    values = [metric.score(one.figures.merit) for one in (row, other)]
    text = signed(values[0] - values[1])
    n_images = row.n_images
    if not metric.is_share_of_images or not n_images or n_images != other.n_images:
        return text
    return text if differs(max(values), min(values), n_images) else f"{text} {TIE}"


def _beside_reference(read: RunTrials) -> str | None:
    """Return how far the first row is above the reference; None where they can't be compared."""
    floor, first = read.facts.reference, read.rows[0]
    if floor is None or read.facts.metric.has_own_column or "val_accuracy" not in floor:
        return None
    if first.n_images != read.facts.n_validation:
        return None
    own, other = first.figures.val_accuracy, float(floor["val_accuracy"])
    text = signed(own - other)
    if not first.n_images:
        return text
    return text if differs(max(own, other), min(own, other), first.n_images) else f"{text} {TIE}"


def next_command(read: RunTrials) -> str:
    """Return the command that comes next: a search that goes on, or the fit."""
    study, run = read.run.study, read.run.name
    if read.is_whole and (not read.rows or _is_unfinished(read)) and study in shipped():
        return f"automl-cv search {study}"
    if not read.rows:
        return ""
    trial = "" if read.is_whole else f" --trial {read.rows[0].record.name}"
    return f"automl-cv fit {run}{trial} --out model"


def _is_unfinished(read: RunTrials) -> bool:
    is_cut = any(one.is_cut or not one.is_begun for one in read.facts.progress.values())
    return is_cut or any(one.state == "interrupted" for one in read.unranked)


def _next(read: RunTrials) -> str:
    """Say what to do: mend the images, end the search, or fit, and what more would help."""
    run = read.run.name
    steps = []
    harmful = [one for one in findings_of(read.facts.ledger) if one.harm != "note"]
    if harmful:
        steps.append(
            f"`automl-cv data {read.facts.data_source}` shows what is wrong with the images, which "
            "makes these figures worth less than they seem"
        )
    if read.is_whole and _is_unfinished(read):
        steps.append(f"`automl-cv search {read.run.study}` goes on where the search ended")
    if read.is_whole:
        fit = f"`automl-cv fit {run} --out DIR` fits the winner"
        if read.facts.split_sizes.get("test"):
            fit += ", `automl-cv evaluate DIR` looks at the test images"
    elif read.screened:
        fit = (
            f"a stage that narrows from this one goes on with the best; figures are of a sample of "
            f"{counted(read.facts.n_known, 'image')}, and not beside those of other stages"
        )
    else:
        first = read.rows[0].record
        fit = f"`automl-cv fit {run} --trial {first.name} --out DIR` fits this trial"
    steps.append(fit)
    if n_tied(read) > MANY * (len(read.rows) - 1) > 1:
        steps.append("more images would tell trials apart that more trials won't")
    return f"next: {'; '.join(steps)}"
