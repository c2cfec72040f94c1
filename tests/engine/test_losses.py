"""Losses and class weights: those of Keras and scikit-learn, in heads and in networks."""

from __future__ import annotations

import numpy as np
import pytest

from automl_cv.training.epochs import balanced_weights
from tests.engine.test_network import network_data
from tests.engine.test_training import blobs, figures, go_on, task
from tests.later import later

with later():
    import keras
    import tensorflow as tf
    from sklearn.utils.class_weight import compute_class_weight

    from automl_cv.engine.head import linear
    from automl_cv.engine.losses import cross_entropies, focal, weighted
    from automl_cv.engine.network import NetworkTrainer
    from automl_cv.engine.training import HeadTrainer
    from automl_cv.trained import TrainingData
    from automl_cv.training.epochs import epoch_order
    from automl_cv.training.head_input import describe


CHANGES = [
    {"loss": "focal", "loss_parameters": {"gamma": 3.0}},
    {"class_weight": "balanced"},
    {"loss": "focal", "class_weight": "balanced", "head_parameters": {"label_smoothing": 0.2}},
]


def drawn() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    shares = draw.dirichlet(np.ones(4), 50).astype(np.float32)
    return draw.integers(0, 4, 50).astype(np.int32), shares, draw.normal(size=(50, 4)).astype("f4")


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_is_that_of_keras(gamma):
    labels, shares, logits = drawn()
    expected = keras.losses.CategoricalFocalCrossentropy(
        alpha=1.0, gamma=gamma, from_logits=True, reduction=None
    )
    loss = focal(gamma)
    np.testing.assert_allclose(loss.of_labels(shares, logits), expected(shares, logits), 1e-5)
    known = np.eye(4, dtype=np.float32)[labels]
    np.testing.assert_allclose(loss.of_labels(labels, logits), expected(known, logits), 1e-5)
    even = np.full_like(logits, 1 / 4)
    np.testing.assert_allclose(loss.of_even_shares(logits), expected(even, logits), 1e-5)


def test_focal_without_gamma_is_cross_entropy():
    labels, _, logits = drawn()
    found = focal(0.0).of_labels(labels, logits)
    np.testing.assert_allclose(found, cross_entropies(labels, logits), 1e-5)


def test_focal_has_a_slope_where_the_class_is_certain():
    logits = tf.Variable([[200.0, 0.0]])
    with tf.GradientTape() as tape:
        loss = focal(0.5).of_labels(tf.constant([0]), logits)
    assert np.isfinite(tape.gradient(loss, logits).numpy()).all()


def test_balanced_weights_are_those_of_scikit_learn():
    labels = np.array([0] * 7 + [1] * 2 + [2] * 11, np.int32)
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    np.testing.assert_allclose(balanced_weights(labels, 3), expected, 1e-6)
    assert list(balanced_weights(labels, 4)) == [*balanced_weights(labels, 3), 1.0]


def test_shares_of_classes_have_the_mean_weight():
    weights = np.array([1.0, 3.0], np.float32)
    mixed = weighted(np.ones(2, "f4"), np.array([[0.5, 0.5], [1.0, 0.0]], "f4"), weights)
    assert list(mixed.numpy()) == [2.0, 1.0]
    assert list(weighted(np.ones(2, "f4"), np.array([1, 0], "i4"), weights)) == [3.0, 1.0]


def imbalanced() -> TrainingData:
    """Return three classes that overlap, of which the last has one image in twenty."""
    draw = np.random.default_rng(2)
    labels = draw.choice(3, 600, p=[0.5, 0.45, 0.05]).astype(np.int32)
    centres = np.array([[0.0, 0.0, 1.0], [0.0, 2.0, 0.0], [1.5, 0.0, 0.0]])
    values = (centres[labels] + draw.normal(size=(600, 3))).astype(np.float32)
    train, validation = np.arange(0, 600, 2), np.arange(1, 600, 2)
    return TrainingData(values, train, labels[train], validation, labels[validation], 3)


def head_of(data: TrainingData) -> keras.Model:
    return linear(describe(data.features, data.train, data.classes), normalization=False)


@pytest.mark.slow
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_class_weights_train_as_keras_does(smoothing):
    data = imbalanced()
    own = {"label_smoothing": smoothing}
    todo = task(epochs=3, class_weight="balanced", head_parameters=own)
    weights = balanced_weights(data.train_labels, data.classes)
    keras.utils.set_random_seed(todo.seed)
    model = head_of(data)
    model.compile(
        keras.optimizers.SGD(todo.learning_rate, **todo.optimizer_parameters),
        keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing),
    )
    for number in range(1, todo.epochs + 1):
        order = epoch_order(len(data.train), todo.seed, number)
        for start in range(0, len(order), todo.batch_size):
            rows = order[start : start + todo.batch_size]
            labels = data.train_labels[rows]
            model.train_on_batch(
                data.features[data.train[rows]],
                np.eye(3, dtype=np.float32)[labels],
                sample_weight=weights[labels],
            )
    trainer = HeadTrainer(data)
    history = trainer.train(todo, go_on).history
    last = trainer.train(todo, go_on, replay=history.epochs)
    for ours, theirs in zip(last.weights, model.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["head", "network"])
def test_each_finds_more_of_a_rare_class(kind):
    data = imbalanced()

    def recall(**changes: object) -> float:
        todo = task(epochs=6, head_parameters={}, **changes)
        model = head_of(data)
        if kind == "head":
            trainer = HeadTrainer(data)
            history = trainer.train(todo, go_on).history
            model.set_weights(list(trainer.train(todo, go_on, replay=history.epochs).weights))
        else:
            NetworkTrainer(network_data(data), lambda _: model).train(todo, go_on)
        rare = data.validation[data.validation_labels == 2]
        return float(np.mean(model(data.features[rare]).numpy().argmax(axis=1) == 2))

    plain = recall()
    assert recall(class_weight="balanced") > plain
    assert recall(loss="focal", loss_parameters={"gamma": 5.0}) > plain


@pytest.mark.slow
def test_each_leaves_validation_loss_plain_and_the_others_as_they_were():
    data = blobs()
    trainer = HeadTrainer(data)
    before = figures(trainer.train(task(), go_on))
    runs = [trainer.train(task(**changes), go_on) for changes in CHANGES]
    assert figures(trainer.train(task(), go_on)) == before
    assert len({run.history.epochs[-1].val_loss for run in runs}) == len(runs)
