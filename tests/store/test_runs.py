from dataclasses import replace
from datetime import timedelta

import optuna
import pytest

from automl_cv.errors import UserError
from automl_cv.store.database import open_storage
from automl_cv.store.optuna_tables import study_attribute
from automl_cv.store.optuna_writes import swap_study_attribute
from automl_cv.store.records import HOLDER
from automl_cv.store.runs import find_run, next_run, runs, shown_name
from automl_cv.store.trials import StageTrials
from tests.published import COARSE, FACTS, STAGE_FACTS, finish

LATER = replace(STAGE_FACTS, started=STAGE_FACTS.started + timedelta(days=1))


@pytest.fixture
def storage(tmp_path):
    return open_storage(f"sqlite:///{tmp_path}/trials.db", create=True)


def test_runs_have_their_stages_in_order(storage):
    StageTrials.create(storage, "quickstart", "coarse", FACTS, STAGE_FACTS)
    StageTrials.create(storage, "quickstart@2", "coarse", FACTS, LATER)
    StageTrials.create(storage, "quickstart", "narrowed", FACTS, STAGE_FACTS)
    optuna.create_study(storage=storage, study_name="of another program")
    assert [(run.name, run.study, run.number, run.stages) for run in runs(storage)] == [
        ("quickstart", "quickstart", 1, ("coarse", "narrowed")),
        ("quickstart@2", "quickstart", 2, ("coarse",)),
    ]


@pytest.mark.slow
def test_find_run(storage):
    for number in range(1, 11):
        name = "quickstart" if number == 1 else f"quickstart@{number}"
        StageTrials.create(storage, name, "coarse", FACTS, STAGE_FACTS)
    StageTrials.create(storage, "slides", "coarse", FACTS, LATER)
    assert find_run(storage, "quickstart").name == "quickstart@10"
    assert find_run(storage, "quickstart@1").name == "quickstart"
    assert find_run(storage, "quickstart@2").name == "quickstart@2"
    assert find_run(storage).name == "slides"
    finish(StageTrials.open(storage, "quickstart@3", "coarse"), 0, COARSE[0])
    assert find_run(storage).name == "quickstart@3"


def test_an_unknown_run_has_near_matches(storage):
    with pytest.raises(UserError, match=r"trials\.db holds no study yet; `automl-cv search"):
        find_run(storage)
    StageTrials.create(storage, "quickstart", "coarse", FACTS)
    with pytest.raises(UserError, match="no study 'quickstrat': did you mean 'quickstart'"):
        find_run(storage, "quickstrat")
    with pytest.raises(UserError, match="no study 'quickstart@7': did you mean 'quickstart'"):
        find_run(storage, "quickstart@7")


def test_next_run(storage):
    assert next_run(runs(storage), "quickstart") == "quickstart"
    StageTrials.create(storage, "quickstart", "coarse", FACTS)
    assert shown_name(storage, "quickstart") == "quickstart"
    assert next_run(runs(storage), "quickstart") == "quickstart@2"
    StageTrials.create(storage, "quickstart@2", "coarse", FACTS)
    assert next_run(runs(storage), "quickstart") == "quickstart@3"
    assert next_run(runs(storage), "slides") == "slides"
    names = [shown_name(storage, run.name) for run in runs(storage)]
    assert names == ["quickstart@1", "quickstart@2"]
    assert [find_run(storage, name).exact_name for name in names] == names


def test_of_two_that_take_a_free_run_one_gets_it(storage):
    study_id = optuna.create_study(storage=storage, study_name="quickstart/coarse")._study_id
    before = study_attribute(storage, study_id, HOLDER)
    assert before is None
    assert swap_study_attribute(storage, study_id, HOLDER, before, "first")
    assert not swap_study_attribute(storage, study_id, HOLDER, before, "second")
    assert swap_study_attribute(storage, study_id, HOLDER, '"first"', None)
    assert not swap_study_attribute(storage, study_id, HOLDER, '"first"', "second")
    assert study_attribute(storage, study_id, HOLDER) == "null"
