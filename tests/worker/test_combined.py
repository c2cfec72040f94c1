"""Trials combined: measured on images that had no part in the weights, and merged into one head."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from automl_cv.history import Epoch
from automl_cv.orders.messages import Fit
from automl_cv.study.studyfile import parse
from automl_cv.study.trial import Member, plan
from tests.engine.test_training import go_on
from tests.later import later
from tests.worker.blobs import BlobMaterials

with later():
    from scipy.special import softmax
    from sklearn.metrics import log_loss

    from automl_cv.solving.temperature import combined
    from automl_cv.worker import combined as combining
    from automl_cv.worker.combined import Combined

SPACE = {"optimizer": "SGD", "batch_size": 16, "learning_rate": 0.1}


def study(validation="folds"):
    return parse(
        {
            "name": "s",
            "validation": validation,
            "backbone": {"features": "all"},
            "stage": [
                {"name": "exact", "exact": "logistic", "trials": 4, "space": {"penalty": [1.0]}},
                {
                    "name": "steps",
                    "trials": 1,
                    "epochs": 3,
                    "space": SPACE,
                    "head": {"name": "linear", "normalization": True},
                },
                {
                    "name": "deep",
                    "trials": 1,
                    "epochs": 3,
                    "space": SPACE,
                    "head": {"name": "mlp", "width": 8},
                },
                {"name": "combined", "combine": {"stages": ["exact", "steps", "deep"]}},
            ],
        },
        "s.toml",
    )


def member(materials, own, stage, **parameters):
    """Return a trial as the search would have stored it."""
    one = plan(own, own.stage(stage), 0, {**parameters}, seed=3)
    result = materials.kind(one.stage).train(one, go_on, None)
    replay = result.history.epochs[: result.history.best.epoch]
    return Member(one, replay, 1, result.probabilities)


def combination(own, *members):
    return plan(own, own.stage("combined"), 0, {}, seed=5, members=tuple(members))


def noise(like: Member, seed: int) -> Member:
    """Return another trial, which knows nothing."""
    shares = np.random.default_rng(seed).dirichlet([1, 1, 1], len(like.probabilities))
    return replace(
        like, trial=replace(like.trial, number=1), probabilities=shares.astype(np.float32)
    )


@pytest.mark.parametrize("validation", ["folds", "split"])
def test_weights_of_an_image_come_from_the_other_parts(validation):
    materials, own = BlobMaterials(), study(validation)
    lda = member(materials, own, "exact", exact="lda")
    strong = member(materials, own, "exact", penalty=300.0)
    result = Combined(materials).train(combination(own, lda, strong), go_on)
    said = Combined(materials).prepare(combination(own, lda, strong))
    expected = np.empty_like(result.probabilities)
    for part in np.unique(said.parts):
        out = said.parts == part
        weights = combined(said.labels[~out], [one[~out] for one in said.members])
        logits = sum(w * one[out] for w, one in zip(weights, said.members, strict=True))
        expected[out] = softmax(logits, axis=1)
    np.testing.assert_allclose(result.probabilities, expected, atol=1e-6)
    (epoch,) = result.history.epochs
    assert epoch.val_loss == pytest.approx(log_loss(said.labels, expected), abs=1e-5)
    assert epoch.loss < epoch.val_loss, "weights fit the images that they were found on better"
    if validation == "folds":
        assert (said.parts == materials.of_fold(5)).all()


def test_what_says_nothing_has_no_weight():
    materials, own = BlobMaterials(), study()
    good = member(materials, own, "exact", penalty=3.0)
    result = Combined(materials).train(combination(own, noise(good, 1), good), go_on)
    assert result.weights[0][0] == 0 < result.weights[0][1]
    assert result.optimizer_config["backbone"] == "compact"
    assert list(result.optimizer_config["weights"].values()) == list(result.weights[0])


def test_unlike_members_are_better_together():
    materials, own = BlobMaterials(spread=3.0), study()
    members = [
        member(materials, own, "exact", exact="lda"),
        member(materials, own, "exact", penalty=30.0),
    ]
    result = Combined(materials).train(combination(own, *members), go_on)
    labels = materials.images.labels[materials.known]
    each = [log_loss(labels, one.probabilities) for one in members]
    assert result.history.epochs[0].loss <= min(each) + 1e-6


def test_members_kept_in_part_are_compared_on_the_same_images():
    materials, own = BlobMaterials(), study()
    whole = member(materials, own, "exact", penalty=3.0)
    half = replace(whole, every=2, probabilities=whole.probabilities[::2])
    said = Combined(materials).prepare(combination(own, whole, half))
    assert (said.members[0] == said.members[1]).all()
    assert len(said.labels) == len(said.members[0]) == len(whole.probabilities) // 2


@pytest.mark.slow
def test_what_is_fitted_is_the_sum_of_its_members_and_linear_ones_are_one_layer(tmp_path):
    own, apart = study(), BlobMaterials()
    members = [
        member(apart, own, "exact", exact="lda"),
        member(apart, own, "exact", penalty=30.0, scaling="unit"),
        member(apart, own, "steps", **SPACE),
    ]
    one, rows = combination(own, *members), np.arange(120)
    whole = BlobMaterials(whole=True)
    order = Fit(whole.given, (one,), (), tmp_path / "model.keras")
    told: list[Epoch] = []
    made = Combined(whole).fit(order, rows, told.append)
    weights = Combined(apart).train(one, go_on).weights[0]
    expected = np.zeros((120, 3))
    for weight, part in zip(weights, members, strict=True):
        own_order = replace(order, trials=(part.trial.of_seed(5),), replay=part.replay)
        if part.trial.stage.name == "exact":
            own_order = replace(order, trials=(part.trial,), replay=part.replay)
        expected += weight * whole.kind(part.trial.stage).fit(own_order, rows, go_on).logits[0]
    np.testing.assert_allclose(made.logits[0], expected, rtol=1e-3, atol=1e-3)
    (model,) = made.heads
    dense = [layer.name for layer in model.layers if layer.name.startswith("logits_")]
    assert sorted(dense) == ["logits_plain", "logits_unit"]
    assert len(told) == 1


@pytest.mark.slow
def test_a_member_that_is_not_linear_stays_beside_the_others(tmp_path):
    own, apart = study(), BlobMaterials()
    members = [member(apart, own, "exact", penalty=300.0), member(apart, own, "deep", **SPACE)]
    members[1] = replace(members[1], probabilities=np.roll(members[0].probabilities, 0))
    one = combination(own, *members)
    whole = BlobMaterials(whole=True)
    made = Combined(whole).fit(Fit(whole.given, (one,), (), tmp_path / "m"), np.arange(9), go_on)
    (model,) = made.heads
    assert any(layer.name.startswith("member") for layer in model.layers)
    np.testing.assert_allclose(made.logits[0], model(whole.array[:9]), rtol=1e-5, atol=1e-5)


def test_of_a_split_a_class_of_one_image_is_in_one_part():
    parts = combining._parts(np.array([0, 1, 0, 0, 0, 0, 0, 2, 0]))
    assert sorted(parts.tolist()) == [0, 0, 1, 1, 2, 2, 3, 3, 4]
    assert len(set(parts[[0, 2, 3, 4, 5]])) == 5, "a class is in all parts, if it can be"
