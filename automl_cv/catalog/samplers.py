"""The samplers that draw a trial's parameters: Optuna's own."""

from __future__ import annotations

from dataclasses import dataclass

from automl_cv.catalog.settings import LAG, SettableEntry, Setting
from automl_cv.registry import Table


@dataclass(frozen=True, kw_only=True)
class SamplerEntry(SettableEntry):
    """A sampler; its target is a class or function (seed=…, **parameters) -> sampler.

    Args:
        learns: whether a draw depends on the trials before it. Where it does not,
            trial n has the same parameters for any number of workers. Where it does, it takes
            the parameter `lag`: a trial is drawn from those up to so many slots before it; 0
            for those that happen to have ended.
        is_sequence: whether the target is one point of a sequence, and is called with
            (seed=…, index=…, names=…) instead.
        needs: packages beyond automl-cv's own that it imports.
        extra: the extra of automl-cv that installs them.
    """

    learns: bool
    is_sequence: bool = False
    needs: tuple[str, ...] = ()
    extra: str = ""


_LAG = {LAG: Setting(0, lowest=0)}

SAMPLERS: Table[SamplerEntry] = Table(
    "sampler",
    [
        SamplerEntry(
            name="random",
            about="independent and uniform over each range",
            target="optuna.samplers:RandomSampler",
            learns=False,
        ),
        SamplerEntry(
            name="qmc",
            about="quasi-random Sobol points: fills the space more evenly than random",
            target="automl_cv.drawing.samplers:QuasiRandomSampler",
            learns=False,
            is_sequence=True,
        ),
        SamplerEntry(
            name="tpe",
            about="tree-structured Parzen estimator; conditional parameters are grouped",
            target="automl_cv.drawing.samplers:grouped_tpe",
            learns=True,
            parameters={
                **_LAG,
                "n_startup_trials": Setting(10, lowest=0),
                "n_ei_candidates": Setting(24, lowest=1),
            },
        ),
        SamplerEntry(
            name="gp",
            about="Gaussian process; numeric spaces of few parameters",
            target="optuna.samplers:GPSampler",
            learns=True,
            needs=("torch", "scipy"),
            extra="gp",
            parameters={**_LAG, "n_startup_trials": Setting(10, lowest=0)},
        ),
        SamplerEntry(
            name="cmaes",
            about="covariance matrix adaptation; numeric spaces, many trials",
            target="optuna.samplers:CmaEsSampler",
            learns=True,
            needs=("cmaes",),
            extra="cmaes",
            parameters={**_LAG, "n_startup_trials": Setting(1, lowest=0)},
        ),
    ],
)
