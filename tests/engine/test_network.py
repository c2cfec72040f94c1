"""A network trains like a head, and a killed training goes on as if nothing had happened."""

from __future__ import annotations

import dataclasses
import functools
import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from automl_cv.catalog.heads import HEADS, REGULARISATION
from automl_cv.training import checkpoints
from automl_cv.training.head_input import describe
from tests.depth import each_time
from tests.engine.test_training import blobs, go_on, task
from tests.later import later

with later():
    import keras

    from automl_cv.engine.network import NetworkData, NetworkTrainer
    from automl_cv.engine.training import HeadTrainer
    from automl_cv.trained import TrainingData, TrainingResult
    from automl_cv.training.epochs import epoch_order
    from tests.engine import small_network
    from tests.engine.small_network import IMAGES, TASK, figures


def network_data(given: TrainingData) -> NetworkData:
    """Return the data of a head, as a network takes it."""
    return NetworkData(
        training_batch=lambda rows, epoch, seed: (
            (given.features[given.train[rows]],),
            given.train_labels[rows],
        ),
        training_labels=given.train_labels,
        validation_batch=lambda rows: (
            (given.features[given.validation[rows]],),
            given.validation_labels[rows],
        ),
        validation_images=len(given.validation),
        classes=given.classes,
        fingerprint="blobs",
    )


def on_blobs() -> tuple[NetworkData, HeadTrainer, dict]:
    """Return the data of a head's tests, as a network takes it."""
    given = blobs()
    data = network_data(given)
    return data, HeadTrainer(given), {"given": describe(given.features, given.train, 3)}


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"schedule": "cosine"},
        {"head_parameters": {"label_smoothing": 0.2, "weight_decay": 0.05}},
        {"batch_size": 33},  # a last batch of one image
        {"loss": "focal", "class_weight": "balanced", "head_parameters": {"label_smoothing": 0.2}},
    ],
)
@pytest.mark.parametrize("optimizer", each_time("Adam", of=["SGD", "Adam"]))
@pytest.mark.parametrize("shards", [1, 2])
def test_a_network_trains_as_a_head_does(optimizer, changes, shards):
    own = task(optimizer, **changes)
    data, heads, head_input = on_blobs()

    def build(own):
        parameters = HEADS["linear"].completed(own.head_parameters)
        shape = {name: one for name, one in parameters.items() if name not in REGULARISATION}
        return HEADS["linear"].load()(head_input["given"], **shape)

    expected = heads.train(own, go_on)
    found = NetworkTrainer(data, build, shards=shards).train(own, go_on)
    assert len(found.history.epochs) == own.epochs
    for ours, theirs in zip(found.history.epochs, expected.history.epochs, strict=True):
        for name in ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"):
            assert getattr(ours, name) == pytest.approx(getattr(theirs, name), rel=1e-4), name
    for ours, theirs in zip(found.weights, expected.weights, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(found.probabilities, expected.probabilities, rtol=1e-3, atol=1e-5)
    assert found.optimizer_config == {
        **expected.optimizer_config,
        "name": found.optimizer_config["name"],  # Keras counts them
    }


@pytest.mark.slow
def test_parts_of_a_batch_give_the_step_of_the_whole():
    def run(shards):
        def build(own):
            return small_network.build(own, normalizing=False)

        own = dataclasses.replace(TASK, optimizer="SGD", learning_rate=0.5)
        return NetworkTrainer(small_network.data(), build, shards=shards).train(own, go_on)

    whole, halves = run(1), run(2)
    assert whole.history.epochs[-1].loss < 0.95 * whole.history.epochs[0].loss
    for ours, theirs in zip(halves.weights, whole.weights, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-5)
    assert figures(run(2)) == figures(halves)


@functools.cache
def undisturbed(**changes: object) -> TrainingResult:
    """Train the small network once for all that compare with it."""
    return small_network.train(**changes)


@pytest.mark.slow
def test_shares_of_classes_are_labels_too():
    soft = NetworkTrainer(small_network.data(soft=True), small_network.build).train(TASK, go_on)
    assert figures(soft) == figures(undisturbed())


@pytest.mark.slow
def test_batches_come_in_the_order_of_the_epoch_and_know_epoch_and_seed():
    seen, plain = [], small_network.data()

    def training_batch(rows, epoch, seed):
        seen.append((epoch, seed, list(rows)))
        return plain.training_batch(rows, epoch, seed)

    data = dataclasses.replace(plain, training_batch=training_batch)
    own = dataclasses.replace(TASK, epochs=2)
    NetworkTrainer(data, small_network.build).train(own, go_on)
    for epoch in (1, 2):
        sizes = [len(rows) for number, _, rows in seen if number == epoch]
        assert sizes == [8, 8, 8, 8, 8, 1]
        visited = [row for number, _, rows in seen if number == epoch for row in rows]
        assert visited == list(epoch_order(IMAGES, TASK.seed, epoch))
    assert {seed for _, seed, _ in seen} == {TASK.seed}


@pytest.mark.slow
def test_a_loss_that_is_not_finite_ends_it():
    result = small_network.train(optimizer="SGD", learning_rate=1e30)
    assert result.history.stop_reason == "diverged"
    assert result.history.error == f"the loss is not finite in epoch {len(result.history.epochs)}"


@pytest.mark.slow
def test_who_asks_to_stop_is_heard():
    result = small_network.train(on_epoch=lambda epoch: "plateau" if epoch.epoch == 2 else None)
    assert (len(result.history.epochs), result.history.stop_reason) == (2, "plateau")


@pytest.mark.slow
def test_a_replay_goes_by_the_epochs_of_the_search_and_keeps_the_last_weights(tmp_path):
    searched = undisturbed().history
    assert len({epoch.learning_rate for epoch in searched.epochs}) > 1
    given = small_network.data()

    def mistaken(rows):  # goes from bad to worse while the network learns
        inputs, labels = given.validation_batch(rows)
        return inputs, (labels + 1) % small_network.CLASSES

    data = dataclasses.replace(given, validation_batch=mistaken)
    trainer = NetworkTrainer(data, small_network.build)
    replayed = trainer.train(TASK, go_on, replay=searched.epochs[:5])
    rates = [epoch.learning_rate for epoch in replayed.history.epochs]
    assert rates == [epoch.learning_rate for epoch in searched.epochs[:5]]
    network = small_network.build(TASK)
    network.set_weights(list(replayed.weights))
    (pixels,), labels = mistaken(np.arange(small_network.VALIDATION))
    logits = network(pixels.astype(np.float32), training=False)
    losses = keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)
    last = replayed.history.epochs[-1]
    assert float(np.mean(losses)) == pytest.approx(last.val_loss, rel=1e-4)
    assert last.val_loss > replayed.history.epochs[0].val_loss

    begun, told = [], []

    def killed(epoch):
        begun.append(epoch)
        killed_after(3)(epoch)

    with pytest.raises(Killed):
        trainer.train(TASK, killed, tmp_path / "own", searched.epochs[:5])
    went_on = trainer.train(TASK, told.append, tmp_path / "own", searched.epochs[:5])
    assert figures(went_on) == figures(replayed)
    assert told[:3] == begun, "their seconds are those of the killed training"
    fewer = trainer.train(TASK, go_on, tmp_path / "own", searched.epochs[:4])
    assert len(fewer.history.epochs) == 4, "the checkpoint is of another replay"


class Killed(Exception):
    pass


def killed_after(number: int):
    def on_epoch(epoch):
        if epoch.epoch == number:
            raise Killed

    return on_epoch


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", each_time("Adam", of=["SGD", "Adam"]))
def test_a_training_goes_on_with_the_same_numbers(optimizer, tmp_path):
    whole = undisturbed(optimizer=optimizer)
    for number in (1, 4):
        with pytest.raises(Killed):
            small_network.train(tmp_path / "own", killed_after(number), optimizer=optimizer)
    told = []
    went_on = small_network.train(tmp_path / "own", told.append, optimizer=optimizer)
    assert figures(went_on) == figures(whole)
    assert tuple(told) == went_on.history.epochs
    rates = {epoch.learning_rate for epoch in told}
    assert len(rates) == 3, "the schedule goes on too"


@pytest.mark.slow
def test_a_finished_training_is_told_again_from_its_last_checkpoint(tmp_path):
    whole = small_network.train(tmp_path / "own")
    assert figures(whole) == figures(undisturbed())
    last = (tmp_path / "own" / checkpoints.FILE_NAME).stat().st_mtime_ns
    again = small_network.train(tmp_path / "own")
    assert figures(again) == figures(whole)
    np.testing.assert_array_equal(again.probabilities, whole.probabilities)
    assert (tmp_path / "own" / checkpoints.FILE_NAME).stat().st_mtime_ns == last


@pytest.mark.slow
def test_only_the_last_answer_counts_when_epochs_are_told_again(tmp_path):
    with pytest.raises(Killed):
        small_network.train(tmp_path / "own", killed_after(3))
    answers = {2: "pruned", 3: "plateau"}
    result = small_network.train(tmp_path / "own", lambda epoch: answers.get(epoch.epoch))
    assert (len(result.history.epochs), result.history.stop_reason) == (3, "plateau")


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_killed_process_goes_on_with_the_same_numbers(tmp_path):
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tests.engine.small_network", *arguments]
        root = Path(__file__).parents[2]
        return subprocess.run(command, capture_output=True, text=True, cwd=root, check=False)

    assert run(str(tmp_path / "own"), "3").returncode == -signal.SIGKILL
    assert (tmp_path / "own" / checkpoints.FILE_NAME).is_file()
    done = run(str(tmp_path / "own"))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == figures(undisturbed())


@pytest.mark.slow
@pytest.mark.parametrize(
    "change", each_time({"seed": 4}, of=[{"seed": 4}, {"epochs": 7}, {"learning_rate": 0.02}])
)
def test_a_checkpoint_of_another_task_is_removed(change, tmp_path):
    with pytest.raises(Killed):
        small_network.train(tmp_path / "own", killed_after(2))
    told = []
    changed = small_network.train(tmp_path / "own", told.append, **change)
    assert figures(changed) == figures(undisturbed(**change))


@pytest.mark.slow
def test_a_checkpoint_of_other_data_is_removed(tmp_path):
    with pytest.raises(Killed):
        small_network.train(tmp_path / "own", killed_after(2))
    trainer = NetworkTrainer(small_network.data(fingerprint="others"), small_network.build)
    with pytest.raises(Killed):
        trainer.train(TASK, killed_after(1), tmp_path / "own")
    held = np.load(tmp_path / "own" / checkpoints.FILE_NAME)
    assert len(json.loads(held["about"].tobytes())["history"]["epochs"]["epoch"]) == 1
