"""True classes of the images that validate: kept once a run, in little room."""

from __future__ import annotations

import numpy as np
import pytest

from automl_cv.store.database import open_storage
from automl_cv.store.labels import read_labels, write_labels
from automl_cv.store.optuna_tables import study_attribute
from automl_cv.store.records import LABELS
from automl_cv.store.trials import StageTrials
from tests.published import FACTS


@pytest.fixture
def storage(tmp_path):
    storage = open_storage(f"sqlite:///{tmp_path}/trials.db", create=True)
    for stage in ("coarse", "narrowed"):
        StageTrials.create(storage, "quickstart", stage, FACTS)
    return storage


def test_they_come_back_and_stand_with_the_first_stage_alone(storage):
    classes = np.sort(np.random.default_rng(0).integers(0, 1000, 40_000))
    assert read_labels(storage, "quickstart") is None
    write_labels(storage, "quickstart", classes)
    found = read_labels(storage, "quickstart")
    np.testing.assert_array_equal(found.classes, classes)
    assert found.groups is None
    first, second = (
        study_attribute(storage, storage.get_study_id_from_name(f"quickstart/{stage}"), LABELS)
        for stage in ("coarse", "narrowed")
    )
    assert second is None and len(first) < 6000, "every report reads it"
    assert read_labels(storage, "quickstart@2") is None


def test_what_was_written_first_stays(storage):
    write_labels(storage, "quickstart", np.array([0, 1]))
    write_labels(storage, "quickstart", np.array([1, 1]))
    assert read_labels(storage, "quickstart").classes.tolist() == [0, 1]
    write_labels(storage, "unknown", np.array([1, 1]))


def test_images_of_a_group_have_one_number(storage):
    groups = ["a", None, "b", None, "a", ""]
    write_labels(storage, "quickstart", np.arange(6), groups)
    found = read_labels(storage, "quickstart").groups.tolist()
    assert found[0] == found[4] and len(set(found)) == 5
    write_labels(storage, "quickstart", np.arange(6), [None] * 6)
