"""How much parameters mattered to given trials: Optuna's evaluators, and a bootstrap of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.importance import (
    BaseImportanceEvaluator,
    FanovaImportanceEvaluator,
    PedAnovaImportanceEvaluator,
    get_param_importances,
)
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, create_trial

from automl_cv.store.records import TrialRecord
from automl_cv.study.space import Choice, FloatRange

# Measured with tests/benchmarks/importance.py, four parameters: 100 trials take 3 s of one
# processor, 1,000 trials 19 s. One evaluation of 1,000 takes 1.4 s with trees of depth 6, and
# 17 s with those of Optuna's own depth, 64; no share differed by more than 0.003.
RESAMPLES = 100
TREES = 64
TREES_A_RESAMPLE = 8
DEPTH = 6

PERCENTILES = (2.5, 97.5)

# Trials from which resamples of them say how sure a share is. Fewer resample their own luck: with
# 30 of a made-up objective PED-ANOVA gave 0.95 to a momentum without effect. So what chance gives
# is measured beside them, on trials whose results are exchanged at random.
ENOUGH = 100
CHANCE = 95  # percentile

MOST_NEEDED = 10_000  # trials; that more would settle an order is no advice


def _fanova(n_trees: int) -> BaseImportanceEvaluator:
    return FanovaImportanceEvaluator(n_trees=n_trees, max_depth=DEPTH, seed=0)


def _ped_anova(n_trees: int) -> BaseImportanceEvaluator:
    return PedAnovaImportanceEvaluator()


EVALUATORS: Mapping[str, Callable[[int], BaseImportanceEvaluator]] = {
    "fanova": _fanova,
    "ped_anova": _ped_anova,
}
LABELS = {"fanova": "fANOVA", "ped_anova": "PED-ANOVA"}  # as people know them


@dataclass(frozen=True)
class Share:
    """How much of all parameters' effect one has, by one evaluator.

    Args:
        share: from all trials, 0 to 1.
        low: lower end of the 95 % percentile interval over resamples of the trials; of fewer
            trials than `ENOUGH` 0 where chance gives a parameter without effect as much.
        high: upper end; of so few trials not below what chance gives.
    """

    share: float
    low: float
    high: float


@dataclass(frozen=True)
class Axis:
    """One parameter as the evaluators see it: on the scale that it was drawn on.

    fANOVA weighs a logarithmic range as if it were drawn evenly, so that all but its highest
    decade would count for nothing; both get the logarithm.
    """

    distribution: BaseDistribution
    is_log: bool = False

    @classmethod
    def of(cls, parameter: Any, allowed: Sequence[Any] | None) -> Axis:
        """Return a parameter's axis, of the allowed values alone where a condition names them."""
        if allowed is not None:
            return cls(CategoricalDistribution(allowed))
        match parameter:
            case Choice():
                return cls(CategoricalDistribution(parameter.choices))
            case _ if parameter.log:
                ends = math.log(parameter.low), math.log(parameter.high)
                return cls(FloatDistribution(*ends), is_log=True)
            case FloatRange():
                return cls(FloatDistribution(parameter.low, parameter.high))
        return cls(IntDistribution(parameter.low, parameter.high))

    def place(self, value: Any) -> Any:
        """Return where a value lies."""
        return math.log(value) if self.is_log else value


@dataclass(frozen=True)
class Importances:
    """What the evaluators say of one set of trials.

    Args:
        shares: by evaluator and parameter; those of an evaluator sum to 1.
        orders: by evaluator, the parameters: "learning rate > optimizer ≈ batch size". ">"
            stands where the 95 % interval of the difference lies above 0; of fewer trials than
            `ENOUGH` only where chance would not give the larger share either.
        is_same_order: whether the evaluators put them in the same order.
        n_resamples: resamples of the trials that the intervals rest on.
        needed: by evaluator, about how many trials would tell the first parameter from the
            second; None for more than `MOST_NEEDED`.
    """

    shares: Mapping[str, Mapping[str, Share]]
    orders: Mapping[str, str]
    is_same_order: bool
    n_resamples: int
    needed: Mapping[str, int | None]


def evaluate(axes: Mapping[str, Axis], records: Sequence[TrialRecord]) -> Importances:
    """Evaluate parameters; the same trials in the same order give the same numbers.

    Args:
        axes: two or more parameters that every trial has.
        records: trials with a result, not all with the same one.
    """
    names, results = list(axes), [record.value for record in records]
    trials = _trials(axes, records, results)
    point = _shares(trials, names, TREES)
    generator = np.random.default_rng(0)
    drawn = [
        _shares([trials[index] for index in indices], names, TREES_A_RESAMPLE)
        for indices in generator.integers(len(trials), size=(RESAMPLES, len(trials)))
    ]
    chance = _chance(axes, records) if len(records) < ENOUGH else None
    shares: dict[str, dict[str, Share]] = {}
    orders: dict[str, str] = {}
    needed: dict[str, int | None] = {}
    found: set[tuple[int, ...]] = set()
    for evaluator, values in point.items():
        spread = np.array([resample[evaluator] for resample in drawn])
        ends = np.percentile(spread, PERCENTILES, axis=0)
        is_real = np.full(len(names), True)
        if chance is not None:
            is_real = values > chance[evaluator]
            ends[0, ~is_real] = 0.0
            ends[1] = np.maximum(ends[1], chance[evaluator])
        shares[evaluator] = {
            name: Share(float(values[index]), float(ends[0, index]), float(ends[1, index]))
            for index, name in enumerate(names)
        }
        order = tuple(int(index) for index in np.argsort(-values, kind="stable"))
        orders[evaluator] = _order_text(names, order, spread, is_real)
        first, second = order[:2]
        needed[evaluator] = _needed(
            len(records), values[first] - values[second], spread[:, first] - spread[:, second]
        )
        found.add(order)
    return Importances(
        shares, orders, is_same_order=len(found) == 1, n_resamples=len(drawn), needed=needed
    )


def _trials(
    axes: Mapping[str, Axis], records: Sequence[TrialRecord], values: Sequence[Any]
) -> list[FrozenTrial]:
    """Return trials as the evaluators want them, with these results."""
    return [
        create_trial(
            params={name: axis.place(record.parameters[name]) for name, axis in axes.items()},
            distributions={name: axis.distribution for name, axis in axes.items()},
            value=value,
        )
        for record, value in zip(records, values, strict=True)
    ]


def _chance(axes: Mapping[str, Axis], records: Sequence[TrialRecord]) -> dict[str, np.ndarray]:
    """Return the share that each parameter gets by chance, by evaluator, shape (parameters,).

    That is the 95th percentile over trials whose results are exchanged, so that none matters.
    """
    names, results = list(axes), np.array([record.value for record in records])
    generator = np.random.default_rng(1)
    exchanged = (generator.permutation(results).tolist() for _ in range(RESAMPLES))
    drawn = [_shares(_trials(axes, records, one), names, TREES_A_RESAMPLE) for one in exchanged]
    return {
        evaluator: np.percentile([one[evaluator] for one in drawn], CHANCE, axis=0)
        for evaluator in EVALUATORS
    }


def _needed(n_trials: int, difference: float, resampled: np.ndarray) -> int | None:
    """Return about how many trials would tell the first parameter from the second.

    That is the trials at hand times the square of what the interval of the difference is too wide
    by: an interval narrows with the root of their number.

    Args:
        n_trials: trials at hand.
        difference: of the two shares.
        resampled: of resamples, shape (resamples,).

    Returns:
        A number of two digits, `ENOUGH` at least; None for more than `MOST_NEEDED`.
    """
    below = difference - np.percentile(resampled, PERCENTILES[0])
    if difference <= 0:
        return None
    needed = max(n_trials * max(below / difference, 1.0) ** 2, ENOUGH)
    if needed > MOST_NEEDED:
        return None
    step = 10 ** (len(str(int(needed))) - 2)
    return int(math.ceil(needed / step) * step)


def _shares(trials: Sequence[FrozenTrial], names: list[str], n_trees: int) -> dict[str, np.ndarray]:
    """Return the parameters' shares by evaluator, summing to 1, shape (parameters,)."""
    if len({trial.value for trial in trials}) == 1:  # a resample may draw equal results alone
        return {evaluator: np.full(len(names), 1 / len(names)) for evaluator in EVALUATORS}
    study = optuna.create_study(direction="maximize", storage=InMemoryStorage())
    study.add_trials(trials)
    found = {}
    for evaluator, make in EVALUATORS.items():
        try:
            shares = get_param_importances(study, evaluator=make(n_trees), params=names)
        except RuntimeError:  # every tree saw equal results alone: nothing tells them apart
            shares = dict.fromkeys(names, 1 / len(names))
        found[evaluator] = np.array([shares[name] for name in names])
    return found


def _order_text(
    names: Sequence[str], order: Sequence[int], spread: np.ndarray, is_real: np.ndarray
) -> str:
    words = [names[index].replace("_", " ") for index in order]
    text = words[0]
    for left, right, word in zip(order[:-1], order[1:], words[1:], strict=True):
        lowest = np.percentile(spread[:, left] - spread[:, right], PERCENTILES[0])
        text += f" {'>' if lowest > 0 and is_real[left] else '≈'} {word}"
    return text
