"""Networks that compute in half precision while they train: near float32, and float32 at the end.

Where a GPU computes so, so does a processor, slowly: it says nothing of speed.
"""

from __future__ import annotations

import dataclasses
import functools
from types import SimpleNamespace

import numpy as np
import pytest

from automl_cv.catalog.kinds import KINDS
from automl_cv.errors import UserError
from automl_cv.study import studyfile
from automl_cv.study.stage import MIXED
from tests.engine.test_fine_tuning import make
from tests.engine.test_network import Killed, killed_after
from tests.engine.test_training import go_on
from tests.later import later

with later():
    import keras

    from automl_cv.engine import mixed_precision, network
    from automl_cv.engine.network import NetworkTrainer
    from tests.engine import small_network
    from tests.engine.small_network import TASK, figures


SCRATCH = {"name": "scratch", "trials": 1, "epochs": 2, "network": "ResNet10"}
SPACE = {"optimizer": "SGD", "batch_size": 8, "learning_rate": 0.1}


def study(**changes: object) -> studyfile.StudyFile:
    stage = {**SCRATCH, "space": SPACE, "precision": MIXED, **changes}
    given = {key: value for key, value in stage.items() if value is not None}
    return studyfile.parse({"name": "s", "stage": [given]}, "s.toml")


def factors(of: keras.Model) -> list[float]:
    """Return two groups of variables, whose losses must be scaled alike."""
    return [0.5, *[1.0] * (len(of.trainable_variables) - 1)]


@pytest.mark.slow
@pytest.mark.parametrize("shards", [1, 2])
def test_a_training_in_half_precision_is_near_the_one_in_float32(shards):
    # Without dropout, which leaves out others where random numbers have fewer digits.
    build = functools.partial(small_network.build, normalizing=False)
    trainer = NetworkTrainer(small_network.data(), build, shards=shards, rate_factors=factors)
    half, whole = (
        trainer.train(dataclasses.replace(TASK, precision=one), go_on) for one in (MIXED, "float32")
    )
    assert figures(half) != figures(whole), "it was trained in float32"
    for ours, theirs in zip(half.history.epochs, whole.history.epochs, strict=True):
        assert ours.loss == pytest.approx(theirs.loss, rel=0.01)
        assert ours.val_loss == pytest.approx(theirs.val_loss, rel=0.01)
    assert whole.history.epochs[-1].loss < 0.95 * whole.history.epochs[0].loss
    assert {weight.dtype for weight in half.weights} == {np.dtype(np.float32)}
    assert half.optimizer_config["name"].startswith("adam")


def test_pixels_and_logits_stay_in_float32():
    copy = mixed_precision.halved(small_network.build(TASK))
    types = {type(layer).__name__: layer.compute_dtype for layer in copy.layers[1:]}
    assert (types["Rescaling"], types["Dense"]) == ("float32", "float32")
    assert (types["Conv2D"], types["BatchNormalization"]) == ("float16", "float16")


@pytest.mark.slow
def test_steps_whose_gradients_have_no_room_are_left_out(monkeypatch):
    scaling = functools.partial(keras.optimizers.LossScaleOptimizer, initial_scale=2.0**36)
    monkeypatch.setattr(network.keras.optimizers, "LossScaleOptimizer", scaling)
    trainer = NetworkTrainer(
        small_network.data(), functools.partial(small_network.build, normalizing=False)
    )
    own = dataclasses.replace(TASK, precision=MIXED, learning_rate=0.1, epochs=8)
    epochs = trainer.train(own, go_on).history.epochs
    assert epochs[0].val_loss == epochs[1].val_loss, "no step was taken"
    assert epochs[-1].loss < 0.95 * epochs[0].loss, "the scale has fallen until there was room"


@pytest.mark.slow
def test_a_training_goes_on_with_the_same_numbers(tmp_path):
    whole = small_network.train(precision=MIXED)
    with pytest.raises(Killed):
        small_network.train(tmp_path / "own", killed_after(3), precision=MIXED)
    assert figures(small_network.train(tmp_path / "own", precision=MIXED)) == figures(whole)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_the_last_block_is_tuned_in_half_precision():
    case = make("last", 1)
    half, whole = (case.train(epochs=1, precision=one).history for one in (MIXED, "float32"))
    assert half.epochs[0].loss != whole.epochs[0].loss
    assert half.epochs[0].val_loss == pytest.approx(whole.epochs[0].val_loss, rel=0.02)
    assert half.epochs[0].val_loss < case.head.history.best.val_loss


def test_it_stands_in_the_study_and_only_where_it_is():
    written = study().as_toml_data()
    assert written["stage"][0]["precision"] == MIXED
    assert studyfile.parse(written, "again") == study()
    plain = study(precision=None)
    assert "precision" not in plain.as_toml_data()["stage"][0], "digests of before stay"
    assert study(precision="float32").digest() == plain.digest() != study().digest()


def test_heads_have_no_use_for_it():
    with pytest.raises(UserError, match="heads train in float32; leave it out"):
        study(network=None)


def test_a_processor_is_refused():
    with pytest.raises(UserError, match=r"stage.scratch.precision: 'mixed_float16' is for GPUs"):
        mixed_precision.check_device(study().stage("scratch"))
    mixed_precision.check_device(study(precision=None).stage("scratch"))


@pytest.mark.parametrize("kind", ["network", "fine_tuned"])
def test_it_is_refused_before_anything_is_trained(kind):
    stage = study().stage("scratch")
    given = SimpleNamespace(kind_named=lambda name: None)
    with pytest.raises(UserError, match="is for GPUs"):
        KINDS[kind].load()(given).needs(SimpleNamespace(stage=stage))
