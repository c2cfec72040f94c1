from __future__ import annotations

from pathlib import Path

import pytest
from optuna.storages import RDBStorage

from automl_cv.errors import UserError
from automl_cv.search.run_choice import expected_run, take_run
from automl_cv.store.database import open_storage
from automl_cv.store.facts import StudyFacts
from automl_cv.store.runs import StudyRun, runs
from automl_cv.store.trials import StageTrials
from automl_cv.study import library, studyfile
from automl_cv.study.studyfile import StudyFile

QUICKSTART = library.load("quickstart")  # validation = "auto": the images decide
SIZES = {"train": 60, "validation": 20, "test": 20}


@pytest.fixture
def storage(tmp_path: Path) -> RDBStorage:
    return open_storage(f"sqlite:///{tmp_path}/trials.db", create=True)


def search(
    storage: RDBStorage,
    source: str,
    fingerprint: str,
    study: StudyFile = QUICKSTART,
    *,
    new: bool = False,
) -> tuple[str, StudyRun | None]:
    """Choose a run as a search does, and begin its first stage where it has none."""
    study = studyfile.overridden(study, data=source)
    if not new:
        expected_run(runs(storage), study, study.stages)
    decided = study.decided(SIZES["train"] + SIZES["validation"], fewest=9)
    facts = StudyFacts(
        decided.as_toml_data(),
        split_sizes=SIZES,
        data_source=source,
        data_fingerprint=fingerprint,
    )
    taken, other = take_run(storage, decided, study.stages, facts, new=new)
    if taken.run not in [run.name for run in runs(storage)]:
        StageTrials.create(storage, taken.run, study.stages[0].name, facts)
    taken.release()
    return taken.run, other


def test_the_same_images_are_gone_on_with_wherever_they_lie(storage):
    places = ["photos/", "photos", str(Path("photos").absolute()), "elsewhere"]
    assert [search(storage, place, "a") for place in places] == [("quickstart", None)] * 4


@pytest.mark.slow
def test_other_images_begin_a_run_and_the_earlier_ones_can_be_gone_on_with(storage):
    search(storage, "digits", "a")
    name, other = search(storage, "photos", "b")
    assert (name, other.exact_name) == ("quickstart@2", "quickstart@1")
    assert search(storage, "digits", "a") == ("quickstart", None)
    assert search(storage, "photos", "b") == ("quickstart@2", None)
    assert search(storage, "digits", "a", new=True) == ("quickstart@3", None)
    assert search(storage, "digits", "a") == ("quickstart@3", None), "the newest that matches"


def test_files_that_changed_under_a_source_are_refused(storage):
    search(storage, "photos", "a")
    search(storage, "digits", "b")
    with pytest.raises(UserError, match=r"photos/: the images .* run 'quickstart' began .* --new"):
        search(storage, "photos/", "c")


def test_a_changed_study_is_refused_unless_a_run_of_it_has_these_images(storage):
    changed = studyfile.overridden(QUICKSTART, seed=3)
    search(storage, "digits", "a")
    with pytest.raises(UserError, match=r"run 'quickstart' began with: seed: 0 -> 3\. Change it"):
        search(storage, "digits", "a", changed)
    assert search(storage, "digits", "c", changed, new=True)[0] == "quickstart@2"
    assert search(storage, "digits", "a") == ("quickstart", None)
    with pytest.raises(UserError, match=r"run 'quickstart@2' began with: seed: 3 -> 0\."):
        search(storage, "photos", "b")


def test_what_auto_decided_for_the_images_of_a_run_is_no_change_of_the_study(storage):
    search(storage, "digits", "a")
    split = QUICKSTART.model_copy(update={"validation": "split"})
    with pytest.raises(UserError, match=r"began with: validation: folds -> \(absent\)"):
        search(storage, "digits", "a", split)
    folds = QUICKSTART.model_copy(update={"validation": "folds"})
    assert search(storage, "digits", "a", folds) == ("quickstart", None)


def test_a_run_is_no_study(storage):
    with pytest.raises(UserError, match="'quickstart@1' is a run, expected a study: give quick"):
        library.load("quickstart@1")
