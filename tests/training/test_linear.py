"""A head of one layer trains in NumPy as it does in the Keras loop, and as ever again."""

from __future__ import annotations

import dataclasses
import warnings

import numpy as np
import pytest

from automl_cv.catalog.augmentations import Augmentation, Operation
from automl_cv.catalog.optimizers import OPTIMIZERS, OptimizerEntry
from automl_cv.catalog.settings import Setting
from automl_cv.history import Epoch
from automl_cv.study import studyfile
from automl_cv.training.first_weights import glorot_uniform
from automl_cv.training.keras_config import keras_arguments, optimizer_config
from automl_cv.training.linear import LinearTrainer, takes, takes_all
from tests.depth import each_time
from tests.engine.test_training import blobs, figures, go_on, task
from tests.later import later

with later():
    import keras

    from automl_cv.engine.training import HeadTrainer


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 5, 2**31 - 1])
@pytest.mark.parametrize(("features", "classes"), [(1, 2), (7, 3), (360, 10), (2048, 101)])
def test_first_weights_are_those_that_keras_draws(seed, features, classes):
    keras.utils.set_random_seed(seed)
    layer = keras.layers.Dense(classes)
    layer.build((None, features))
    np.testing.assert_array_equal(glorot_uniform(seed, features, classes), layer.kernel.numpy())


SWITCHES = {
    "nesterov": ("SGD", {"momentum": Setting(0.5)}),
    "amsgrad": ("Adam", {}),
    "centered": ("RMSprop", {"momentum": Setting(0.5)}),
}


EVERY = [*OPTIMIZERS.names, *SWITCHES]


@pytest.fixture(params=EVERY)
def optimizer(request):
    """Every optimizer of the table, and what an entry may switch on in one."""
    if request.param not in SWITCHES:
        yield request.param
        return
    name, numbers = SWITCHES[request.param]
    entry = OptimizerEntry(
        name=request.param,
        about="switched",
        target=OPTIMIZERS[name].target,
        step=OPTIMIZERS[name].step,
        parameters={**numbers, request.param: Setting(True)},
    )
    with OPTIMIZERS.temporary(entry):
        yield entry.name


def tasks_of(optimizer: str) -> list:
    """Return a plain task of an optimizer, and one with all that a head of one layer may have."""
    own = SWITCHES.get(optimizer, (optimizer,))[0]
    parameters = OPTIMIZERS[optimizer].completed({})
    plain = dataclasses.replace(task(own), optimizer=optimizer, epochs=50)
    if own != optimizer:
        plain = dataclasses.replace(plain, optimizer_parameters=parameters)
    everything = dataclasses.replace(
        plain,
        head="mlp",
        head_parameters={"hidden_layers": 0, "label_smoothing": 0.1, "weight_decay": 0.01},
        schedule="one_cycle",
        class_weight="balanced",
        metric="log_loss",
    )
    return [plain, everything]


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", each_time("SGD", "Adam", of=EVERY), indirect=True)
def test_fifty_epochs_are_those_of_the_keras_loop(optimizer):
    """Figures to 1e-6; last weights to 1e-6 and to 1e-6 of the largest of their layer.

    A small weight may be the difference of large steps: the order in which a processor adds is
    seen in it (SGD and Lamb, with AVX-512: 1.1e-6).
    """
    data = blobs()
    trainers = LinearTrainer(data), HeadTrainer(data)
    # A training that is replayed to its end leaves its last weights, not its best.
    replay = [Epoch(number, 0.5, 0.5, 1.0, 1.0, 0.1, 0.0) for number in range(1, 51)]
    for todo in tasks_of(optimizer):
        assert takes(todo)
        ours, theirs = (one.train(todo, go_on, replay=replay) for one in trainers)
        np.testing.assert_allclose(figures(ours), figures(theirs), rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(ours.probabilities, theirs.probabilities, rtol=1e-6, atol=1e-6)
        for own, other in zip(ours.weights, theirs.weights, strict=True):
            np.testing.assert_allclose(own, other, rtol=0, atol=1e-6 * (1 + np.abs(other).max()))


@pytest.mark.slow
def test_a_step_is_that_of_keras(optimizer):
    """Given the same gradients, however they come about."""
    todo = tasks_of(optimizer)[0]
    entry, draw = OPTIMIZERS[optimizer], np.random.default_rng(0)
    weights = draw.normal(size=(41, 6)).astype(np.float32)
    variables = [keras.Variable(weights[:-1]), keras.Variable(weights[-1])]
    theirs = entry.load()(**keras_arguments(todo))
    ours = entry.load_step()(weights.shape, todo.optimizer_parameters)
    for number in range(60):
        size = 10.0 ** draw.integers(-6, 2)
        gradient = (size * draw.normal(size=weights.shape)).astype(np.float32)
        rate = np.float32(todo.learning_rate * (1 - number / 60))
        theirs.learning_rate = float(rate)
        theirs.apply([gradient[:-1], gradient[-1]], variables)
        ours.step(weights, gradient.copy(), rate)
        np.testing.assert_allclose(weights[:-1], variables[0].numpy(), rtol=2e-6, atol=1e-6)
        np.testing.assert_allclose(weights[-1], variables[1].numpy(), rtol=2e-6, atol=1e-6)


@pytest.mark.slow
def test_a_config_is_that_of_keras(optimizer):
    for todo in tasks_of(optimizer):
        config = OPTIMIZERS[optimizer].load()(**keras_arguments(todo)).get_config()
        theirs = {name: value for name, value in config.items() if value is not None}
        ours = optimizer_config(todo)
        # Keras counts those of a process: adam, adam_1.
        assert theirs["name"].startswith(ours["name"])
        assert {**theirs, "name": ours["name"]} == dict(ours)
        assert list(theirs) == list(ours)


MIXED = Augmentation((Operation("mixup", (("alpha", 0.2),)),))


def test_what_is_more_than_one_layer_and_cross_entropy_is_left_to_keras():
    assert takes(task())
    assert takes(task(head="mlp", head_parameters={"hidden_layers": 0}))
    assert not takes(task(head="mlp"))
    assert not takes(task(loss="focal"))
    assert not takes(task(mixing=MIXED))
    plain = OptimizerEntry(name="Plain", about="no step", target="keras.optimizers:SGD")
    with OPTIMIZERS.temporary(plain):
        assert not takes(dataclasses.replace(task(), optimizer="Plain", optimizer_parameters={}))


def test_the_same_task_gives_the_same_numbers_whatever_ran_before(tmp_path):
    data = blobs()
    fresh = LinearTrainer(data).train(task(), go_on)
    used = LinearTrainer(data)
    used.train(task(learning_rate=0.9, batch_size=7), go_on)
    used.train(task("Adam", batch_size=1000), go_on)
    assert figures(used.train(task(), go_on)) == figures(fresh)
    assert figures(used.train(task(seed=6), go_on)) != figures(fresh)
    np.save(tmp_path / "features.npy", data.features)
    mapped = np.load(tmp_path / "features.npy", mmap_mode="r")
    shared = LinearTrainer(dataclasses.replace(data, features=mapped)).train(task(), go_on)
    assert figures(shared) == figures(fresh)
    np.testing.assert_array_equal(shared.weights[0], fresh.weights[0])


@pytest.mark.parametrize("batch_size", [1, 3, 99, 100, 101, 5000])
def test_any_size_of_a_batch_is_trained(batch_size, monkeypatch):
    """However many steps' features are gathered at once, the numbers are the same."""
    todo = task(batch_size=batch_size)
    whole = LinearTrainer(blobs()).train(todo, go_on)
    monkeypatch.setattr("automl_cv.training.linear.VALUES_AT_ONCE", 12 * 30)
    parts = LinearTrainer(blobs()).train(todo, go_on)
    np.testing.assert_array_equal(parts.weights[0], whole.weights[0])
    np.testing.assert_allclose(figures(parts), figures(whole), rtol=1e-6)


def test_divergence_ends_the_trial_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = LinearTrainer(blobs()).train(task(learning_rate=1e38), go_on)
    assert result.history.error == "the loss is not finite in epoch 1"
    assert result.weights == ()


def stage(space: dict | None = None, **keys: object) -> dict:
    drawn = {"optimizer": ["SGD", "Adam"], "batch_size": 16, "learning_rate": 0.1}
    return {"name": "one", "trials": 1, "epochs": 1, "space": {**drawn, **(space or {})}, **keys}


RETRAINED = {"name": "two", "retrain": {"stages": "one", "repeats": 2}}


@pytest.mark.parametrize(
    ("stages", "expected"),
    [
        ([stage()], True),
        ([stage(head="mlp")], False),
        ([stage(head="mlp", space={"hidden_layers": 0})], True),
        ([stage(head="mlp", space={"hidden_layers": [0, 1]})], False),
        ([stage(loss="focal")], False),
        ([stage(augmentation={"zoom": 0.1})], False),
        ([stage(space={"mixup": {"low": 0.0, "high": 0.4}})], False),
        ([stage(network="ResNet10")], False),
        ([{"name": "one", "exact": "logistic", "trials": 1}], True),
        ([stage(), {"name": "two", "trials": 1, "epochs": 1, "narrow_from": "one"}], True),
        ([stage(loss="focal"), RETRAINED], False),
        ([stage(), RETRAINED], True),
        ([stage(), {**RETRAINED, "epochs": 1, "fine_tune": {"blocks": 1}}], False),
    ],
)
def test_a_stage_is_known_to_need_no_keras_before_a_trial_is_drawn(stages, expected):
    study = studyfile.parse({"name": "any", "stage": stages}, "any.toml")
    assert takes_all(study, study.stages[-1]) == expected
