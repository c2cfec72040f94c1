"""From a stage and what a trial drew to the task that is trained."""

from __future__ import annotations

from automl_cv.study.stage import Stage
from automl_cv.study.trial import task_of

STAGE = Stage.model_validate(
    {
        "name": "heads",
        "trials": 1,
        "epochs": 7,
        "head": {"name": "mlp", "width": 8, "dropout": 0.5},
        "schedule": {"name": "step", "drops": 4},
        "loss": {"name": "focal", "gamma": 3},
        "class_weight": "balanced",
        "space": {
            "optimizer": ["SGD", "Adam"],
            "batch_size": 32,
            "learning_rate": 0.1,
            "momentum": {"low": 0, "high": 1, "when": {"optimizer": ["SGD"]}},
            "width": {"low": 16, "high": 64},
            "drop_factor": {"low": 0.1, "high": 0.5},
        },
    }
)


def test_each_parameter_reaches_its_place_and_the_space_wins():
    drawn = {
        "optimizer": "SGD",
        "batch_size": 32,
        "learning_rate": 0.1,
        "momentum": 0.9,
        "width": 33,
        "drop_factor": 0.2,
    }
    task = task_of(STAGE, drawn, seed=4)
    assert (task.epochs, task.seed) == (7, 4)
    assert task.optimizer_parameters == {"momentum": 0.9}
    assert (task.head, task.head_parameters["width"], task.head_parameters["dropout"]) == (
        "mlp", 33, 0.5
    )  # fmt: skip
    assert task.schedule == "step"
    assert task.schedule_parameters == {"drops": 4, "drop_factor": 0.2}
    assert (task.loss, task.loss_parameters) == ("focal", {"gamma": 3.0})
    assert task.class_weight == "balanced"
    other = task_of(STAGE, {**drawn, "optimizer": "Adam"}, seed=4)
    assert other.optimizer_parameters == {}
