"""Parameters of trial n depend on seed, stage and n alone, and fill the space."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from automl_cv.drawing.samplers import check_sampler, value_at
from automl_cv.drawing.seeds import derived_seed
from automl_cv.drawing.stage_memory import StageMemory
from automl_cv.errors import UserError
from automl_cv.history import Epoch, History
from automl_cv.study.stage import Stage


def stage_with(sampler: object, trials: int = 8) -> Stage:
    return Stage.model_validate(
        {
            "name": "coarse",
            "trials": trials,
            "epochs": 5,
            "sampler": sampler,
            "space": {
                "optimizer": ["SGD", "RMSprop", "Adam"],
                "batch_size": {"low": 10, "high": 100},
                "learning_rate": {"low": 1e-4, "high": 0.3, "log": True},
                "momentum": {
                    "low": 0.0,
                    "high": 0.9,
                    "when": {"optimizer": ["SGD", "RMSprop"]},
                },
            },
        }
    )


def history_of(value: float) -> History:
    return History((Epoch(1, value, value, 1.0, 1.0, 0.1, 0.01),), "epochs")


def draw_all(stage: Stage, numbers: list[int], seed: int = 7) -> dict[int, dict]:
    """Draw trials in a given order, each finished with a value that its parameters decide."""
    memory = StageMemory("s/coarse", stage, seed)
    drawn = {}
    for number in numbers:
        drawn[number] = dict(memory.draw(number).parameters)
        memory.finish(number, history_of(1 - abs(drawn[number]["learning_rate"] - 0.01)))
    return drawn


@pytest.mark.parametrize("sampler", ["random", "qmc"])
def test_draws_do_not_depend_on_order_or_on_other_trials(sampler):
    stage = stage_with(sampler)
    in_order = draw_all(stage, list(range(8)))
    backwards = draw_all(stage, list(reversed(range(8))))
    alone = draw_all(stage, [5])
    assert in_order == backwards
    assert alone[5] == in_order[5]


@pytest.mark.parametrize(
    "sampler",
    ["random", "qmc", {"name": "tpe", "n_startup_trials": 3}, "cmaes"],
    ids=lambda sampler: sampler if isinstance(sampler, str) else sampler["name"],
)
def test_a_resumed_stage_draws_what_an_undisturbed_one_does(sampler):
    stage = stage_with(sampler, trials=24)
    undisturbed, resumed = (StageMemory("s/coarse", stage, 7) for _ in range(2))
    for number in range(24):
        drawn = undisturbed.draw(number)
        history = history_of(1 - abs(drawn.parameters["learning_rate"] - 0.01))
        undisturbed.finish(number, history)
        if number < 14:
            resumed.restore(number, drawn.parameters, history, drawn.system_attributes)
        else:
            assert resumed.draw(number).parameters == drawn.parameters
            resumed.finish(number, history)


@pytest.mark.parametrize("sampler", ["random", "qmc", "tpe"])
def test_no_two_trials_are_alike(sampler):
    drawn = draw_all(stage_with(sampler), list(range(8)))
    assert len({tuple(parameters.values()) for parameters in drawn.values()}) == 8


def test_another_seed_or_stage_draws_others():
    stage = stage_with("random")
    assert draw_all(stage, [0], seed=7) != draw_all(stage, [0], seed=8)
    renamed = stage.model_copy(update={"name": "other"})
    assert draw_all(stage, [0]) != draw_all(renamed, [0])


def test_momentum_is_drawn_only_where_its_condition_holds():
    for parameters in draw_all(stage_with("random"), list(range(30))).values():
        assert ("momentum" in parameters) == (parameters["optimizer"] != "Adam")


def test_seeds_are_the_same_in_another_process():
    here = derived_seed(7, "coarse", 3, "training")
    code = (
        "from automl_cv.drawing.seeds import derived_seed as d; print(d(7,'coarse',3,'training'))"
    )
    there = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert int(there) == here == 302678585
    assert here != derived_seed(7, "coarse", 3, "parameters")


def test_qmc_covers_each_eighth_of_every_range_once():
    """What a Sobol sequence is for; eight random draws would hardly ever do it."""
    drawn = draw_all(stage_with("qmc"), list(range(8)))
    span = math.log(0.3 / 1e-4)
    rates = [p["learning_rate"] for p in drawn.values()]
    eighths = sorted(int(math.log(rate / 1e-4) / span * 8) for rate in rates)
    assert eighths == list(range(8))


@pytest.mark.parametrize(
    ("distribution", "lowest", "middle", "highest"),
    [
        (CategoricalDistribution(("a", "b", "c")), "a", "b", "c"),
        (FloatDistribution(2.0, 4.0), 2.0, 3.0, 4.0),
        (FloatDistribution(0.01, 1.0, log=True), 0.01, 0.1, 1.0),
        (FloatDistribution(0.0, 1.0, step=0.25), 0.0, 0.5, 1.0),
        (IntDistribution(1, 5), 1, 3, 5),
        (IntDistribution(10, 50, step=20), 10, 30, 50),
        (IntDistribution(1, 100, log=True), 1, 7, 100),
    ],
    ids=str,
)
def test_value_at_a_coordinate(distribution, lowest, middle, highest):
    assert value_at(0.0, distribution) == pytest.approx(lowest)
    assert value_at(0.5, distribution) == pytest.approx(middle)
    assert value_at(1 - 1e-12, distribution) == pytest.approx(highest)


def test_a_sampler_without_its_package_names_the_cure(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install .*'\.\[cmaes\]'"):
        check_sampler(stage_with("cmaes"))
