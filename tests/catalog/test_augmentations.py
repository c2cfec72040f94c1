"""The table of augmentations, and what a study file may write."""

from __future__ import annotations

import inspect
import json

import pytest

from automl_cv.catalog.augmentations import (
    AUGMENTATIONS,
    Augmentation,
    augmentation,
    drawn_augmentation,
)

PUBLISHED = {"width_shift": 0.1, "height_shift": 0.1, "zoom": 0.1, "horizontal_flip": True}


def test_the_published_four():
    checked = augmentation(PUBLISHED)
    assert checked.as_data() == {
        "horizontal_flip": {"probability": 0.5},
        "zoom": {"fraction": 0.1},
        "width_shift": {"fraction": 0.1},
        "height_shift": {"fraction": 0.1},
    }
    assert str(checked) == "horizontal_flip 0.5, zoom 0.1, width_shift 0.1, height_shift 0.1"


def test_what_means_the_same_is_equal():
    backwards = dict(reversed(PUBLISHED.items()))
    spelt_out = {**backwards, "zoom": {"fraction": 0.1}, "rotation": 0, "mixup": False}
    assert augmentation(PUBLISHED) == augmentation(spelt_out)
    assert len({augmentation(PUBLISHED), augmentation(spelt_out)}) == 1
    assert augmentation({"zoom": 0.1}) != augmentation({"zoom": 0.2})


@pytest.mark.parametrize("name", AUGMENTATIONS.names)
def test_every_entry_takes_true_and_its_own_data_and_can_be_switched_off(name):
    on = augmentation({name: True})
    assert on and augmentation(json.loads(json.dumps(on.as_data()))) == on
    for off in (False, 0, 0.0):
        assert augmentation({name: off}) == Augmentation()


def test_nothing_is_an_augmentation_too():
    assert not augmentation({})
    assert str(augmentation({})) == "none"


def test_parameters_of_ones_own():
    checked = augmentation({"rand_augment": {"operations": 3}, "cutmix": 0.5})
    assert checked.as_data() == {
        "rand_augment": {"magnitude": 9.0, "operations": 3},
        "cutmix": {"alpha": 0.5, "probability": 1.0},
    }
    assert str(checked) == "rand_augment 9 (operations 3), cutmix 0.5"


@pytest.mark.parametrize(
    ("drawn", "same_as"),
    [
        ({}, {"zoom": 0.1, "rand_augment": {"magnitude": 5, "operations": 3}}),
        ({"zoom": 0.3, "mixup": 0.2, "batch_size": 7}, {"zoom": 0.3, "mixup": 0.2,
            "rand_augment": {"magnitude": 5, "operations": 3}}),
        ({"zoom": 0}, {"rand_augment": {"magnitude": 5, "operations": 3}}),
        ({"zoom": True}, {"zoom": 0.1, "rand_augment": {"magnitude": 5, "operations": 3}}),
        ({"zoom": False, "rand_augment": 2.0}, {"rand_augment": {"magnitude": 2, "operations": 3}}),
        ({"zoom": 0.0, "rand_augment": 0.0}, {}),
        ({"rotation": True, "zoom": 0.0, "rand_augment": False}, {"rotation": 15}),
    ],
)  # fmt: skip
def test_what_a_trial_drew_is_laid_over_the_stages_table(drawn, same_as):
    table = augmentation({"zoom": 0.1, "rand_augment": {"magnitude": 5, "operations": 3}}).as_data()
    assert drawn_augmentation(table, drawn) == augmentation(same_as)


@pytest.mark.parametrize("entry", AUGMENTATIONS, ids=lambda entry: entry.name)
def test_every_entry_has_a_strength_that_a_space_may_draw(entry):
    for value in (0, 0.0, True, False, entry.strength.default):
        assert entry.strength.takes(value)
    assert not entry.strength.takes(-0.1)
    assert not entry.strength.takes("0.1")


def test_levels_can_be_told_apart():
    checked = augmentation({**PUBLISHED, "cutmix": True, "mixup": True})
    assert checked.of_level("image") == augmentation(PUBLISHED)
    assert list(checked.of_level("batch", "features").as_data()) == ["cutmix", "mixup"]


@pytest.mark.parametrize("entry", AUGMENTATIONS, ids=lambda entry: entry.name)
def test_targets_take_the_parameters_that_the_table_names(entry):
    taken = list(inspect.signature(entry.load()).parameters)
    drawn_from = ["seed", "views", *(["size"] if entry.level == "batch" else [])]
    assert taken == [*drawn_from, *entry.parameters]


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (
            {"width_shfit": 0.1},
            "unknown augmentation 'width_shfit': did you mean 'width_shift'? "
            "known: horizontal_flip, zoom, rotation, width_shift, height_shift, brightness, "
            "contrast, rand_augment, cutmix, mixup",
        ),
        ({"zoom": 1.5}, "zoom.fraction: expected numbers from 0 to 0.9, got 1.5"),
        ({"zoom": -0.1}, "zoom.fraction: expected numbers from 0 to 0.9, got -0.1"),
        ({"zoom": float("nan")}, "zoom.fraction: expected numbers from 0 to 0.9, got nan"),
        ({"zoom": "0.1"}, "zoom.fraction: expected numbers from 0 to 0.9, got '0.1'"),
        ({"zoom": [0.1, 0.2]}, "zoom.fraction: expected numbers from 0 to 0.9, got [0.1, 0.2]"),
        (
            {"zoom": {"factor": 0.1}},
            "zoom has no parameter 'factor': did you mean 'fraction'? known: fraction",
        ),
        (
            {"rand_augment": {"operations": 2.5}},
            "rand_augment.operations: expected whole numbers from 1 to 8, got 2.5",
        ),
    ],
)
def test_mistakes_are_told_in_one_line(raw, message):
    with pytest.raises(ValueError) as caught:
        augmentation(raw)
    assert str(caught.value) == message
