"""Stages whose trials see a sample of the images, and what may rest on them."""

from __future__ import annotations

import pytest

from automl_cv.study.studyfile import difference
from tests.study.test_validation import AGAIN, EXACT, HEADS, line, study

RACE = {**EXACT, "name": "race", "images": 100}


@pytest.mark.parametrize(
    ("stages", "told"),
    [
        (
            (RACE, {"name": "both", "combine": {"stages": ["race"]}}),
            "stage.both.combine.stages: trials of 'race' saw 100 images; name stages that see all",
        ),
        (
            (RACE, EXACT, {**AGAIN, "retrain": {"stages": ["race", "exact"]}}),
            "stage.again.retrain.stages: trials of race and exact saw other images and can't be "
            "ranked together; name stages of as many `images`",
        ),
        (
            ({**HEADS, "images": 100}, {**AGAIN, "retrain": {"stages": "heads"}, "fine_tune": {}}),
            "stage.again.retrain.stages: fine-tuning begins with the head of such a trial, which "
            "saw a sample of the images; name stages without `images`",
        ),
        (
            (HEADS, {**AGAIN, "images": 100, "retrain": {"stages": "heads"}}),
            "images: a stage that retrains or combines sees all; leave it out",
        ),
        (({**RACE, "images": 1},), "stage.race.images: got 1; expected at least 2"),
    ],
)
def test_what_saw_a_sample_stands_beside_nothing_that_saw_all(stages, told):
    assert told in line(*stages)


def test_studies_without_samples_are_what_they_were():
    (written,) = study(EXACT).as_toml_data()["stage"]
    assert "images" not in written
    one, two = study({**EXACT, "images": 100}), study({**EXACT, "images": 200})
    assert difference(one, two) == ["stage.exact.images: 100 -> 200"]
    assert study(*one.as_toml_data()["stage"]).stages == one.stages


def test_the_best_of_a_sample_may_be_trained_again_on_all():
    again = study(RACE, {"name": "again", "retrain": {"stages": "race"}}).stages[1]
    assert again.images is None, "it takes over what it trains, not what it saw"
