"""What trials said of images: kept well enough, in little room, and read on demand alone."""

from __future__ import annotations

import json

import numpy as np
import pytest

from automl_cv.store import predictions
from automl_cv.store.database import open_storage
from automl_cv.store.optuna_tables import read_trials
from automl_cv.store.predictions import packed, unpacked
from automl_cv.store.records import PREDICTIONS
from automl_cv.store.trials import StageTrials
from tests.published import COARSE, FACTS, distributions_of, history_of, parameters_of

PARAMETERS = parameters_of(COARSE[5])


def shares(images: int, classes: int = 10) -> np.ndarray:
    drawn = np.random.default_rng(0).dirichlet(np.full(classes, 0.1), images)
    return drawn.astype(np.float32)


def near(found: np.ndarray, said: np.ndarray) -> None:
    """Check that what is likely is kept well, and what is not is not lost."""
    np.testing.assert_allclose(found, said, rtol=2e-2, atol=1e-30)
    likely = said > 0.5
    np.testing.assert_allclose(found[likely], said[likely], rtol=4e-4)


def finish(trials: StageTrials, slot: int, said: np.ndarray | None) -> None:
    history = history_of(COARSE[5])
    trials.finish(slot, PARAMETERS, distributions_of(PARAMETERS), history, probabilities=said)


@pytest.fixture
def trials(tmp_path):
    storage = open_storage(f"sqlite:///{tmp_path}/trials.db", create=True)
    return StageTrials.create(storage, "quickstart", "coarse", FACTS)


def test_they_come_back():
    said = shares(360)
    found = unpacked(json.loads(json.dumps(packed(said))))
    assert found.every == 1
    near(found.probabilities, said)
    assert len(json.dumps(packed(said))) < 9500, "7 kB, as text"


def test_of_many_every_second_image_or_third_is_kept(monkeypatch):
    monkeypatch.setattr(predictions, "MOST_NUMBERS", 1000)
    said = shares(250)
    found = unpacked(packed(said))
    assert found.every == 3
    assert len(found.probabilities) == 84
    near(found.probabilities, said[::3])


def test_a_stage_has_them_by_slot(trials):
    said = shares(40)
    finish(trials, 3, said)
    finish(trials, 4, None)
    found = StageTrials.open(trials.storage, "quickstart", "coarse").predictions()
    assert list(found) == [3]
    near(found[3].probabilities, said)


@pytest.mark.slow
def test_reports_and_samplers_do_not_read_them(trials):
    finish(trials, 0, shares(40))
    (row,) = read_trials(trials.storage, trials._study_id, with_system_attributes=True)
    assert PREDICTIONS not in row.attributes
    assert PREDICTIONS not in row.system_attributes
    (record,) = trials.records()
    assert record.system_attributes == {}
