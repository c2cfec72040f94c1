"""What `fit` orders a worker to train."""

from __future__ import annotations

import tomllib
from types import SimpleNamespace

from automl_cv.drawing.samplers import derived_seed
from automl_cv.fit.fitting import _trials
from automl_cv.study import studyfile

TOML = """
name = "s"
seed = 5
[[stage]]
name = "coarse"
trials = 2
epochs = 3
[stage.space]
optimizer = "SGD"
batch_size = 16
learning_rate = 0.1
[[stage]]
name = "folds"
retrain = { stages = "coarse", folds = 3 }
[[stage]]
name = "tuned"
retrain = { stages = "folds" }
fine_tune = { blocks = 1 }
"""
PARAMETERS = {"optimizer": "SGD", "batch_size": 16, "learning_rate": 0.1}


def trials(stage: str, repeats: int):
    study = studyfile.parse(tomllib.loads(TOML), "s.toml")
    winner = SimpleNamespace(facts=SimpleNamespace(parameters=PARAMETERS), searched=("coarse", 1))
    run = SimpleNamespace(study=study)
    return _trials(run, study.stage(stage), winner, repeats)


def test_each_training_has_the_seed_of_a_repeat():
    expected = [
        derived_seed(5, "coarse", 1, purpose)
        for purpose in ("training", "training, repeat 1", "training, repeat 2")
    ]
    assert [one.task.seed for one in trials("coarse", 3)] == expected
    assert [one.head.task.seed for one in trials("tuned", 3)] == expected


def test_a_winner_over_folds_is_calibrated_apart_from_the_validation_images():
    """Without its fold, a trial over folds would train on the images that give a temperature."""
    (one,) = trials("folds", 1)
    assert (one.stage.folds, one.folds, one.fold) == (3, None, None)
    (tuned,) = trials("tuned", 1)
    assert (tuned.head.stage.name, tuned.head.folds) == ("folds", None)
