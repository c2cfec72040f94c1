"""Which of the trials that were trained again is the winner of a run, and by which figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import mean

from automl_cv.catalog.metrics import MetricEntry
from automl_cv.results.comparison import Finalist, Retrained
from automl_cv.words import counted


@dataclass(frozen=True)
class Decision:
    """Two stages whose firsts met.

    Args:
        taken: the stage that went on.
        other: the stage that did not.
        repeats: the repeats that both have, which were compared; none where they have no seed
            and no fold in common, and the means of all their own were.
    """

    taken: Retrained
    other: Retrained
    repeats: tuple[int, ...]


@dataclass(frozen=True)
class WinningStage:
    """The stage whose first finalist is the winner.

    Args:
        stage: the stage.
        decisions: how it came to it, in order; empty where one stage alone trained again.
    """

    stage: Retrained
    decisions: tuple[Decision, ...]

    @property
    def winner(self) -> Finalist:
        """The trial, as that stage trained it."""
        return self.stage.finalists[0]


def choose_stage(stages: Sequence[Retrained]) -> WinningStage:
    """Return which of the stages that train again has the winner: its first finalist.

    The firsts of the stages meet one after another, those of the most repeats first (of as
    many, in the order of the stages), and the better one goes on. Two are compared by their
    means over the repeats that both have, so that the one lucky seed of a stage never meets
    another's mean of five. That holds for two different trials as well: repeat 0 is the
    search's own seed of each, by which it was chosen, and flatters a stage that trains it just
    as the search did. Stages over seeds and over folds, or over other folds, have no repeat in
    common and are compared by their means. Of equal means the lower mean loss decides, then
    the later stage.

    Of three stages with unlike repeats each may beat the next one; beginning with the most
    repeats, what few of them say never decides between two stages that have many.

    Args:
        stages: in their order, each with a finalist; at least one.
    """
    positions = {again.stage: position for position, again in enumerate(stages)}
    best, *others = sorted(stages, key=lambda again: -len(again.finalists[0].values))
    decisions = []
    for again in others:
        repeats = _common(best, again)
        best, worse = sorted(
            (best, again),
            key=lambda one: (*_figures(one, repeats), positions[one.stage]),
            reverse=True,
        )
        decisions.append(Decision(best, worse, repeats))
    return WinningStage(best, tuple(decisions))


def choice_text(choice: WinningStage, metric: MetricEntry) -> str:
    """Say in one line why the winner is that, and over how many repeats each figure is.

    Args:
        choice: what was chosen.
        metric: what trials are ranked by.
    """
    again = choice.stage
    text = f"the one trained again in stage {again.stage}"
    if len(again.finalists) > 1:
        text = (
            f"the first of {len(again.finalists)} by the mean validation {metric.about} over "
            f"{repeats_text(again, choice.winner)} in stage {again.stage}"
        )
    if not choice.decisions:
        return text
    runs = groupby(choice.decisions, key=lambda one: (one.taken.stage, one.repeats))
    met = "; then ".join(_decisions_text(list(decisions), metric) for _, decisions in runs)
    return f"{text}; stage against stage by mean validation {metric.about}: {met}"


def repeats_text(again: Retrained, one: Finalist) -> str:
    """Return what a finalist's mean is over: "5 seeds", "1 fold"."""
    return counted(len(one.values), "fold" if again.folds else "seed")


def _common(left: Retrained, right: Retrained) -> tuple[int, ...]:
    if left.folds != right.folds:
        return ()
    return tuple(sorted(set(left.finalists[0].values) & set(right.finalists[0].values)))


def _figures(again: Retrained, repeats: Sequence[int]) -> tuple[float, float]:
    """Return mean merit and negative mean loss of a stage's first; over all without repeats."""
    first = again.finalists[0]
    counting = repeats or list(first.values)
    merit = mean(first.values[repeat] for repeat in counting)
    return merit, -mean(first.losses[repeat] for repeat in counting)


def _decisions_text(decisions: Sequence[Decision], metric: MetricEntry) -> str:
    """Return decisions for one stage over the same repeats."""
    taken, repeats = decisions[0].taken, decisions[0].repeats
    own = f"{taken.stage} {metric.score(_figures(taken, repeats)[0]):.4f} over"
    others = ", ".join(_other_text(decision, metric) for decision in decisions)
    if not repeats:
        return f"{own} {repeats_text(taken, taken.finalists[0])}, beside {others}"
    over = counted(len(repeats), "fold" if taken.folds else "seed")
    if repeats == (0,) and not taken.folds:
        over += " (the search's own)"
    return f"{own} {over}, on which {others}"


def _other_text(decision: Decision, metric: MetricEntry) -> str:
    merit, loss = _figures(decision.other, decision.repeats)
    has = "has " if decision.repeats else ""
    text = f"{decision.other.stage} {has}{metric.score(merit):.4f}"
    if not decision.repeats:
        text += f" over {repeats_text(decision.other, decision.other.finalists[0])}"
    own_merit, own_loss = _figures(decision.taken, decision.repeats)
    if merit == own_merit:
        text += " too, and a higher loss" if loss < own_loss else " too, as an earlier stage"
    return text
