"""Trains heads on all images that a search may use, for as long as the search found best."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import keras
import numpy as np

from automl_cv.catalog.heads import HEADS, REGULARISATION
from automl_cv.engine.head import describe
from automl_cv.engine.training import HeadTrainer, TrainingData, TrainingTask
from automl_cv.engine.views import Views
from automl_cv.errors import AutomlError
from automl_cv.history import Epoch, History


@dataclass(frozen=True)
class FittedHead:
    """A trained head.

    Args:
        head: from features to logits.
        history: its epochs. What they call validation is the training images after the epoch.
    """

    head: keras.Model
    history: History


def fit_head(
    data: TrainingData,
    task: TrainingTask,
    replay: Sequence[Epoch],
    views: Views | None,
    on_epoch: Callable[[Epoch], None],
) -> FittedHead:
    """Train a head without anything held out.

    Args:
        data: images that train; they also stand in for those that validate.
        task: the winner's; its schedule is as long as in the search.
        replay: epochs of the search to go by, the last of them the best.
        views: altered training images; None for the images as they are.
        on_epoch: is told each epoch.

    Raises:
        AutomlError: the loss is not finite on these images.
    """
    result = HeadTrainer(data).train(task, on_epoch, views, replay)
    if result.history.error is not None:
        raise AutomlError(
            f"the winner diverged on train and validation images together: "
            f"{result.history.error}; fit another trial with --trial"
        )
    own = HEADS[task.head].completed(task.head_parameters)
    shape = {name: value for name, value in own.items() if name not in REGULARISATION}
    head = HEADS[task.head].load()(describe(data.features, data.train, data.classes), **shape)
    head.set_weights(list(result.weights))
    return FittedHead(head, result.history)


def probabilities(heads: Sequence[keras.Model], features: np.ndarray) -> np.ndarray:
    """Return the softmax of the heads' mean logits, float32, shape (images, classes).

    Args:
        heads: from features to logits.
        features: float32, shape (images, features).
    """
    logits = [head(features, training=False).numpy() for head in heads]
    return np.asarray(keras.ops.softmax(np.mean(logits, axis=0)))
