"""Spaces draw inside their ranges and respect their conditions."""

from __future__ import annotations

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from automl_cv.study.space import Choice, Constant, FloatRange, IntRange, Space

optuna.logging.set_verbosity(optuna.logging.ERROR)


def draw(space: Space, seed: int) -> dict:
    return space.draw(optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed)).ask())


def test_toml_values_tell_their_kind():
    space = Space.model_validate(
        {
            "a": "SGD",
            "b": ["SGD", "Adam"],
            "c": {"low": 1, "high": 9},
            "d": {"low": 1, "high": 9.5},
            "e": {"low": 0, "high": 10, "step": 5},
        }
    )
    kinds = [type(parameter) for parameter in space.parameters.values()]
    assert kinds == [Constant, Choice, IntRange, FloatRange, IntRange]
    assert [str(parameter) for parameter in space.parameters.values()] == [
        "SGD",
        "SGD | Adam",
        "1 – 9",
        "1 – 9.5",
        "0 – 10 (step 5)",
    ]


def test_a_dumped_space_reads_back_as_itself():
    space = Space.model_validate(
        {"a": ["x", "y"], "b": {"low": 0.1, "high": 1, "log": True, "when": {"a": ["x"]}}}
    )
    assert Space.model_validate(space.model_dump(mode="json")) == space


@settings(max_examples=50, deadline=None)
@given(low=st.floats(1e-6, 1.0), width=st.floats(0, 10), log=st.booleans(), seed=st.integers(0, 99))
def test_draws_stay_inside(low, width, log, seed):
    space = Space.model_validate({"x": {"low": low, "high": low + width, "log": log}})
    assert low <= draw(space, seed)["x"] <= low + width


def test_conditions_chain():
    space = Space.model_validate(
        {
            "a": ["x", "y"],
            "b": {"choices": [1, 2], "when": {"a": ["x"]}},
            "c": {"value": 5, "when": {"b": [2]}},
        }
    )
    seen = set()
    for seed in range(40):
        drawn = draw(space, seed)
        assert ("b" in drawn) == (drawn["a"] == "x")
        assert ("c" in drawn) == (drawn.get("b") == 2)
        seen.add(tuple(drawn))
    assert seen == {("a",), ("a", "b"), ("a", "b", "c")}


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"x": {"low": 2, "high": 1}}, r"low \(2\) is above high \(1\)"),
        ({"x": {"low": 0.0, "high": 1.0, "log": True}}, "a log range needs low above 0"),
        ({"x": {"low": 0.0, "high": float("inf")}}, "finite"),
        ({"x": {"low": 0, "high": 4, "step": 0}}, "step must be above 0"),
        ({"x": {"low": 1, "high": 4, "step": 1, "log": True}}, "either log or step"),
        ({"x": {"low": "1", "high": 4}}, "valid number"),
        ({"x": []}, "at least 1 item"),
        ({"x": [1, 1]}, "stands twice"),
        ({"x": {"low": 1, "high": 2, "hihg": 3}}, "Extra inputs"),
        ({"x": {"value": 1, "when": {"y": [1]}}}, "must stand above"),
        ({"x": [1, 2], "y": {"value": 1, "when": {"x": [3]}}}, "asks for 3"),
    ],
)
def test_a_wrong_space_says_what_is_wrong(raw, message):
    with pytest.raises(ValidationError, match=message):
        Space.model_validate(raw)


def test_true_and_one_are_different_choices():
    assert len(Space.model_validate({"x": [True, 1]}).parameters["x"].choices) == 2


def test_combinations_are_every_set_that_a_draw_can_give():
    space = Space.model_validate(
        {
            "optimizer": ["SGD", "Adam"],
            "backbone": ["compact", "ResNet50"],
            "image_size": {"choices": [24, 32], "when": {"backbone": ["compact"]}},
            "blocks": {"low": 1, "high": 3, "step": 2, "when": {"optimizer": ["SGD"]}},
        }
    )
    names = ["backbone", "image_size"]
    assert space.combinations(names) == [
        {"backbone": "compact", "image_size": 24},
        {"backbone": "compact", "image_size": 32},
        {"backbone": "ResNet50"},
    ]
    # A condition on a parameter that is not asked for may hold or not.
    assert space.combinations(["blocks"]) == [{"blocks": 1}, {"blocks": 3}, {}]
    assert space.combinations([]) == [{}]
    drawn = [draw(space, seed) for seed in range(60)]
    seen = {tuple(sorted(one.items())) for one in drawn}
    everything = {tuple(sorted(one.items())) for one in space.combinations(space.parameters)}
    assert seen == everything


def test_a_range_of_any_numbers_has_no_combinations():
    space = Space.model_validate({"zoom": {"low": 0.0, "high": 0.5}})
    with pytest.raises(ValueError, match="zoom: the range 0 – 0.5 has no end of values"):
        space.combinations(["zoom"])
    stepped = Space.model_validate({"zoom": {"low": 0.0, "high": 0.5, "step": 0.25}})
    assert [one["zoom"] for one in stepped.combinations(["zoom"])] == [0.0, 0.25, 0.5]
