"""What a leaderboard says of trials that were trained again: the winner, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from automl_cv import words
from automl_cv.catalog.metrics import MetricEntry
from automl_cv.results.comparison import Comparison, Pair, Retrained, compare
from automl_cv.results.leaderboard import RunTrials
from automl_cv.results.repeats import Interval, in_own_units
from automl_cv.results.winning_stage import choice_text, choose_stage
from automl_cv.scoring import overconfidence
from automl_cv.store.facts import StudyFacts
from automl_cv.words import counted


def finalist_lines(read: RunTrials, *, whole: bool = True) -> list[str]:
    """Return what retrained trials say, and who the winner is.

    That is a line for each finalist, one for each trial that two stages trained again over
    several repeats, one for all that they trained again over one, one that names what `fit`
    takes, and one for each first whose probabilities are worth less than a guess.

    Args:
        read: trials of a run.
        whole: all of its stages were read, without which there is no winner.
    """
    facts = read.facts
    found = compare(read.repeated, facts, read.right)
    lines = [line for stage in found.stages for line in _stage_lines(stage, facts)]
    between = [pair for pair in found.pairs if pair.kind == "stages"]
    several = [pair for pair in between if pair.difference.n_repeats > 1]
    lines += [_pair_line(pair, facts.metric) for pair in several]
    lines += _single_lines([pair for pair in between if pair not in several], facts.metric)
    return [*lines, *_winner_lines(read, found, whole)]


def _winner_lines(read: RunTrials, found: Comparison, whole: bool) -> list[str]:
    metric = read.facts.metric
    lines, losses = [], {}
    if read.ranked:
        first = read.ranked[0]
        if first.best is not None:
            losses[first.name] = first.best.val_loss
    if found.stages and whole:
        choice = choose_stage(found.stages)
        name = f"{choice.winner.source} as stage {choice.stage.stage} trained it"
        lines.append(
            f"winner: {name}, {choice_text(choice, metric)}; "
            f"`automl-cv fit {read.run.name} --out DIR` fits it"
        )
        losses[name] = choice.winner.val_loss
    n_classes = len(read.facts.class_names)
    for name, loss in losses.items():
        if n_classes and (told := overconfidence(loss, n_classes, metric.name)) is not None:
            lines.append(f"{name}: its probabilities are {told}")
    return lines


def _stage_lines(stage: Retrained, facts: StudyFacts) -> list[str]:
    kind, metric = "fold" if stage.folds else "seed", facts.metric
    highest = 1.0 if metric.direction == "maximize" else math.inf
    lines = []
    for place, one in enumerate(stage.finalists, start=1):
        mean = in_own_units(one.merit, metric)
        images = ""
        if mean.n_repeats > 1 and facts.n_validation and not stage.folds:
            images = f", the same {counted(facts.n_validation, 'validation image')}"
        ends = _ends(mean, "{:z.4f}".format, highest=highest)
        line = (
            f"stage {stage.stage}: {place}. {one.source}: {metric.heading} {mean.mean:.4f} over "
            f"{counted(mean.n_repeats, kind)}{images}{ends}"
        )
        if one.behind_first is not None:
            line += f", {_verdict(one.behind_first, 'behind the first', f'{kind}s')}"
        elif len(stage.finalists) > 1:
            line += ", the first"
        lines.append(line)
    return lines


def _pair_line(pair: Pair, metric: MetricEntry) -> str:
    where = f"over {counted(pair.difference.n_repeats, f'common {pair.over[:-1]}')}"
    return (
        f"{pair.left.stage} against {pair.right.stage}, {pair.left.source}: "
        f"{_verdict(in_own_units(pair.difference, metric), where, pair.over, signed=True)}"
    )


def _single_lines(pairs: Sequence[Pair], metric: MetricEntry) -> list[str]:
    """Return one line of all differences over one repeat, each stage against the earliest."""
    earliest: dict[tuple[str, str], Pair] = {}
    for pair in pairs:
        earliest.setdefault((pair.left.stage, pair.left.source), pair)
    if not earliest:
        return []
    against: dict[str, list[str]] = {}
    sources = {source for _, source in earliest}
    for (stage, source), pair in earliest.items():
        mean = words.signed(in_own_units(pair.difference, metric).mean)
        text = f"{stage} {mean}" if len(sources) == 1 else f"{stage} {mean} ({source})"
        if pair.over_images is not None:
            text += f" (over images {' to '.join(map(words.signed, pair.over_images))})"
        against.setdefault(pair.right.stage, []).append(text)
    units = " or ".join(sorted({pair.over.removesuffix("s") for pair in earliest.values()}))
    told = "; ".join(f"{', '.join(texts)} against {stage}" for stage, texts in against.items())
    return [f"over one {units}, so chance can't be judged: {told}; more repeats tell"]


def _verdict(difference: Interval, where: str, over: str, *, signed: bool = False) -> str:
    shown = words.signed(difference.mean) if signed else f"{difference.mean:z.4f}"
    told = "can't be told apart" if difference.holds_zero else "a difference"
    if difference.n_repeats < 2:
        told = f"not judged over {over}"
    return f"{shown} {where}{_ends(difference, words.signed)}: {told}"


def _ends(interval: Interval, write: Callable[[float], str], *, highest: float = math.inf) -> str:
    if interval.n_repeats < 2:
        return ""
    return f" (95 %: {write(interval.low)} to {write(min(interval.high, highest))})"
