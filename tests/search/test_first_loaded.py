"""What workers load while the search reads the images: TensorFlow where it will be needed."""

from __future__ import annotations

import pytest

from automl_cv.features import FeatureCache
from automl_cv.orders.crew import ENGINE, SOLVING
from automl_cv.search.first_loaded import first_loaded, known_early
from automl_cv.study import library


@pytest.mark.parametrize(
    ("name", "stages", "is_cached", "expected"),
    [
        ("quickstart", None, False, [True, False]),  # the first one extracts, for all
        ("quickstart", None, True, [False, False]),
        ("heads", None, True, [True, True]),  # has hidden layers
        ("heads", ["linear"], True, [False, False]),
    ],
)
def test_tensorflow_is_loaded_by_those_that_need_it(
    name, stages, is_cached, expected, tmp_path, monkeypatch
):
    study = library.load(name)
    chosen = [one for one in study.stages if stages is None or one.name in stages]
    monkeypatch.setattr(FeatureCache, "has_some", lambda self, made: is_cached)
    loads = first_loaded(study, chosen, tmp_path)
    assert [ENGINE in loads(number) for number in (0, 1)] == expected
    assert "automl_cv.worker.heads" in loads(0)


def test_what_is_known_early_is_what_the_first_worker_loads(tmp_path):
    study = library.load("quickstart")
    first = first_loaded(study, study.stages, tmp_path)(0)
    assert known_early(study, None, tmp_path) == [SOLVING, *first]
    assert known_early(study, "no such stage", tmp_path) == [SOLVING], "the search tells of it"
