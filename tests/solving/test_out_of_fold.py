"""Heads over folds: those that are solved without sums say the same; nobody judges its own."""

from __future__ import annotations

import numpy as np
import pytest

from automl_cv.solving.linear import FAR_BELOW
from tests.later import later
from tests.solving.drawn import drawn

with later():
    from automl_cv.solving import out_of_fold as heads
    from automl_cv.solving.discriminant import Discriminant
    from automl_cv.solving.out_of_fold import NO_FOLD, Folds, out_of_fold
    from automl_cv.solving.ridge import Ridge


@pytest.mark.parametrize("case", ["more images", "more features"])
@pytest.mark.parametrize(
    ("head", "solver", "strength"),
    [("_ridge", "Ridge", 0.3), ("_discriminant", "Discriminant", 0.5)],
)
def test_sums_less_a_fold_solve_what_the_other_folds_solve(case, head, solver, strength):
    head = getattr(heads, head)
    solver = {"Ridge": Ridge, "Discriminant": Discriminant}[solver]
    features, labels, classes = drawn(case)
    folds = np.arange(len(labels)) // classes % 3
    others = folds != 1
    all_, fold = (
        heads._sums(features, labels, classes, rows=np.flatnonzero(rows))
        for rows in (np.ones(len(labels), bool), ~others)
    )
    weights, bias = head(all_.less(fold), strength)
    expected, expected_bias = solver(features[others], labels[others], classes).solve(strength)
    np.testing.assert_allclose(weights, expected, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(bias, expected_bias, rtol=1e-6, atol=1e-8)


def test_an_image_has_no_part_in_what_is_said_of_it():
    features, labels, classes = drawn("more images")
    folds = np.arange(len(labels)) // classes % 5
    before = out_of_fold(features, labels, classes, folds)
    moved = np.where(folds == 2, (labels + 1) % classes, labels)
    form, others = Folds(features, folds)._forms[0], folds != 2
    solved = [heads._Solved(form, given, classes, folds=folds) for given in (labels, moved)]
    said = [one._said(heads._ridge, 1.0, range(5)) for one in solved]
    np.testing.assert_allclose(said[0][2], said[1][2], rtol=1e-6, atol=1e-8)
    assert not np.allclose(said[0][1], said[1][1]) and others.any()
    np.testing.assert_array_equal(before, out_of_fold(features, labels, classes, folds))
    assert (before.argmax(axis=1) == labels).mean() > 0.7


def test_images_of_no_fold_teach_nobody_and_are_judged():
    features, labels, classes = drawn("more images")
    folds = np.arange(len(labels)) // classes % 5
    folds[:40] = NO_FOLD
    found = out_of_fold(features, labels, classes, folds)
    other = labels.copy()
    other[:40] = (labels[:40] + 1) % classes
    np.testing.assert_array_equal(found, out_of_fold(features, other, classes, folds))
    assert (found[:40].argmax(axis=1) == labels[:40]).mean() > 0.7


def test_a_class_of_one_fold_alone_is_far_below_there():
    features, labels, classes = drawn("more images")
    folds = np.where(labels == 3, 0, np.arange(len(labels)) // classes % 4)
    weights, bias = heads._discriminant(
        heads._sums(features, labels, classes, rows=np.flatnonzero(folds != 0)), 0.5
    )
    logits = features @ weights + bias
    np.testing.assert_allclose(logits[:, :3].mean(axis=1) - logits[:, 3], FAR_BELOW, rtol=1e-9)
    assert np.isfinite(out_of_fold(features, labels, classes, folds)).all()
