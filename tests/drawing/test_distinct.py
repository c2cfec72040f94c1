"""No two trials of a stage have the same parameters, and spaces that end, end the stage."""

from __future__ import annotations

import random
from typing import Any

import pytest

from automl_cv.drawing import distinct
from automl_cv.drawing.distinct import key_of, n_sets
from automl_cv.drawing.samplers import sampler_of
from automl_cv.drawing.stage_memory import Drawn, StageMemory
from automl_cv.drawing.suggesting import SamplerSuggester
from automl_cv.errors import AutomlError
from automl_cv.history import Epoch, History
from automl_cv.study.space import Space
from automl_cv.study.stage import Stage

# 2 batch sizes, each with Adam or with SGD at one of 4 momenta; then 2 dropouts or none.
GRID: dict[str, Any] = {
    "optimizer": ["SGD", "Adam"],
    "batch_size": {"low": 32, "high": 64, "step": 32},
    "learning_rate": 0.01,
    "momentum": {"low": 0.0, "high": 0.3, "step": 0.1, "when": {"optimizer": ["SGD"]}},
    "label_smoothing": {"low": 0.1, "high": 0.2, "step": 0.1, "when": {"batch_size": [32]}},
}
GRID_SETS = 5 * 2 + 5

# Endless, but a random draw is Adam's only set five times in six.
LOPSIDED: dict[str, Any] = {
    "optimizer": ["SGD", "Adam", "Adamax", "Nadam", "Adagrad", "Adadelta"],
    "batch_size": 32,
    "learning_rate": 0.01,
    "momentum": {"low": 0.0, "high": 0.9, "when": {"optimizer": ["SGD"]}},
}
ONE_SET: dict[str, Any] = {"optimizer": "Adadelta", "batch_size": 32, "learning_rate": 0.001}

RESULT = History((Epoch(1, 0.5, 0.5, 1.0, 1.0, 0.1, 0.01),), "epochs")
SAMPLERS = ["random", "qmc", {"name": "tpe", "n_startup_trials": 4}, "cmaes"]


def stage_of(space: dict[str, Any], trials: int, sampler: Any = "random") -> Stage:
    return Stage.model_validate(
        {"name": "coarse", "trials": trials, "epochs": 5, "sampler": sampler, "space": space}
    )


def draw(memory: StageMemory, number: int) -> Drawn:
    drawn = memory.draw(number)
    memory.finish(number, RESULT)
    return drawn


def keys(stage: Stage, drawn: list[Drawn]) -> set[Any]:
    return {key_of(stage.space, one.parameters) for one in drawn}


@pytest.mark.slow
@pytest.mark.parametrize("sampler", SAMPLERS, ids=str)
@pytest.mark.parametrize("seed", range(5))
def test_a_finite_space_is_tried_to_its_end_without_a_repeat(sampler, seed):
    stage = stage_of(GRID, 100, sampler)
    memory = StageMemory("s/coarse", stage, seed)
    assert list(memory.slots) == list(range(GRID_SETS))
    assert memory.n_sets == GRID_SETS
    drawn = [draw(memory, number) for number in memory.slots]
    assert len(keys(stage, drawn)) == GRID_SETS
    listed = {key_of(stage.space, one) for one in stage.space.sets()}
    assert keys(stage, drawn) == listed
    with pytest.raises(AutomlError, match="'coarse': trial 15 finds no parameter set"):
        memory.draw(GRID_SETS)


@pytest.mark.slow
@pytest.mark.parametrize("sampler", SAMPLERS, ids=str)
def test_an_endless_space_of_few_sets_does_not_repeat_them(sampler):
    stage = stage_of(LOPSIDED, 40, sampler)
    memory = StageMemory("s/coarse", stage, 3)
    drawn = [draw(memory, number) for number in range(40)]
    assert len(keys(stage, drawn)) == 40
    assert memory.n_sets is None
    assert any(one.same_as is not None for one in drawn)


@pytest.mark.parametrize("sampler", ["random", "qmc"])
@pytest.mark.parametrize("space", [GRID, LOPSIDED], ids=["finite", "endless"])
def test_redrawn_sets_depend_on_seed_stage_and_trial_alone(sampler, space):
    stage = stage_of(space, GRID_SETS, sampler)
    memory = StageMemory("s/coarse", stage, 7)
    undisturbed = {number: draw(memory, number) for number in range(GRID_SETS)}
    assert any(one.same_as is not None for one in undisturbed.values())
    shuffler = random.Random(0)
    for _ in range(5):
        # Trials finish in any order, and some were finished by an earlier search.
        order = shuffler.sample(range(GRID_SETS), GRID_SETS)
        earlier, now = sorted(order[:6]), order[6:]
        memory = StageMemory("s/coarse", stage, 7)
        for number in earlier:
            memory.restore(number, undisturbed[number].parameters, RESULT, {})
        for number in now:
            drawn = draw(memory, number)
            assert drawn.parameters == undisturbed[number].parameters
            assert drawn.same_as == undisturbed[number].same_as


@pytest.mark.slow
def test_a_sampler_that_learns_draws_the_same_redrawn_sets_after_a_resume():
    stage = stage_of(GRID, GRID_SETS, {"name": "tpe", "n_startup_trials": 4})
    undisturbed, resumed = (StageMemory("s/coarse", stage, 7) for _ in range(2))
    for number in range(GRID_SETS):
        drawn = draw(undisturbed, number)
        if number < 8:
            resumed.restore(number, drawn.parameters, RESULT, drawn.system_attributes)
        else:
            assert draw(resumed, number) == drawn


def test_a_trial_that_runs_counts_for_a_sampler_that_learns():
    stage = stage_of(GRID, GRID_SETS, {"name": "tpe", "n_startup_trials": 0})
    memory = StageMemory("s/coarse", stage, 7)
    drawn = [memory.draw(number) for number in range(GRID_SETS)]
    assert len(keys(stage, drawn)) == GRID_SETS


def test_without_a_repeat_the_draws_are_the_samplers_own():
    """What a stage drew before repeats were looked for stays what it draws."""
    stage = stage_of({**LOPSIDED, "optimizer": ["SGD"]}, 12)
    memory = StageMemory("s/coarse", stage, 7)
    momenta = []
    for number in range(12):
        drawn = memory.draw(number)
        momenta.append(drawn.parameters["momentum"])
        assert drawn.same_as is None
        asked = memory._study.get_trials(deepcopy=False)[-1]
        own = SamplerSuggester(sampler_of(stage, 7, number), memory._study, asked)
        assert stage.space.draw(own) == drawn.parameters
    # Drawn by automl-cv before it had this module.
    assert momenta[:3] == [0.06659332395069, 0.7948104686842622, 0.06646863189147514]


@pytest.mark.parametrize("sampler", SAMPLERS, ids=str)
def test_one_set_is_one_trial(sampler):
    memory = StageMemory("s/coarse", stage_of(ONE_SET, 5, sampler), 0)
    assert list(memory.slots) == [0]
    assert memory.n_sets == 1
    assert draw(memory, 0).parameters == ONE_SET


def test_a_redrawn_trial_names_the_one_it_repeated():
    memory = StageMemory("s/coarse", stage_of(GRID, GRID_SETS), 1)
    stage = stage_of(GRID, GRID_SETS)
    drawn = [draw(memory, number) for number in range(GRID_SETS)]
    for number, one in enumerate(drawn):
        sampler = sampler_of(stage, 1, number)
        asked = memory._study.get_trials(deepcopy=False)[number]
        first = stage.space.draw(SamplerSuggester(sampler, memory._study, asked))
        if one.same_as is None:
            assert one.parameters == first
        else:
            assert one.same_as < number
            assert key_of(stage.space, drawn[one.same_as].parameters) == key_of(stage.space, first)


def test_too_many_sets_to_list_are_drawn_at_random(monkeypatch):
    monkeypatch.setattr(distinct, "MOST_LISTED", 10)
    stage = stage_of(GRID, GRID_SETS)
    memory = StageMemory("s/coarse", stage, 0)
    drawn = [draw(memory, number) for number in range(GRID_SETS)]
    assert len(keys(stage, drawn)) == GRID_SETS


class TestCounting:
    @pytest.mark.parametrize(
        ("parameters", "count"),
        [
            ({"a": 1, "b": "x"}, 1),
            ({"a": [1, 2, 3], "b": ["x", "y"]}, 6),
            ({"a": {"low": 1, "high": 9, "step": 4}}, 3),
            ({"a": {"low": 0.0, "high": 0.3, "step": 0.1}}, 4),
            ({"a": {"low": 0.5, "high": 0.5}}, 1),
            ({"a": {"low": 1, "high": 10**9}}, 50),
            ({"a": {"low": 0.0, "high": 1.0}}, 50),
            ({"a": ["x", "y"], "b": {"low": 0.0, "high": 1.0, "when": {"a": ["y"]}}}, 50),
        ],
        ids=str,
    )
    def test_up_to_fifty(self, parameters, count):
        assert n_sets(Space.model_validate(parameters), 50) == count

    def test_a_parameter_whose_conditions_exclude_one_another_is_never_reached(self):
        space = {
            "a": ["x", "y"],
            "b": {"choices": [1, 2], "when": {"a": ["x"]}},
            "c": {"low": 0.0, "high": 1.0, "when": {"a": ["y"], "b": [1]}},
        }
        assert n_sets(Space.model_validate(space), 50) == 3

    def test_places_on_a_grid_are_equal_however_they_were_reached(self):
        space = Space.model_validate({"a": {"low": 0.1, "high": 0.7, "step": 0.1}})
        assert 0.1 + 0.1 * 2 != 0.3
        assert key_of(space, {"a": 0.1 + 0.1 * 2}) == key_of(space, {"a": 0.3})
        assert key_of(space, {"a": 0.3}) != key_of(space, {"a": 0.4})
