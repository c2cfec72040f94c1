"""Presets scale the trials of stages that search, and nothing else."""

from __future__ import annotations

import tomllib

import pytest

from automl_cv.catalog.presets import PRESETS
from automl_cv.errors import UserError
from automl_cv.study import studyfile

STUDY = studyfile.parse(
    tomllib.loads("""
        name = "s"
        [[stage]]
        name = "coarse"
        trials = 20
        epochs = 5
        space = { optimizer = "SGD", batch_size = 32, learning_rate = 0.1, momentum = 0.0 }
        [[stage]]
        name = "finalists"
        retrain = { stages = "coarse", top = 3, repeats = 5 }
    """),
    "s.toml",
)


@pytest.mark.parametrize(
    ("name", "trials", "scaled"),
    [
        ("quick", 1, 1),
        ("quick", 2, 2),
        ("quick", 4, 3),
        ("quick", 20, 7),
        ("balanced", 20, 20),
        ("thorough", 20, 80),
    ],
)
def test_numbers_of_trials(name, trials, scaled):
    assert PRESETS[name].load()(trials) == scaled


def test_a_quick_search_can_be_gone_on_with_as_a_thorough_one():
    quick = studyfile.overridden(STUDY, preset="quick")
    thorough = studyfile.overridden(STUDY, preset="thorough")
    assert [stage.trials for stage in quick.stages] == [7, 15]
    assert [stage.trials for stage in thorough.stages] == [80, 15]
    assert studyfile.difference(quick, thorough) == []
    assert studyfile.overridden(STUDY, preset="balanced") == STUDY


def test_mistakes():
    with pytest.raises(UserError, match="did you mean 'quick'"):
        studyfile.overridden(STUDY, preset="quik")
    with pytest.raises(UserError, match="--trials and --preset exclude each other"):
        studyfile.overridden(STUDY, preset="quick", trials=5)
