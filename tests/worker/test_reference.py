"""The reference's figures are scikit-learn's, but for a log loss that nothing bounds."""

from __future__ import annotations

import numpy as np
import pytest

from tests.later import later

with later():
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from automl_cv.worker.reference import logistic_reference


@pytest.mark.parametrize("n_classes", [2, 4])
def test_the_loss_is_exact_where_scikit_learn_clips_it(n_classes):
    draw = np.random.default_rng(0)
    labels = (np.arange(200) % n_classes).astype(np.int32)
    features = draw.normal(0, 1, (200, 5)).astype(np.float32)
    features[:, 0] += labels
    own, others = features[:150], features[150:]
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    model.fit(own, labels[:150])

    def figures(factor):
        found = logistic_reference(own, labels[:150], factor * others, labels[150:])
        shares = model.predict_proba(factor * others)
        assert found["val_accuracy"] == (shares.argmax(axis=1) == labels[150:]).mean()
        return found["val_loss"], log_loss(labels[150:], shares)

    ours, theirs = figures(1)
    assert ours == pytest.approx(theirs, rel=1e-5)
    ours, theirs = figures(1000)
    assert ours > 5 * theirs > 10
