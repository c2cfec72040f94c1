"""Discriminant analysis and ridge regression are scikit-learn's, of any setting."""

from __future__ import annotations

import numpy as np
import pytest

from automl_cv.solving.discriminant import Discriminant
from automl_cv.solving.linear import FAR_BELOW
from tests.later import later
from tests.solving.drawn import CASES, drawn

with later():
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.linear_model import Ridge as ReferenceRidge
    from sklearn.linear_model import RidgeClassifier

    from automl_cv.solving.ridge import Ridge

EVERY = [*CASES, "digits"]


def decided(features: np.ndarray, labels: np.ndarray, shrinkage: float) -> np.ndarray:
    """Return scikit-learn's logits; of two classes it gives their difference."""
    found = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage).fit(features, labels)
    return found.decision_function(features)


@pytest.mark.parametrize("case", EVERY)
def test_discriminant_analysis_of_any_shrinkage(case):
    features, labels, classes = drawn(case)
    one = Discriminant(features, labels, classes)
    for shrinkage in (0.001, 0.05, 0.4, 0.9, 1.0):
        weights, bias = one.solve(shrinkage)
        logits = features @ weights + bias
        if classes == 2:
            logits = logits[:, 1] - logits[:, 0]
        expected = decided(features, labels, shrinkage)
        np.testing.assert_allclose(logits, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("case", ["more images", "digits"])
def test_discriminant_analysis_without_shrinkage(case):
    """A feature that is constant, one twice: the covariance has no inverse."""
    features, labels, classes = drawn(case)
    weights, bias = Discriminant(features, labels, classes).solve(0.0)
    expected = decided(features, labels, 0.0)
    np.testing.assert_allclose(features @ weights + bias, expected, rtol=1e-6, atol=1e-6)


def test_nothing_shrunk_of_more_features_than_images_is_finite():
    features, labels, classes = drawn("more features")
    weights, bias = Discriminant(features, labels, classes).solve(0.0)
    assert np.isfinite(weights).all() and np.isfinite(bias).all()


def test_images_of_a_class_that_are_alike_leave_no_variance():
    features = np.eye(3)[[0, 0, 1, 1, 2]]
    for shrinkage in (0.0, 0.5, 1.0):
        weights, bias = Discriminant(features, np.array([0, 0, 1, 1, 2]), 3).solve(shrinkage)
        assert np.isfinite(weights).all() and np.isfinite(bias).all()


@pytest.mark.parametrize("case", ["more images", "more features"])
def test_a_class_that_training_lacked_is_far_below_and_moves_no_other(case):
    features, labels, classes = drawn(case)
    kept = labels != 1
    weights, bias = Discriminant(features[kept], labels[kept], classes).solve(0.2)
    logits = features @ weights + bias
    others = logits[:, [0, 2, 3]]
    found = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.2)
    expected = found.fit(features[kept], labels[kept]).decision_function(features)
    np.testing.assert_allclose(others, expected, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(logits[:, 1], others.mean(axis=1) - FAR_BELOW)


@pytest.mark.parametrize("case", EVERY)
def test_ridge_of_any_penalty(case):
    features, labels, classes = drawn(case)
    one = Ridge(features, labels, classes)
    for penalty in (1e-3, 1.0, 50.0, 1e4):
        weights, bias = one.solve(penalty)
        logits = features @ weights + bias
        expected = ReferenceRidge(alpha=penalty, solver="svd").fit(
            features, np.eye(classes)[labels]
        )
        np.testing.assert_allclose(logits, expected.predict(features), rtol=1e-6, atol=1e-6)
        classifier = RidgeClassifier(alpha=penalty, solver="svd").fit(features, labels)
        np.testing.assert_array_equal(logits.argmax(axis=1), classifier.predict(features))


def test_ridge_without_a_class():
    features, labels, _ = drawn("two classes")
    weights, bias = Ridge(features, labels, 3).solve(1.0)
    assert not weights[:, 2].any() and bias[2] == 0


@pytest.mark.parametrize("name", ["discriminant", "ridge"])
def test_the_same_again(name):
    head = {"discriminant": Discriminant, "ridge": Ridge}[name]
    features, labels, classes = drawn("more features")
    first, again = (head(features, labels, classes) for _ in range(2))
    again.solve(0.9)
    for one, other in zip(first.solve(0.3), again.solve(0.3), strict=True):
        np.testing.assert_array_equal(one, other)
