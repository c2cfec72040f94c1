"""Fitting without held-out images: as long as the search found best, at the search's rates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from automl_cv.errors import AutomlError
from automl_cv.history import Epoch
from tests.engine.test_training import blobs, go_on, task
from tests.later import later

with later():
    from automl_cv.engine.refitting import fit_head, logits_of, probabilities
    from automl_cv.engine.training import HeadTrainer
    from automl_cv.trained import TrainingData


def whole(data: TrainingData) -> TrainingData:
    """Return data of which all images train."""
    rows = np.concatenate([data.train, data.validation])
    labels = np.concatenate([data.train_labels, data.validation_labels])
    return replace(data, train=rows, train_labels=labels, validation=rows, validation_labels=labels)


@pytest.mark.slow
def test_training_ends_with_the_best_epoch_and_keeps_its_weights():
    data, todo = blobs(), task(learning_rate=3.0, epochs=12)
    searched = HeadTrainer(data).train(todo, go_on).history
    told: list[Epoch] = []
    fitted = fit_head(HeadTrainer(whole(data)), todo, searched.epochs[:5], None, told.append)
    assert len(told) == len(fitted.history.epochs) == 5
    last = fitted.history.epochs[-1]
    found = probabilities([logits_of(fitted.model, data.features)]).argmax(axis=1)
    both = whole(data)
    right = (found[both.train] == both.train_labels).mean()
    assert right == pytest.approx(last.val_accuracy), "the weights are those of the last epoch"
    assert last.val_accuracy < max(one.val_accuracy for one in fitted.history.epochs), (
        "which the search would not have kept"
    )


@pytest.mark.slow
def test_the_schedule_is_as_long_as_in_the_search():
    data, todo = blobs(), task(schedule="cosine", epochs=8)
    searched = HeadTrainer(data).train(todo, go_on).history
    fitted = fit_head(HeadTrainer(whole(data)), todo, searched.epochs[:4], None, go_on)
    half = fitted.history.epochs[-1].learning_rate / todo.learning_rate
    assert 0.5 < half < 0.6, "half of a cosine over 8 epochs, not the end of one over 4"


@pytest.mark.slow
def test_a_schedule_that_goes_by_validation_goes_by_that_of_the_search():
    data = blobs()
    own = {"plateau_patience": 1, "plateau_factor": 0.5}
    todo = task(schedule="reduce_on_plateau", schedule_parameters=own, epochs=10)
    searched = HeadTrainer(data).train(todo, go_on).history
    rates = [epoch.learning_rate for epoch in searched.epochs]
    assert len(set(rates)) > 2
    fitted = fit_head(HeadTrainer(whole(data)), todo, searched.epochs, None, go_on)
    assert [epoch.learning_rate for epoch in fitted.history.epochs] == rates


@pytest.mark.slow
def test_dropout_and_smoothing_are_no_part_of_the_head():
    data = blobs()
    own = {"normalization": True, "dropout": 0.5, "width": 8, "label_smoothing": 0.1}
    todo = task(head="mlp", head_parameters=own)
    searched = HeadTrainer(data).train(todo, go_on).history
    fitted = fit_head(HeadTrainer(whole(data)), todo, searched.epochs, None, go_on)
    first, second = (probabilities([logits_of(fitted.model, data.features)]) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.slow
def test_the_logits_of_several_heads_are_averaged():
    data, todo = blobs(), task()
    searched = HeadTrainer(data).train(todo, go_on).history
    heads = [
        fit_head(
            HeadTrainer(whole(data)), replace(todo, seed=seed), searched.epochs, None, go_on
        ).model
        for seed in (1, 2)
    ]
    logits = [logits_of(head, data.features) for head in heads]
    mean = np.mean(logits, axis=0)
    expected = np.exp(mean) / np.exp(mean).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(probabilities(logits), expected, rtol=1e-5)


@pytest.mark.slow
def test_divergence_is_told():
    data, todo = blobs(), task(head_parameters={"normalization": False})
    searched = HeadTrainer(data).train(todo, go_on).history
    data.features[data.validation[0]] = np.nan
    with pytest.raises(AutomlError, match="diverged when it was trained again"):
        fit_head(HeadTrainer(whole(data)), todo, searched.epochs, None, go_on)
