"""What a stage's space may hold, and how it is told what it may not."""

from __future__ import annotations

import pytest

from automl_cv.catalog.heads import HEADS
from automl_cv.catalog.kinds import KINDS
from automl_cv.study.parameters import check_cached_views, checked_space, drawn_settings
from automl_cv.study.space import FloatRange, IntRange, Space

WHOLE = {"optimizer": ["SGD", "Adam"], "batch_size": 32, "learning_rate": 0.1}


def checked(head: str = "mlp", schedule: str = "cosine", **more: object) -> Space:
    return checked_space(Space.model_validate({**WHOLE, **more}), KINDS["head"], head, schedule)


def test_parameters_of_head_and_schedule_are_taken():
    space = checked(
        hidden_layers={"low": 0, "high": 3},
        width=[64, 128],
        activation="gelu",
        dropout={"low": 0, "high": 0.5},
        normalization=[True, False],
        label_smoothing=0.1,
        weight_decay={"low": 1e-5, "high": 1e-2, "log": True},
        final_fraction={"low": 0, "high": 1},
        momentum=0.5,
    )
    assert space.parameters["hidden_layers"] == IntRange(low=0, high=3)
    assert space.parameters["dropout"] == FloatRange(low=0.0, high=0.5)
    assert space.parameters["final_fraction"] == FloatRange(low=0.0, high=1.0)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("widht", 64, "unknown parameter 'widht': did you mean 'width'"),
        ("warmup_fraction", 0.5, "unknown parameter 'warmup_fraction': "),
        (
            "batch_size",
            {"low": 0.5, "high": 2},
            "batch_size: expected whole numbers from 1, got the range 0.5 – 2 of any numbers; "
            "write its ends (and its step) as whole numbers: 8, not 8.0",
        ),
        ("width", {"low": 8.0, "high": 64.0}, "width: expected whole numbers from 1 to 65536"),
        ("width", {"low": 0, "high": 64}, "width: expected whole numbers from 1 to 65536, got 0"),
        ("width", [64, 64.5], "width: expected whole numbers from 1 to 65536, got 64.5"),
        (
            "normalization",
            {"low": 0, "high": 1},
            "normalization: expected true or false, got the range 0 – 1; list the values",
        ),
        ("normalization", 1, "normalization: expected true or false, got 1"),
        ("activation", ["relu", "rleu"], "activation: expected one of 'relu', 'gelu', 'silu', "),
        ("dropout", {"low": 0, "high": 1}, "dropout: expected numbers from 0, below 1, got 1"),
        ("dropout", [True], "dropout: expected numbers from 0, below 1, got True"),
        ("learning_rate", {"low": 0, "high": 1}, "learning_rate: expected numbers above 0, got 0"),
        ("optimizer", {"low": 0, "high": 1}, "optimizer: expected a name or a list of names, got"),
        ("image_size", {"low": 24, "high": 64}, "image_size: list the values; each passes all"),
        ("image_size", [4, 32], "image_size: expected whole numbers from 8 to 4096 or 'own', got"),
        ("backbone", ["compact", "ResNet5"], "backbone: expected one of 'compact', "),
    ],
)
def test_mistakes(name, value, message):
    with pytest.raises(ValueError) as raised:
        checked(**{name: value})
    assert str(raised.value).startswith(message)


def test_another_head_does_not_know_them():
    with pytest.raises(ValueError, match="unknown parameter 'width'"):
        checked(head="linear", width=64)


def test_a_drawn_value_wins_over_a_fixed_one_and_that_over_the_default():
    settings = HEADS["mlp"].parameters
    values = drawn_settings(
        settings, {"width": 8, "dropout": 0.5}, {"width": 16, "weight_decay": 0, "momentum": 1}
    )
    assert (values["width"], values["dropout"]) == (16, 0.5)
    assert values["hidden_layers"] == settings["hidden_layers"].default
    assert type(values["weight_decay"]) is float
    assert "momentum" not in values


def test_a_space_may_draw_how_images_are_altered():
    space = checked(
        zoom=[0.0, 0.1], horizontal_flip=[True, False], mixup={"low": 0, "high": 1}, rotation=5
    )
    assert space.parameters["mixup"] == FloatRange(low=0.0, high=1.0)
    check_cached_views(space.parameters)


@pytest.mark.parametrize(
    ("drawn", "message"),
    [
        (
            {"zoom": {"low": 0.0, "high": 0.2}},
            "zoom: a range would run the backbone for each trial; list the values, each "
            'combination of which is cached, or set views = "online"',
        ),
        (
            {"cutmix": [0.0, 1.0]},
            'cutmix mixes images, so that its views can\'t be cached; set views = "online"',
        ),
    ],
)
def test_what_can_not_be_cached(drawn, message):
    with pytest.raises(ValueError) as raised:
        check_cached_views(checked(**drawn).parameters)
    assert str(raised.value) == message


def test_strengths_are_checked():
    with pytest.raises(ValueError, match="zoom: expected numbers from 0 to 0.9, got 1.5"):
        checked(zoom=[0.1, 1.5])
