"""The rule that narrows a space: the published trials, the odd cases, and what always holds."""

from __future__ import annotations

import json
import warnings
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automl_cv.drawing.narrowing import best_trials, narrow
from automl_cv.history import Epoch, History
from automl_cv.store.facts import Narrowed
from automl_cv.store.records import TrialRecord
from automl_cv.study import library
from automl_cv.study.space import Choice, Constant, FloatRange, IntRange, Space, can_be
from tests.published import COARSE, NARROWED, history_of, parameters_of

NOTHING = Space(parameters={})
PUBLISHED = [
    TrialRecord("slides", "coarse", trial, "complete", parameters_of(row), history_of(row))
    for trial, row in enumerate(COARSE)
]


def record(
    trial: int,
    parameters: dict[str, Any],
    val_accuracy: float = 0.9,
    *,
    val_loss: float = 1.0,
    state: Any = "complete",
) -> TrialRecord:
    epoch = Epoch(1, val_accuracy, val_accuracy, 1.0, val_loss, 0.1, 0.01)
    stop = {"complete": "epochs", "pruned": "pruned", "failed": "failed"}[state]
    return TrialRecord("run", "coarse", trial, state, parameters, History((epoch,), stop))


def narrowed(space: dict[str, Any], *values: dict[str, Any], **overrides: Any) -> Narrowed:
    """Narrow a space from trials that have these values, best first."""
    trials = [record(trial, own, 0.9 - trial / 100) for trial, own in enumerate(values)]
    return narrow(Space.model_validate(space), trials, len(values), Space.model_validate(overrides))


class TestPublished:
    coarse = library.load("slides").stage("coarse").space

    def test_two_best_of_the_six_coarse_trials(self):
        found = narrow(self.coarse, PUBLISHED, 2, NOTHING)
        assert (found.stage, found.trials) == ("coarse", (5, 4))
        assert found.remarks == ()
        assert found.space == Space(
            parameters={
                "optimizer": Constant(value="SGD"),
                "batch_size": IntRange(low=24, high=72),
                "learning_rate": FloatRange(low=0.028, high=0.104),
                "momentum": FloatRange(low=0.08, high=0.31),
            }
        )

    @pytest.mark.parametrize("name", ["batch_size", "learning_rate", "momentum"])
    def test_holds_both_models_and_the_winner_and_is_40_percent_narrower(self, name):
        before = self.coarse.parameters[name]
        after = narrow(self.coarse, PUBLISHED, 2, NOTHING).space.parameters[name]
        for row in (COARSE[4], COARSE[5], NARROWED[3]):
            assert after.low <= parameters_of(row)[name] <= after.high
        assert after.high - after.low <= 0.6 * (before.high - before.low)

    def test_reasons_name_the_trials(self):
        assert narrow(self.coarse, PUBLISHED, 2, NOTHING).reasons == {
            "optimizer": "SGD in trials 5 and 4",
            "batch_size": "from 29 in trial 4 to 67 in trial 5; padded by 5 % of coarse's 10 – 100",
            "learning_rate": "from 0.044 in trial 4 to 0.088 in trial 5; "
            "padded by 5 % of coarse's 0.0001 – 0.3",
            "momentum": "from 0.13 in trial 4 to 0.26 in trial 5; "
            "padded by 5 % of coarse's 0 – 0.9",
        }

    def test_several_optimizers_left(self):
        found = narrow(self.coarse, PUBLISHED, 3, NOTHING).space.parameters
        assert found["optimizer"] == Choice(choices=("SGD", "RMSprop"))
        assert found["momentum"].when == {"optimizer": ("SGD", "RMSprop")}
        # Adadelta's trial has no momentum: it must not stand in the way.
        found = narrow(self.coarse, PUBLISHED, 6, NOTHING).space.parameters
        assert found["optimizer"].choices == ("SGD", "RMSprop", "Adadelta")
        assert found["momentum"].when == {"optimizer": ("SGD", "RMSprop")}
        assert (found["momentum"].low, found["momentum"].high) == (0.04, 0.56)


class TestBestTrials:
    def numbers(self, *records: TrialRecord, top: int = 2) -> list[int]:
        return [one.trial for one in best_trials(records, top)]

    def test_accuracy_then_loss_then_the_earlier_trial(self):
        assert self.numbers(
            record(0, {}, 0.8),
            record(1, {}, 0.9, val_loss=0.5),
            record(2, {}, 0.9, val_loss=0.4),
            record(4, {}, 0.9, val_loss=0.4),
            top=4,
        ) == [2, 4, 1, 0]

    def test_pruned_trials_only_where_complete_ones_are_too_few(self):
        trials = [
            record(0, {}, 0.99, state="pruned"),
            record(1, {}, 0.8),
            record(2, {}, 1.0, state="failed"),
            record(3, {}, 0.7),
        ]
        assert self.numbers(*trials) == [1, 3]
        assert self.numbers(*trials, top=3) == [1, 3, 0]
        found = narrow(NOTHING, trials, 3, NOTHING)
        assert found.remarks == (
            "too few trials of coarse were complete; pruned ones count too: 0",
        )

    def test_fewer_than_asked_for(self):
        found = narrow(NOTHING, [record(3, {})], 2, NOTHING)
        assert found.trials == (3,)
        assert found.remarks == ("only 1 trial of coarse had a result, not the 2 to narrow from",)

    def test_none(self):
        with pytest.raises(ValueError, match="no trial has a result"):
            narrow(NOTHING, [record(0, {}, state="failed")], 2, NOTHING)


class TestRanges:
    def one(self, parameter: Any, *values: Any) -> Any:
        found = narrowed({"x": parameter}, *({"x": value} for value in values))
        return found.space.parameters["x"], found.reasons["x"]

    def test_one_value_gets_a_fixed_share_of_the_range(self):
        found, reason = self.one({"low": 0.0, "high": 1.0}, 0.5)
        assert (found.low, found.high) == (0.45, 0.55)
        assert reason == "0.5 in trial 0; padded by 5 % of coarse's 0 – 1"
        assert self.one({"low": 0.0, "high": 1.0}, 0.5, 0.5)[0] == found

    def test_near_an_end_it_reaches_the_end_and_says_so(self):
        found, reason = self.one({"low": 0.0, "high": 0.9}, 0.03, 0.4)
        assert (found.low, found.high) == (0.0, 0.46)
        assert reason.endswith("; grown to the low end of coarse, which trial 0 is near")
        found, reason = self.one({"low": 13, "high": 97}, 96, 14)
        assert (found.low, found.high) == (13, 97)
        assert reason.endswith(
            "; grown to the low end of coarse, which trial 1 is near "
            "and the high end of coarse, which trial 0 is near"
        )

    def test_log_scale(self):
        """On a linear scale 5 % of the range, 0.015, would swallow four decades."""
        found, _ = self.one({"low": 1e-4, "high": 0.3, "log": True}, 0.002, 0.01)
        assert found == FloatRange(low=0.0013, high=0.015, log=True)

    def test_log_scale_of_whole_numbers(self):
        found, _ = self.one({"low": 1, "high": 1024, "log": True}, 64)
        assert found == IntRange(low=45, high=91, log=True)

    def test_whole_numbers_stay_whole(self):
        assert self.one({"low": 1, "high": 5}, 3)[0] == IntRange(low=2, high=4)

    @pytest.mark.parametrize(
        ("low", "high", "step", "value", "ends"),
        [
            (10, 100, 9, 46, (37, 55)),
            (10, 99, 9, 91, (82, 91)),  # 91 is the last point of this grid
            (0.1, 0.9, 0.1, 0.30000000000000004, (0.2, 0.4)),
        ],
    )
    def test_steps_stay_on_the_grid(self, low, high, step, value, ends):
        found, _ = self.one({"low": low, "high": high, "step": step}, value)
        assert (found.low, found.high) == ends
        assert found.step == step

    def test_a_range_of_one_value_stays(self):
        assert self.one({"low": 7, "high": 7}, 7) == (
            IntRange(low=7, high=7),
            "as in coarse, which has no other",
        )
        hardly = {"low": 1.0, "high": 1.0000000000000002}
        assert self.one(hardly, 1.0)[0] == FloatRange(**hardly)


class TestChoices:
    def test_order_of_the_parent_and_one_value_becomes_a_constant(self):
        space = {"a": [16, 32, 64], "b": [True, False], "c": "fixed"}
        found = narrowed(space, {"a": 64, "b": True, "c": "fixed"}, {"a": 16, "b": True})
        assert found.space.parameters == {
            "a": Choice(choices=(16, 64)),
            "b": Constant(value=True),
            "c": Constant(value="fixed"),
        }
        assert found.reasons["a"] == "16 in trial 1, 64 in trial 0"
        assert found.reasons["c"] == "as in coarse, which has no other"

    def test_true_is_not_1(self):
        found = narrowed({"a": [1, True, 0]}, {"a": True}).space.parameters["a"]
        assert found == Constant(value=True)
        assert isinstance(found.value, bool)


class TestConditions:
    space = {
        "optimizer": ["SGD", "RMSprop", "Adam"],
        "momentum": {"low": 0.0, "high": 0.9, "when": {"optimizer": ["SGD", "RMSprop"]}},
        "nesterov": {"choices": [True, False], "when": {"momentum": [0.5]}},
    }

    def test_what_can_not_hold_any_more_is_dropped(self):
        found = narrowed(self.space, {"optimizer": "Adam"})
        assert list(found.space.parameters) == ["optimizer"]
        assert found.reasons["momentum"] == "dropped: drawn only with optimizer SGD or RMSprop"
        assert found.reasons["nesterov"] == "dropped: drawn only with momentum 0.5"

    def test_trials_of_sgd_do_not_bound_momentum_of_another_optimizer(self):
        sgd = {"optimizer": "SGD", "momentum": 0.2}
        found = narrowed(self.space, sgd, optimizer=["SGD", "RMSprop"])
        assert found.space.parameters["momentum"] == FloatRange(
            low=0.0, high=0.9, when={"optimizer": ("SGD", "RMSprop")}
        )
        assert (
            found.reasons["momentum"] == "as in coarse: no best trial has it with optimizer RMSprop"
        )

    def test_each_optimizer_left_has_its_trials_in_the_envelope(self):
        found = narrowed(
            self.space,
            {"optimizer": "RMSprop", "momentum": 0.6},
            {"optimizer": "Adam"},
            {"optimizer": "SGD", "momentum": 0.3},
        ).space.parameters["momentum"]
        assert (found.low, found.high) == (0.25, 0.65)
        assert found.when == {"optimizer": ("SGD", "RMSprop")}

    def test_a_condition_that_always_holds_is_left_out(self):
        found = narrowed(self.space, {"optimizer": "SGD", "momentum": 0.2}).space
        assert found.parameters["momentum"].when == {}


class TestOverrides:
    space = TestConditions.space

    def test_replaces_the_range_and_keeps_place_and_condition(self):
        best = [{"optimizer": "SGD", "momentum": 0.2}, {"optimizer": "Adam"}]
        found = narrowed(self.space, *best, width=8, momentum={"low": 0.7, "high": 0.99})
        assert list(found.space.parameters) == ["optimizer", "momentum", "width"]
        assert found.space.parameters["momentum"] == FloatRange(
            low=0.7, high=0.99, when={"optimizer": ("SGD",)}
        )
        assert found.reasons["momentum"] == found.reasons["width"] == "set by the study file"

    def test_decides_which_conditions_can_hold(self):
        found = narrowed(self.space, {"optimizer": "SGD", "momentum": 0.2}, optimizer="Adam")
        assert list(found.space.parameters) == ["optimizer"]

    def test_what_the_stage_does_not_take_is_dropped(self):
        space = Space.model_validate({"optimizer": "SGD", "width": [8, 16]})
        trials = [record(0, {"optimizer": "SGD", "width": 8})]
        found = narrow(space, trials, 1, NOTHING, known={"optimizer"})
        assert list(found.space.parameters) == ["optimizer"]
        assert found.reasons["width"] == "dropped: of coarse alone, this stage does not take it"


def test_a_chain():
    first = narrow(TestPublished.coarse, PUBLISHED, 3, NOTHING)
    rows = [
        TrialRecord("slides", "narrowed", trial, "complete", parameters_of(row), history_of(row))
        for trial, row in enumerate(NARROWED)
    ]
    second = narrow(first.space, rows, 2, NOTHING)
    assert (second.stage, second.trials) == ("narrowed", (3, 0))
    assert second.space.parameters["optimizer"] == Constant(value="SGD")
    assert second.space.parameters["momentum"].when == {}


# Parents with every kind of parameter, and trials drawn from them.

OPTIMIZERS = ("SGD", "RMSprop", "Adam", "Nadam")


@st.composite
def whole_ranges(draw: Any) -> dict[str, Any]:
    low = draw(st.integers(1, 200))
    kind = draw(st.sampled_from(["plain", "log", "step"]))
    if kind == "step":
        step = draw(st.integers(1, 16))
        return {"low": low, "high": low + step * draw(st.integers(0, 12)), "step": step}
    return {"low": low, "high": low + draw(st.integers(0, 900)), "log": kind == "log"}


@st.composite
def real_ranges(draw: Any) -> dict[str, Any]:
    low = draw(st.floats(1e-6, 10, allow_subnormal=False))
    kind = draw(st.sampled_from(["plain", "log", "step"]))
    if kind == "step":
        step = draw(st.sampled_from([0.1, 0.25, 0.05, 1.5]))
        low = draw(st.integers(0, 20)) / 10
        high = float(f"{low + step * draw(st.integers(0, 9)):.10g}")
        return {"low": low, "high": high, "step": step}
    return {"low": low, "high": low * draw(st.floats(1, 1e4)), "log": kind == "log"}


@st.composite
def spaces(draw: Any) -> Space:
    optimizers = draw(st.permutations(OPTIMIZERS))[: draw(st.integers(1, 4))]
    conditional = optimizers[: draw(st.integers(1, len(optimizers)))]
    return Space.model_validate(
        {
            "optimizer": list(optimizers),
            "batch_size": draw(st.one_of(whole_ranges(), st.just([16, 32, 64]))),
            "learning_rate": draw(real_ranges()),
            "momentum": {**draw(real_ranges()), "when": {"optimizer": list(conditional)}},
            "normalization": [True, False],
            "fixed": 3,
        }
    )


def drawn(space: Space, count: int, seed: int) -> list[dict[str, Any]]:
    """Return parameters as Optuna draws them, with its rounding."""
    sampler = optuna.samplers.RandomSampler(seed=seed)
    study = optuna.create_study(sampler=sampler)
    return [space.draw(study.ask()) for _ in range(count)]


@st.composite
def cases(draw: Any) -> tuple[Space, list[TrialRecord], int]:
    space = draw(spaces())
    parameters = drawn(space, draw(st.integers(1, 8)), draw(st.integers(0, 10**6)))
    trials = [
        record(
            trial,
            own,
            draw(st.sampled_from([0.5, 0.8, 0.9])),
            val_loss=draw(st.sampled_from([0.1, 0.2])),
            state=draw(st.sampled_from(["complete", "pruned", "failed"])) if trial else "complete",
        )
        for trial, own in enumerate(parameters)
    ]
    return space, trials, draw(st.integers(1, 4))


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(cases())
def test_always(case: tuple[Space, list[TrialRecord], int]) -> None:
    parent, trials, top = case
    found = narrow(parent, trials, top, NOTHING)

    best = {one.trial: one for one in trials if one.trial in found.trials}
    assert len(best) == len(found.trials) == min(top, sum(one.is_ranked for one in trials))
    for one in best.values():
        assert set(one.parameters) <= set(found.space.parameters)
        for name, value in one.parameters.items():
            assert can_be(found.space.parameters[name], value) or is_on_grid(found, name, value)

    for name, parameter in found.space.parameters.items():
        before = parent.parameters[name]
        if isinstance(parameter, IntRange | FloatRange):
            assert before.low <= parameter.low <= parameter.high <= before.high
            assert (parameter.step, parameter.log) == (before.step, before.log)
            assert type(parameter) is type(before)
        elif isinstance(before, Choice):
            left = parameter.choices if isinstance(parameter, Choice) else (parameter.value,)
            assert set(left) <= set(before.choices)

    assert set(found.reasons) == set(parent.parameters)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Optuna's, where a step does not divide a range
        for parameters in drawn(found.space, 3, seed=1):
            assert {"optimizer", "batch_size", "learning_rate"} <= set(parameters)
    stored = json.loads(json.dumps(found.model_dump(mode="json")))
    again = Narrowed.model_validate(stored)
    assert again == found
    assert again.model_dump(mode="json") == stored
    assert list(again.space.parameters) == list(found.space.parameters)


def is_on_grid(found: Narrowed, name: str, value: float) -> bool:
    """Tell whether a drawn value is an end of a grid but for the last digit."""
    parameter = found.space.parameters[name]
    return parameter.step is not None and value == pytest.approx(parameter.high, rel=1e-12)
