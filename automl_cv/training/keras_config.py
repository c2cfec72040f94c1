"""What Keras says of an optimizer, told without it where there is a step that does the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from automl_cv.catalog.optimizers import OPTIMIZERS
from automl_cv.study.trial import TrainingTask
from automl_cv.training.optimizers import Step


def keras_arguments(task: TrainingTask) -> dict[str, Any]:
    """Return what a task's optimizer is made with, by Keras's names."""
    decay = float(task.head_parameters.get("weight_decay", 0.0))
    own = {"learning_rate": task.learning_rate, **task.optimizer_parameters}
    return {**own, "weight_decay": decay} if decay > 0 else own


def optimizer_config(task: TrainingTask) -> Mapping[str, Any]:
    """Return Keras's own description of a task's optimizer, its own defaults included.

    Of an optimizer with a step it is told without Keras.
    """
    entry, given = OPTIMIZERS[task.optimizer], keras_arguments(task)
    if not entry.step:
        config = entry.load()(**given).get_config()
        return {key: value for key, value in config.items() if value is not None}
    kind: type[Step] = entry.load_step()
    rate = float(np.float32(given.pop("learning_rate")))
    decay = {"weight_decay": given.pop("weight_decay")} if "weight_decay" in given else {}
    return {
        "name": kind.keras_name,
        "learning_rate": rate,
        **decay,
        # What all of Keras's optimizers have, and no space may hold.
        "use_ema": False,
        "ema_momentum": 0.99,
        **kind.defaults,
        **given,
    }
