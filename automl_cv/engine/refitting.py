"""Trains a winner again for as long as the search found best; gathers logits and probabilities."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import keras
import numpy as np

from automl_cv.catalog.heads import HEADS, shape_of
from automl_cv.engine.network import VALIDATION_BATCH_SIZE
from automl_cv.errors import AutomlError
from automl_cv.history import Epoch, History
from automl_cv.study.trial import TrainingTask
from automl_cv.trained import TrainingResult
from automl_cv.training.trainer import L, Trainer, V


@dataclass(frozen=True)
class FittedModel:
    """A trained head or network.

    Args:
        model: from features or pixels to logits.
        history: its epochs. Where nothing was held out, what they call validation is the
            training images after the epoch.
    """

    model: keras.Model
    history: History


def fit_head(
    trainer: Trainer[L, V],
    task: TrainingTask,
    replay: Sequence[Epoch],
    views: V | None,
    on_epoch: Callable[[Epoch], None],
) -> FittedModel:
    """Train a head for as long as the search found best, whatever validates it.

    Args:
        trainer: of all images that may train, which then stand in for those that validate; or
            of the search's own, to see how sure the winner was of those.
        task: the winner's; its schedule is as long as in the search.
        replay: epochs of the search to go by, the last of them the best.
        views: altered training images; None for the images as they are.
        on_epoch: is told each epoch.

    Raises:
        AutomlError: the loss is not finite on these images.
    """
    result = finished(trainer.train(task, on_epoch, views, replay))
    own = HEADS[task.head].completed(task.head_parameters)
    head = HEADS[task.head].load()(trainer.head_input, **shape_of(own))
    head.set_weights(list(result.weights))
    return FittedModel(head, result.history)


def finished(result: TrainingResult) -> TrainingResult:
    """Return the result of a training that went well.

    Raises:
        AutomlError: the loss was not finite.
    """
    if result.history.error is not None:
        raise AutomlError(
            f"the winner diverged when it was trained again: {result.history.error}; fit another "
            "trial with --trial"
        )
    return result


def logits_of(model: keras.Model, inputs: np.ndarray) -> np.ndarray:
    """Return a model's logits, float32, shape (images, classes).

    Args:
        model: a head or network.
        inputs: features or pixels, float32, first axis images.
    """
    return np.asarray(model(inputs, training=False))


def by_batches(logits: Callable[[np.ndarray], np.ndarray], rows: np.ndarray) -> np.ndarray:
    """Return the logits of any number of images, float32, shape (images, classes).

    Args:
        logits: returns those of a few images, which it may read into memory.
        rows: which images, int64 (images,).
    """
    starts = range(0, len(rows), VALIDATION_BATCH_SIZE)
    return np.concatenate([logits(rows[start : start + VALIDATION_BATCH_SIZE]) for start in starts])


def probabilities(logits: Sequence[np.ndarray], temperature: float = 1.0) -> np.ndarray:
    """Return the softmax of mean logits, float32, shape (images, classes).

    Args:
        logits: of each training, float32, shape (images, classes).
        temperature: what their mean is divided by.
    """
    return np.asarray(keras.ops.softmax(np.mean(logits, axis=0) / temperature))
