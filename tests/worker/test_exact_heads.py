"""Heads that are solved: each fold's figures are of images that it was not solved on."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from automl_cv.catalog.exact_heads import EXACT_HEADS
from automl_cv.orders.messages import Fit
from automl_cv.study.studyfile import parse
from automl_cv.study.trial import plan
from tests.engine.test_training import go_on
from tests.later import later
from tests.worker.blobs import BlobMaterials

with later():
    from scipy.special import softmax
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    from automl_cv.worker.exact_heads import ExactHeads, Held

STAGE = {"name": "exact", "exact": "logistic", "trials": 4}


def trial(materials, validation="folds", metric="accuracy", **parameters):
    study = parse(
        {
            "name": "s",
            "validation": validation,
            "metric": metric,
            "backbone": {"features": "all"},
            "stage": [{**STAGE, "space": {name: [one] for name, one in parameters.items()}}],
        },
        "s.toml",
    )
    return plan(study, study.stages[0], 0, parameters, seed=1)


def by_hand(materials, penalty, train, rows):
    """Return what scikit-learn's logistic regression says of rows."""
    labels = materials.images.labels
    scaler = StandardScaler().fit(materials.array[train].astype(np.float64))
    model = LogisticRegression(C=1 / penalty, max_iter=10_000, tol=1e-10)
    model.fit(scaler.transform(materials.array[train].astype(np.float64)), labels[train])
    return model.predict_proba(scaler.transform(materials.array[rows].astype(np.float64)))


def test_each_image_is_judged_by_the_fold_that_had_no_part_in_it():
    materials = BlobMaterials()
    result = ExactHeads(materials).train(trial(materials, penalty=2.0), go_on)
    known, of_fold = materials.known, materials.of_fold(5)
    expected = np.empty((len(known), 3))
    for fold in range(5):
        out = of_fold == fold
        expected[out] = by_hand(materials, 2.0, known[~out], known[out])
    np.testing.assert_allclose(result.probabilities, expected, atol=1e-4)
    (epoch,) = result.history.epochs
    labels = materials.images.labels[known]
    assert epoch.val_accuracy == (expected.argmax(axis=1) == labels).mean() < 1
    assert epoch.val_loss == pytest.approx(log_loss(labels, expected), abs=1e-4)
    assert result.history.stop_reason == "epochs"


def test_numbers_do_not_depend_on_the_threads_of_blas():
    told = set()
    for count in (1, 2):
        materials = BlobMaterials(shape=(405, 360), spread=6.0)
        one = trial(materials, exact="kernel", reach=1.0, penalty=0.01)
        with threadpool_limits(count):
            result = ExactHeads(materials).train(one, go_on)
        (epoch,) = result.history.epochs
        told.add((epoch.loss, epoch.val_loss, result.probabilities.tobytes()))
    assert len(told) == 1


@pytest.mark.slow
def test_on_a_split_the_validation_images_judge():
    materials = BlobMaterials()
    splits, labels = materials.images.splits, materials.images.labels
    result = ExactHeads(materials).train(trial(materials, "split", penalty=0.5), go_on)
    train, validation = (np.flatnonzero(splits == one) for one in ("train", "validation"))
    expected = by_hand(materials, 0.5, train, validation)
    np.testing.assert_allclose(result.probabilities, expected, atol=1e-4)
    (epoch,) = result.history.epochs
    own = by_hand(materials, 0.5, train, train)
    assert epoch.loss == pytest.approx(log_loss(labels[train], own), abs=1e-4)


@pytest.mark.parametrize("head", ["lda", "ridge", "kernel"])
def test_a_folds_temperature_is_that_of_the_other_folds(head):
    materials = BlobMaterials()
    heads, one = ExactHeads(materials), trial(BlobMaterials(), exact=head)
    parts = heads.found(one).parts
    temperatures = heads._temperatures(one, parts)
    assert len(set(temperatures)) == 5, "none is fitted on its own images"
    before = heads._temperatures(one, parts)
    own = parts[0].logits.copy()
    own[:] = own[:, ::-1]  # another truth of the first fold's images changes the others' alone
    changed = [replace(parts[0], logits=own)]
    after = heads._temperatures(one, [*changed, *parts[1:]])
    assert after[0] == before[0]
    assert all(new != old for new, old in zip(after[1:], before[1:], strict=True))
    if head == "lda":
        return  # its logits are nearly right here, and a number fitted on few images costs
    result = heads.train(one, go_on)
    plain = np.concatenate([softmax(part.logits, axis=1) for part in parts])
    labels = materials.images.labels[np.concatenate([part.validation for part in parts])]
    assert result.history.epochs[0].val_loss < log_loss(labels, plain)


def test_the_unit_scaling_forgets_how_long_a_vector_is():
    materials, longer = BlobMaterials(), BlobMaterials()
    longer.array = longer.array * np.linspace(1, 9, 120, dtype=np.float32)[:, None]
    for scaling, is_same in (("unit", True), ("root", True), ("standard", False)):
        said = [
            ExactHeads(one).train(trial(one, penalty=1.0, scaling=scaling), go_on).probabilities
            for one in (materials, longer)
        ]
        assert np.allclose(*said, atol=1e-4) is is_same


@pytest.mark.parametrize(
    "parameters",
    [
        {"exact": "logistic", "penalty": 3.0, "scaling": "standard"},
        {"exact": "lda", "shrinkage": 0.3, "scaling": "unit"},
        {"exact": "ridge", "penalty": 5.0, "scaling": "standard"},
        {"exact": "kernel", "penalty": 0.1, "reach": 1.0, "form": "root"},
    ],
)
def test_what_is_fitted_is_solved_on_all_and_is_as_sure_as_out_of_fold(parameters, tmp_path):
    materials = BlobMaterials(whole=True)
    one, told = trial(materials, **parameters), []
    rows = np.arange(120)
    order = Fit(materials.given, (one,), (), tmp_path / "model.keras")
    made = ExactHeads(materials).fit(order, rows, told.append)
    said = softmax(made.logits[0].astype(np.float64), axis=1)
    labels = materials.images.labels
    assert told[0].loss == pytest.approx(
        log_loss(labels[materials.known], said[materials.known]), abs=1e-5
    )
    if parameters["exact"] == "logistic":
        expected = by_hand(materials, 3.0, materials.known, rows)
        np.testing.assert_allclose(said, expected, atol=1e-4)
    # As sure of images that it has never seen as the search found it to be of such.
    test = np.flatnonzero(materials.images.splits == "test")
    out_of_fold = ExactHeads(materials.apart()).train(one, go_on).probabilities
    assert abs(said[test].max(axis=1).mean() - out_of_fold.max(axis=1).mean()) < 0.1


def test_another_metric_is_measured_over_all_folds_at_once():
    materials = BlobMaterials()
    result = ExactHeads(materials).train(trial(materials, metric="auroc", penalty=1.0), go_on)
    (epoch,) = result.history.epochs
    from sklearn.metrics import roc_auc_score

    labels = materials.images.labels[materials.known]
    expected = roc_auc_score(labels, result.probabilities, multi_class="ovr", average="macro")
    assert epoch.score == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("head", EXACT_HEADS.names)
def test_a_strength_that_is_not_given_is_the_one_of_lowest_log_loss(head):
    materials, strength = BlobMaterials(), EXACT_HEADS[head].strength
    heads = ExactHeads(materials)
    found = heads.train(trial(materials, exact=head), go_on)
    chosen = found.optimizer_config[strength]
    loss = found.history.epochs[0].val_loss
    others = EXACT_HEADS[head].strengths[:: 3 if head == "lda" else 4]
    for other in others:
        given = heads.train(trial(materials, exact=head, **{strength: other}), go_on)
        assert given.history.epochs[0].val_loss > loss - 1e-3, other
        assert given.optimizer_config[strength] == other
    assert min(others) < chosen < max(others)
    again = heads.train(trial(materials, exact=head, **{strength: chosen}), go_on)
    assert again.history.epochs[0].val_loss == pytest.approx(loss, abs=1e-3)


def test_threads_that_hold_things_at_once_do_not_disturb_each_other():
    """One search in three hundred ended with "dictionary changed size during iteration"."""
    held, interval = Held(3), sys.getswitchinterval()

    def put(number):
        for row in range(5000):
            held[number, row] = row

    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(put, range(4)))
    finally:
        sys.setswitchinterval(interval)
    assert len(held) == 3
