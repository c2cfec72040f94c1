"""Our traced loop does what Keras does, and does the same again."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from automl_cv.catalog.heads import HEADS
from automl_cv.catalog.optimizers import OPTIMIZERS, OptimizerEntry
from automl_cv.catalog.schedules import SCHEDULES
from automl_cv.catalog.settings import Setting
from automl_cv.study.trial import TrainingTask
from tests.depth import each_time
from tests.later import later

with later():
    import keras

    from automl_cv.engine import runtime
    from automl_cv.engine.head import linear
    from automl_cv.engine.training import HeadTrainer
    from automl_cv.trained import TrainingData
    from automl_cv.training.epochs import epoch_order
    from automl_cv.training.head_input import describe
    from automl_cv.training.schedules import Plan
    from tests.engine.keras_schedules import FIXED, plateau_callback


SETTINGS = {
    "SGD": (0.1, {"momentum": 0.8}),
    "RMSprop": (0.01, {"momentum": 0.3}),
    "Adagrad": (0.1, {}),
    "Adadelta": (1.0, {}),
    "Adam": (0.01, {}),
    "Adamax": (0.01, {}),
    "Nadam": (0.01, {}),
    "Lion": (0.01, {"beta_1": 0.8, "beta_2": 0.95}),
    "Adafactor": (0.1, {"clip_threshold": 0.5}),
    "Lamb": (0.03, {"beta_1": 0.8, "beta_2": 0.95}),
}


def blobs(images: int = 200, features: int = 12, classes: int = 3, seed: int = 0) -> TrainingData:
    """Return classes that overlap a little, so that no curve ends at 1."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, images).astype(np.int32)
    centres = generator.normal(size=(classes, features))
    values = (centres[labels] + generator.normal(scale=1.5, size=(images, features))).astype(
        np.float32
    )
    train, validation = np.arange(0, images, 2), np.arange(1, images, 2)
    return TrainingData(values, train, labels[train], validation, labels[validation], classes)


def task(optimizer: str = "SGD", **changes: object) -> TrainingTask:
    rate, own = SETTINGS[optimizer]
    plain = TrainingTask(
        optimizer=optimizer,
        batch_size=16,
        learning_rate=rate,
        epochs=4,
        seed=5,
        head="linear",
        head_parameters={"normalization": True},
        optimizer_parameters=own,
    )
    return dataclasses.replace(plain, **changes)


def go_on(epoch):
    return None


def keras_run(data: TrainingData, todo: TrainingTask) -> list[np.ndarray]:
    """Train the same head with Keras's own compile and train_on_batch, in the same order."""
    keras.utils.set_random_seed(todo.seed)
    own = dict(todo.head_parameters)
    smoothing, decay = own.pop("label_smoothing", 0.0), own.pop("weight_decay", None)
    build = HEADS[todo.head].load()
    model = build(describe(data.features, data.train, data.classes), **own)
    plan = Plan(todo.learning_rate, todo.epochs, -(-len(data.train) // todo.batch_size))
    rate = todo.learning_rate
    if todo.schedule in FIXED:
        rate = FIXED[todo.schedule](plan, **todo.schedule_parameters)
    optimizer = OPTIMIZERS[todo.optimizer].load()(
        learning_rate=rate, weight_decay=decay, **todo.optimizer_parameters
    )
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)
    model.compile(optimizer, loss, jit_compile=False)
    callback = None
    if todo.schedule == "reduce_on_plateau":
        callback = plateau_callback(plan, **todo.schedule_parameters)
        callback.set_model(model)
        callback.on_train_begin()
    one_hot = np.eye(data.classes, dtype=np.float32)
    for number in range(1, todo.epochs + 1):
        order = epoch_order(len(data.train), todo.seed, number)
        rows, labels = data.train[order], data.train_labels[order]
        for start in range(0, len(rows), todo.batch_size):
            chosen = slice(start, start + todo.batch_size)
            model.train_on_batch(data.features[rows[chosen]], one_hot[labels[chosen]])
        if callback is not None:
            plain = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            logits = model(data.features[data.validation])
            callback.on_epoch_end(
                number - 1, {"val_loss": float(plain(data.validation_labels, logits))}
            )
    return [np.asarray(variable) for variable in model.trainable_variables]


def our_run(data: TrainingData, todo: TrainingTask) -> list[np.ndarray]:
    trainer = HeadTrainer(data)
    # A trial before it leaves its traces in the shared loop, if any can be left.
    trainer.train(dataclasses.replace(todo, seed=99, learning_rate=0.5), go_on)
    trainer.train(todo, go_on)
    (loop,) = trainer._loops.values()
    return [np.asarray(variable) for variable in loop._model.trainable_variables]


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", each_time("SGD", "RMSprop", "Adam", of=OPTIMIZERS.names))
def test_weights_equal_those_of_keras_train_on_batch(optimizer):
    data = blobs()
    expected = keras_run(data, task(optimizer))
    for ours, theirs in zip(our_run(data, task(optimizer)), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["SGD", "RMSprop"])
def test_momentum_of_zero_equals_keras_without_momentum(optimizer):
    data = blobs()
    todo = task(optimizer, optimizer_parameters={"momentum": 0.0})
    for ours, theirs in zip(our_run(data, todo), keras_run(data, todo), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


SCHEDULED = {
    "constant": {},
    "exponential": {"final_fraction": 0.02},
    "step": {"drops": 2, "drop_factor": 0.2},
    "cosine": {"final_fraction": 0.1},
    "one_cycle": {"warmup_fraction": 0.4, "first_fraction": 0.1, "final_fraction": 0.05},
    "reduce_on_plateau": {
        "plateau_factor": 0.3,
        "plateau_patience": 1,
        "plateau_delta": 0.05,
        "plateau_cooldown": 0,
        "final_fraction": 0.0,
    },
}


def test_every_schedule_of_the_table_is_covered():
    assert list(SCHEDULED) == SCHEDULES.names


def scheduled(optimizer: str, schedule: str) -> TrainingTask:
    return task(optimizer, schedule=schedule, schedule_parameters=SCHEDULED[schedule])


def assert_equals_keras(data: TrainingData, todo: TrainingTask) -> None:
    for ours, theirs in zip(our_run(data, todo), keras_run(data, todo), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


# Keras reads the optimizer's rate by `np.array(variable)`, whose `__array__` NumPy 2 warns of.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")
@pytest.mark.parametrize(
    "schedule", each_time("one_cycle", "reduce_on_plateau", of=SCHEDULES.names)
)
def test_a_schedule_trains_as_keras_does_with_its_own(schedule):
    assert_equals_keras(blobs(), scheduled("SGD", schedule))


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", each_time("SGD", "Adam", of=OPTIMIZERS.names))
def test_every_optimizer_takes_a_schedule_and_a_decay(optimizer):
    todo = scheduled(optimizer, "one_cycle")
    decayed = {"normalization": True, "weight_decay": 0.05}
    assert_equals_keras(blobs(), dataclasses.replace(todo, head_parameters=decayed))


@pytest.mark.slow
def test_a_schedule_is_recorded_and_makes_no_new_loop():
    trainer = HeadTrainer(blobs())
    trainer.train(task(batch_size=7), go_on)
    result = trainer.train(
        task(schedule="step", schedule_parameters={"drops": 1, "drop_factor": 0.5}), go_on
    )
    rates = [epoch.learning_rate for epoch in result.history.epochs]
    assert rates == pytest.approx([0.1, 0.1, 0.05, 0.05])
    (loop,) = trainer._loops.values()
    assert loop.run.experimental_get_tracing_count() == 1


MLP = {
    "hidden_layers": 2,
    "width": 9,
    "activation": "gelu",
    "dropout": 0.3,
    "normalization": True,
    "label_smoothing": 0.2,
    "weight_decay": 0.01,
}


@pytest.mark.slow
def test_a_head_with_everything_trains_as_keras_does():
    assert_equals_keras(blobs(), task("Adam", head="mlp", head_parameters=MLP))


@pytest.mark.slow
def test_label_smoothing_leaves_validation_loss_plain():
    smoothed = HeadTrainer(blobs()).train(
        task(epochs=1, head_parameters={"label_smoothing": 0.5}), go_on
    )
    data = blobs()
    model = linear(describe(data.features, data.train, data.classes), normalization=False)
    model.set_weights(smoothed.weights)
    plain = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    expected = float(plain(data.validation_labels, model(data.features[data.validation])))
    (epoch,) = smoothed.history.epochs
    assert epoch.val_loss == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
def test_dropout_is_the_same_whatever_ran_before():
    todo = task("Adam", head="mlp", head_parameters=MLP)
    fresh = HeadTrainer(blobs()).train(todo, go_on)
    used = HeadTrainer(blobs())
    keras.random.uniform((3,))  # moves the process's own random numbers on
    used.train(dataclasses.replace(todo, seed=77, epochs=3), go_on)
    assert figures(used.train(todo, go_on)) == figures(fresh)
    (loop,) = used._loops.values()
    assert loop.run.experimental_get_tracing_count() == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("dropout", 0.6),
        pytest.param("label_smoothing", 0.6, marks=pytest.mark.exhaustive),
        pytest.param("weight_decay", 0.9, marks=pytest.mark.exhaustive),
    ],
)
def test_numbers_that_leave_the_graph_as_it_is_share_a_loop(name, value):
    trainer = HeadTrainer(blobs())
    without = {**MLP, name: 0.0}
    runs = [
        figures(trainer.train(task(head="mlp", head_parameters=parameters), go_on))
        for parameters in (MLP, {**MLP, name: value}, MLP, without)
    ]
    assert runs[0] == runs[2]
    assert runs[1] != runs[0] != runs[3] != runs[1]
    assert len(trainer._loops) == 2, "one with it and one without"


def test_every_optimizer_of_the_table_is_covered():
    assert list(SETTINGS) == OPTIMIZERS.names


@pytest.mark.slow
def test_the_same_task_gives_the_same_numbers_whatever_ran_before():
    data = blobs()
    fresh = HeadTrainer(data).train(task(), go_on)
    used = HeadTrainer(data)
    used.train(task("SGD", learning_rate=0.9, batch_size=7), go_on)
    used.train(task("Adam"), go_on)
    again = used.train(task(), go_on)
    assert figures(again) == figures(fresh)
    other = used.train(task(seed=6), go_on)
    assert figures(other) != figures(fresh)


def figures(result):
    return [
        (e.accuracy, e.val_accuracy, e.loss, e.val_loss, e.learning_rate)
        for e in result.history.epochs
    ]


def test_figures_are_those_of_the_weights():
    """Validation figures of an epoch can be computed again from its weights."""
    data = blobs()
    result = HeadTrainer(data).train(task(epochs=1), go_on)
    model = linear(describe(data.features, data.train, data.classes), normalization=True)
    for variable, value in zip(model.variables, result.weights, strict=True):
        variable.assign(value)
    logits = np.asarray(model(data.features[data.validation]))
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_probabilities = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    labels = data.validation_labels
    epoch = result.history.epochs[0]
    assert epoch.val_accuracy == pytest.approx((logits.argmax(axis=1) == labels).mean())
    assert epoch.val_loss == pytest.approx(
        -log_probabilities[np.arange(len(labels)), labels].mean(), rel=1e-5
    )


@pytest.mark.slow
def test_weights_of_the_best_epoch_are_kept():
    trainer = HeadTrainer(blobs())
    long = trainer.train(task(epochs=6, learning_rate=0.5), go_on)
    best = long.history.best.epoch
    assert best < 6, "the last epoch being the best would show nothing"
    trainer.train(task(epochs=best, learning_rate=0.5), go_on)
    (loop,) = trainer._loops.values()
    for kept, current in zip(long.weights, loop.weights(), strict=True):
        np.testing.assert_array_equal(kept, current)


def test_a_stop_ends_the_trial_with_its_reason():
    result = HeadTrainer(blobs()).train(
        task(), lambda epoch: "plateau" if epoch.epoch == 2 else None
    )
    assert [epoch.epoch for epoch in result.history.epochs] == [1, 2]
    assert result.history.stop_reason == "plateau"


def test_divergence_ends_the_trial_and_names_the_epoch():
    data = blobs()
    data.features[data.train[0]] = np.nan
    result = HeadTrainer(data).train(task(head_parameters={"normalization": False}), go_on)
    assert result.history.stop_reason == "diverged"
    assert result.history.error == "the loss is not finite in epoch 1"
    assert result.history.best is None
    assert result.weights == ()


@pytest.mark.slow
def test_keras_defaults_are_recorded():
    adadelta = HeadTrainer(blobs()).train(task("Adadelta", epochs=1), go_on)
    assert adadelta.optimizer_config["rho"] == 0.95
    assert adadelta.optimizer_config["epsilon"] == 1e-7
    sgd = HeadTrainer(blobs()).train(task(epochs=1), go_on)
    assert sgd.optimizer_config["momentum"] == 0.8
    decayed = task(epochs=1, head_parameters={"weight_decay": 0.01})
    assert HeadTrainer(blobs()).train(decayed, go_on).optimizer_config["weight_decay"] == 0.01


def test_a_feature_that_hardly_varies_in_training_is_not_blown_up():
    data = blobs()
    data.features[:, 0] = 0.0
    data.features[data.validation[0], 0] = 1.0
    given = describe(data.features, data.train, data.classes)
    assert given.variance[0] > 0
    result = HeadTrainer(data).train(task(epochs=1), go_on)
    assert result.history.epochs[0].val_loss < 10


@pytest.mark.slow
def test_loops_are_shared_by_trials_of_one_optimizer():
    trainer = HeadTrainer(blobs())
    for rate, batch_size in [(0.1, 5), (0.2, 50), (0.3, 1000)]:
        trainer.train(task(learning_rate=rate, batch_size=batch_size), go_on)
    (loop,) = trainer._loops.values()
    assert loop.run.experimental_get_tracing_count() == 1


SWITCHED = OptimizerEntry(
    name="Switched",
    about="SGD whose kind of momentum can be chosen",
    target="keras.optimizers:SGD",
    parameters={"momentum": Setting(0.9, lowest=0, highest=1), "nesterov": Setting(False)},
)
MAXIMA = OptimizerEntry(
    name="Maxima",
    about="Adam that can keep the largest second moment",
    target="keras.optimizers:Adam",
    parameters={"beta_1": Setting(0.9, lowest=0, highest=1), "amsgrad": Setting(False)},
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("entry", "rate", "number", "switch"),
    [
        (SWITCHED, 0.1, {"momentum": 0.8}, "nesterov"),
        pytest.param(MAXIMA, 0.01, {"beta_1": 0.7}, "amsgrad", marks=pytest.mark.exhaustive),
    ],
    ids=["nesterov", "amsgrad"],
)
def test_yes_or_no_of_an_optimizer_is_compiled_and_numbers_are_not(entry, rate, number, switch):
    data, trainer = blobs(), HeadTrainer(blobs())
    with OPTIMIZERS.temporary(entry):
        for chosen in (True, False):
            todo = dataclasses.replace(
                task(learning_rate=rate),
                optimizer=entry.name,
                optimizer_parameters={**number, switch: chosen},
            )
            defaults = dataclasses.replace(todo, optimizer_parameters={switch: chosen})
            trainer.train(defaults, go_on)
            result = trainer.train(todo, go_on)
            assert result.optimizer_config[switch] is chosen
            loop = list(trainer._loops.values())[-1]
            assert loop.run.experimental_get_tracing_count() == 1, "the number is live"
            assert_equals_keras(data, todo)
        assert len(trainer._loops) == 2, "one for yes and one for no"


@pytest.mark.parametrize("name", OPTIMIZERS.names)
def test_an_optimizer_of_the_table_is_compiled_once(name):
    assert OPTIMIZERS[name].live == set(OPTIMIZERS[name].parameters)


def test_memory_mapped_features_are_shared_not_copied(tmp_path):
    array = np.random.default_rng(0).random((50_000, 200), dtype=np.float32)
    np.save(tmp_path / "features.npy", array)
    mapped = np.load(tmp_path / "features.npy", mmap_mode="r")
    runtime.as_tensor(np.zeros(3, np.float32))[1].numpy()  # TensorFlow's own first memory
    before = anonymous_memory()
    tensor = runtime.as_tensor(mapped)
    np.testing.assert_array_equal(tensor[17].numpy(), array[17])
    assert anonymous_memory() - before < array.nbytes / 4


def test_a_slice_of_mapped_features_keeps_its_rows(tmp_path):
    array = np.random.default_rng(0).random((50, 8), dtype=np.float32)
    np.save(tmp_path / "features.npy", array)
    mapped = np.load(tmp_path / "features.npy", mmap_mode="r")
    np.testing.assert_array_equal(runtime.as_tensor(mapped[10:20]).numpy(), array[10:20])


def anonymous_memory() -> int:
    """Return bytes of this process that no file backs (Linux)."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("RssAnon"))
