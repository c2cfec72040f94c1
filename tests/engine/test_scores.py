"""Each metric is measured on the validation images, and says which epoch is the best."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from automl_cv.catalog.metrics import METRICS
from automl_cv.errors import UserError
from automl_cv.scoring import figure
from tests.engine.test_losses import head_of, imbalanced
from tests.engine.test_network import network_data
from tests.engine.test_training import figures, go_on, task
from tests.later import later

with later():
    import keras

    from automl_cv.engine.head import linear
    from automl_cv.engine.network import NetworkTrainer
    from automl_cv.engine.training import HeadTrainer
    from automl_cv.training.head_input import describe


@pytest.mark.slow
@pytest.mark.parametrize("metric", METRICS.names)
def test_the_best_epoch_is_that_of_the_metric(metric):
    data = imbalanced()
    trainer = HeadTrainer(data)
    todo = task(epochs=8, head_parameters={}, metric=metric)
    result = trainer.train(todo, go_on)
    best = result.history.best
    assert best.merit == max(epoch.merit for epoch in result.history.epochs)
    model = linear(describe(data.features, data.train, data.classes), normalization=False)
    model.set_weights(list(result.weights))
    probabilities = keras.ops.softmax(model(data.features[data.validation])).numpy()
    value = figure(metric, data.validation_labels, probabilities)
    assert METRICS[metric].score(best.merit) == pytest.approx(value, rel=1e-4)
    plain = trainer.train(dataclasses.replace(todo, metric="accuracy"), go_on)
    assert figures(plain) == figures(result), "measuring changes nothing else"
    assert all(epoch.score is None for epoch in plain.history.epochs)


@pytest.mark.slow
@pytest.mark.parametrize("metric", ["auroc", "log_loss"])
@pytest.mark.parametrize("shards", [1, 2])
def test_a_network_is_measured_as_a_head_is(metric, shards):
    data = imbalanced()
    todo = task(epochs=3, head_parameters={}, metric=metric)
    expected = HeadTrainer(data).train(todo, go_on)
    trainer = NetworkTrainer(network_data(data), lambda _: head_of(data), shards=shards)
    found = trainer.train(todo, go_on)
    for ours, theirs in zip(found.history.epochs, expected.history.epochs, strict=True):
        assert ours.score == pytest.approx(theirs.score, rel=1e-4)
    for ours, theirs in zip(found.weights, expected.weights, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_a_metric_that_the_images_do_not_determine_is_refused():
    data = imbalanced()
    one = np.flatnonzero(data.validation_labels == 0)
    data = dataclasses.replace(
        data, validation=data.validation[one], validation_labels=data.validation_labels[one]
    )
    with pytest.raises(UserError, match="metric: 'auroc' can't be measured on these"):
        HeadTrainer(data).train(task(epochs=1, metric="auroc"), go_on)
