"""The samplers of trial n, which draw its parameters.

Their seeds derive from (study seed, stage, n) alone, so that a resumed search and
one with more workers draw what an undisturbed one draws. A sampler that learns
looks at the finished trials besides.
"""

from __future__ import annotations

import importlib.util
import math
import warnings
from collections.abc import Sequence
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from automl_cv.catalog.samplers import SAMPLERS
from automl_cv.catalog.settings import LAG
from automl_cv.drawing.seeds import derived_seed
from automl_cv.errors import UserError, installing
from automl_cv.study.stage import Stage


def sampler_of(stage: Stage, seed: int, trial: int, attempt: int = 0) -> BaseSampler:
    """Return a fresh sampler for one trial.

    Fresh, because Optuna does not store a sampler's state: one that goes on after a
    resume would begin its stream again and repeat its first draws.

    Args:
        stage: names the sampler.
        seed: the study's seed.
        trial: number of the trial.
        attempt: how many sets were drawn for the trial already and thrown away; 0 for a
            sampler that is one point of a sequence.
    """
    entry = SAMPLERS[stage.sampler.name]
    options = dict(stage.sampler.parameters)
    options.pop(LAG, None)
    if entry.is_sequence:
        options["seed"] = derived_seed(seed, stage.name, None, "parameters")
        options["index"] = trial
        options["names"] = tuple(stage.space.parameters)
    else:
        options["seed"] = _attempt_seed(seed, stage.name, trial, attempt)
    sampler: BaseSampler = entry.load()(**options)
    return sampler


def random_sampler(stage: Stage, seed: int, trial: int, attempt: int) -> BaseSampler:
    """Return a sampler that draws at random, for a trial whose own sampler repeats itself."""
    sampler: BaseSampler = SAMPLERS["random"].load()(
        seed=_attempt_seed(seed, stage.name, trial, attempt)
    )
    return sampler


def _attempt_seed(seed: int, stage: str, trial: int, attempt: int) -> int:
    purpose = f"parameters, attempt {attempt}" if attempt else "parameters"
    return derived_seed(seed, stage, trial, purpose)


def check_sampler(stage: Stage) -> None:
    """Raise a UserError where the stage's sampler needs a package that is not installed."""
    entry = SAMPLERS[stage.sampler.name]
    missing = [name for name in entry.needs if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(
            f"stage {stage.name!r}: sampler {entry.name!r} needs {', '.join(missing)}, which is "
            f"not installed; {installing(entry.extra)}"
        )


def grouped_tpe(seed: int, **parameters: Any) -> TPESampler:
    """Return TPE that models the parameters which appear together, together.

    Without `group`, a conditional parameter such as momentum leaves the joint space
    and is drawn on its own.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return TPESampler(seed=seed, multivariate=True, group=True, **parameters)


class KnownSampler(BaseSampler):
    """Draws no parameters together: whatever is asked for is known by then; `value` says what."""

    def value(self, name: str, distribution: BaseDistribution) -> Any:
        """Return the value of a parameter."""
        raise NotImplementedError

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return no parameters: none is drawn together with others."""
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return nothing, as `infer_relative_search_space` promises."""
        return {}

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Return the known value."""
        return self.value(param_name, param_distribution)


class QuasiRandomSampler(KnownSampler):
    """Draws trial n from the n-th point of a scrambled Sobol sequence (Owen 1998).

    Optuna's own QMCSampler counts its points in the storage and knows no conditional
    parameters; here each parameter of the space has a coordinate of its own, used or not.

    Args:
        seed: decides the scrambling; the same for all trials of a stage.
        index: which point of the sequence, from 0.
        names: all parameters of the space.
    """

    def __init__(self, seed: int, index: int, names: Sequence[str]) -> None:
        from scipy.stats import qmc

        sequence = qmc.Sobol(len(names), scramble=True, rng=seed)
        if index:
            sequence.fast_forward(index)
        self._coordinates = dict(zip(names, sequence.random()[0], strict=True))

    def value(self, name: str, distribution: BaseDistribution) -> Any:
        """Return the value that stands at the parameter's coordinate."""
        return value_at(float(self._coordinates[name]), distribution)


def value_at(coordinate: float, distribution: BaseDistribution) -> Any:
    """Return the value at a coordinate in [0, 1) of a distribution's inverse cumulative curve."""
    match distribution:
        case CategoricalDistribution():
            return distribution.choices[int(coordinate * len(distribution.choices))]
        case FloatDistribution(step=None):
            return _between(coordinate, distribution.low, distribution.high, distribution.log)
        case FloatDistribution() | IntDistribution():
            step = distribution.step or 1
            if distribution.log:
                ends = (distribution.low - 0.5, distribution.high + 0.5)
                number = round(_between(coordinate, *ends, log=True))
                return min(max(number, distribution.low), distribution.high)
            steps = int((distribution.high - distribution.low) / step + 1e-9) + 1
            return distribution.low + int(coordinate * steps) * step
    raise TypeError(f"no quasi-random draw from {distribution}")


def _between(coordinate: float, low: float, high: float, log: bool) -> float:
    if log:
        return math.exp(math.log(low) + coordinate * (math.log(high) - math.log(low)))
    return low + coordinate * (high - low)
