"""Ridge on likenesses: as scikit-learn's, and as two dense layers."""

from __future__ import annotations

import numpy as np
import pytest

from automl_cv.solving.scaling import formed
from tests.later import later

with later():
    from sklearn.kernel_ridge import KernelRidge

    from automl_cv.solving.kernel import Kernel

DRAW = np.random.default_rng(0)
FEATURES = DRAW.normal(size=(60, 8)).astype(np.float32)
LABELS = np.arange(60) % 3


@pytest.mark.parametrize("form", ["unit", "root"])
@pytest.mark.parametrize("penalty", [0.01, 3.0])
def test_it_is_scikit_learns(form, penalty):
    known, others = FEATURES[:40], FEATURES[40:]
    solver = Kernel(formed(form, known), LABELS[:40], 3, reach=0.5)
    head = solver.head(form, *solver.solve(penalty))
    targets = np.eye(3)[LABELS[:40]]
    shares = targets.mean(axis=0)
    model = KernelRidge(alpha=penalty, kernel="rbf", gamma=solver.factor / 2)
    model.fit(formed(form, known), targets - shares)
    expected = model.predict(formed(form, others)) + shares
    np.testing.assert_allclose(head.logits(others), expected, atol=1e-8)
    np.testing.assert_allclose(head.times(2.0).logits(others), 2 * expected, atol=1e-8)


def test_two_images_of_median_distance_are_alike_by_the_reach():
    features = formed("unit", FEATURES)
    solver = Kernel(features, LABELS, 3, reach=0.7)
    distances = ((features[:, None] - features) ** 2).sum(axis=2) / 2
    median = np.median(distances[np.triu_indices(60, 1)])
    assert np.exp(-solver.factor * median) == pytest.approx(np.exp(-0.7))
