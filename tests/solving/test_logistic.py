"""Logistic regressions are scikit-learn's."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from automl_cv.solving import descent
from automl_cv.solving.descent import COARSE, FINE
from automl_cv.solving.logistic import Logistic
from tests.later import later
from tests.solving.drawn import CASES, drawn, shares_of

with later():
    from sklearn.linear_model import LogisticRegression

PENALTIES = (1e4, 1e3, 100.0, 10.0, 1.0, 0.01)


def reference(features: np.ndarray, labels: np.ndarray, penalty: float) -> LogisticRegression:
    return LogisticRegression(C=1 / penalty, tol=1e-8, max_iter=20_000).fit(features, labels)


def objective(logits: np.ndarray, weights: np.ndarray, labels: np.ndarray, penalty: float) -> float:
    losses = np.logaddexp.reduce(logits, axis=1) - logits[np.arange(len(labels)), labels]
    return float(losses.sum() + penalty / 2 * np.square(weights).sum())


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in CASES if case != "two classes"] + ["digits"])
def test_probabilities_and_objective_are_those_of_scikit_learn(case):
    features, labels, classes = drawn(case)
    one = Logistic(features, labels, classes)
    along = Logistic(features, labels, classes).path(PENALTIES, tolerance=FINE)
    for penalty, walked in zip(PENALTIES, along, strict=True):
        expected = reference(features, labels, penalty)
        best = objective(expected.decision_function(features), expected.coef_, labels, penalty)
        for weights, bias in (walked, one.solve(penalty)):
            assert weights.dtype == bias.dtype == np.float64
            logits = features @ weights + bias
            shares = expected.predict_proba(features)
            np.testing.assert_allclose(shares_of(logits), shares, atol=1e-4)
            assert objective(logits, weights, labels, penalty) == pytest.approx(best, rel=1e-6)


def test_of_two_classes():
    """Scikit-learn has one column w there; ours are -w / 2 and w / 2, of half the penalty."""
    features, labels, _ = drawn("two classes")
    for penalty in PENALTIES:
        weights, bias = Logistic(features, labels, 2).solve(penalty)
        expected = reference(features, labels, penalty / 2).predict_proba(features)
        np.testing.assert_allclose(shares_of(features @ weights + bias), expected, atol=1e-4)


def test_a_solution_depends_on_nothing_solved_before():
    features, labels, classes = drawn("more features")
    one = Logistic(features, labels, classes)
    first = one.solve(0.5)
    one.solve(30.0)
    list(one.path([100.0, 1.0]))
    for weights, bias in (one.solve(0.5), Logistic(features, labels, classes).solve(0.5)):
        np.testing.assert_array_equal(weights, first[0])
        np.testing.assert_array_equal(bias, first[1])


@pytest.mark.parametrize(("tolerance", "within"), [(COARSE, 1e-3), (FINE, 1e-4)])
@pytest.mark.parametrize("case", ["more images", "more features"])
def test_along_a_path_other_images_get_the_probabilities_of_scikit_learn(case, tolerance, within):
    features, labels, classes = drawn(case)
    rest = np.random.default_rng(1).permutation(len(labels)) % 3 != 0
    penalties = (300.0, 10.0, 0.3)
    along = Logistic(features[rest], labels[rest], classes).path(penalties, tolerance=tolerance)
    for penalty, (weights, bias) in zip(penalties, along, strict=True):
        expected = reference(features[rest], labels[rest], penalty).predict_proba(features[~rest])
        np.testing.assert_allclose(
            shares_of(features[~rest] @ weights + bias), expected, atol=within
        )


@pytest.mark.parametrize("case", ["more images", "more features"])
def test_a_small_penalty_takes_no_more_than_a_few_iterations(case, monkeypatch):
    """In float32 slopes were rounding alone there: an iteration was like the one before it."""
    features, labels, classes = drawn(case)
    asked = []
    gradient = descent.Space.gradient

    def counted(space, residuals, point, penalty):
        asked.append(penalty)
        return gradient(space, residuals, point, penalty)

    monkeypatch.setattr(descent.Space, "gradient", counted)
    penalties = (1.0, 0.1, 0.01, 1e-3, 1e-4)
    list(Logistic(features, labels, classes).path(penalties))
    assert max(asked.count(penalty) for penalty in penalties) < 200


def test_a_penalty_is_solved_when_it_is_asked_for():
    features, labels, classes = drawn("more features")

    def penalties():
        yield from (100.0, 10.0)
        raise AssertionError("nobody asked for a third")

    along = Logistic(features, labels, classes).path(penalties())
    assert len(list(itertools.islice(along, 2))) == 2


def test_an_absent_class_is_never_chosen_and_moves_no_other():
    features, labels, classes = drawn("more images")
    kept = labels != 1
    weights, bias = Logistic(features[kept], labels[kept], classes).solve(2.0)
    logits = features @ weights + bias
    assert np.isfinite(logits).all()
    shares = shares_of(logits)
    assert shares[:, 1].max() < 1e-100
    expected = reference(features[kept], labels[kept], 2.0).predict_proba(features)
    np.testing.assert_allclose(shares[:, [0, 2, 3]], expected, atol=1e-4)


def test_one_class_and_features_that_say_nothing():
    weights, bias = Logistic(np.zeros((6, 3)), np.ones(6, int), 3).solve(1.0)
    assert not weights.any() and bias.argmax() == 1
    weights, bias = Logistic(np.zeros((6, 3)), np.array([0, 0, 0, 1, 1, 2]), 3).solve(1.0)
    np.testing.assert_allclose(shares_of(bias[None])[0], [1 / 2, 1 / 3, 1 / 6], rtol=1e-5)


@pytest.mark.parametrize("seed", [5, 46])
def test_a_few_images_of_many_features(seed):
    """Rounding left a direction without bend, and a step to 1e24 along it; then nothing finite."""
    draw = np.random.default_rng(seed)
    labels = np.array([0, 1, 1, 2, 2, 2, 2, 2])
    features = draw.normal(size=(8, 300)) * np.linspace(3, 0.1, 300) + draw.normal(size=300)
    weights, bias = Logistic(features, labels, 3).solve(1.0)
    expected = reference(features, labels, 1.0)
    best = objective(expected.decision_function(features), expected.coef_, labels, 1.0)
    assert objective(features @ weights + bias, weights, labels, 1.0) <= best * (1 + 1e-3)
