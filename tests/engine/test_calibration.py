"""A temperature is that of lowest log loss, moves no class to the front, and says when it can't."""

from __future__ import annotations

import numpy as np
import pytest

from tests.later import later

with later():
    from scipy.special import log_softmax
    from sklearn.metrics import log_loss

    from automl_cv.engine.calibration import calibrate
    from automl_cv.engine.refitting import probabilities
    from automl_cv.solving.temperature import HIGHEST, LOWEST


def drawn(n_images: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return labels that are drawn from the probabilities of logits, and these."""
    draw = np.random.default_rng(seed)
    logits = draw.normal(0, 2, (n_images, 5)).astype(np.float32)
    ends = probabilities([logits]).cumsum(axis=1)
    return (ends < draw.random((n_images, 1))).sum(axis=1).clip(0, 4).astype(np.int32), logits


def test_figures_before_and_after():
    labels, logits = drawn(2_000)
    found = calibrate(labels, [3 * logits, 5 * logits])
    assert found.temperature == pytest.approx(4, rel=0.1), "of the mean of the logits"
    before, after = (probabilities([4 * logits], one) for one in (1.0, found.temperature))
    np.testing.assert_array_equal(before.argmax(axis=1), after.argmax(axis=1))
    assert found.accuracy == (after.argmax(axis=1) == labels).mean()
    rows = np.arange(len(labels))
    for measured, factor in ((found.before, 4), (found.after, 4 / found.temperature)):
        exact = -log_softmax(factor * logits.astype(np.float64), axis=1)[rows, labels].mean()
        assert measured.log_loss == pytest.approx(exact, rel=1e-5)
    assert found.before.log_loss > log_loss(labels, before) + 0.01, "which counts 16 nats at most"
    assert found.after.log_loss < found.before.log_loss
    assert found.after.calibration_error < 0.05 < found.before.calibration_error
    assert (found.images, found.note) == (2_000, None)


def test_what_images_do_not_say_is_said():
    labels, logits = drawn(40)
    assert "40 images are few: " in calibrate(labels, [logits]).note
    right = calibrate(logits.argmax(axis=1), [logits])
    assert right.temperature == 1.0 and right.before == right.after
    assert "all 40 images are classified right" in right.note
    wrong = calibrate(logits.argmin(axis=1), [logits])
    assert wrong.temperature == pytest.approx(HIGHEST, rel=1e-3)
    assert "at an end of what is looked at, 0.05 to 20" in wrong.note
    assert wrong.after.log_loss < wrong.before.log_loss
    flat = calibrate(labels, [logits * LOWEST / 5])
    assert flat.temperature == pytest.approx(LOWEST, rel=1e-3)
    assert "at an end" in flat.note
