"""What a stage combines: the best of trials that are unlike, and others once those above go on."""

from __future__ import annotations

import numpy as np
import pytest

from automl_cv.drawing import combined
from automl_cv.drawing.origins import StoredRun, origin_of
from automl_cv.drawing.suggesting import distributions_of
from automl_cv.errors import AutomlError
from automl_cv.history import Epoch, History
from automl_cv.store.database import open_storage
from automl_cv.store.facts import StudyFacts
from automl_cv.store.trials import StageTrials
from automl_cv.study.studyfile import parse
from automl_cv.study.trial import plan

STUDY = parse(
    {
        "name": "s",
        "validation": "folds",
        "stage": [
            {
                "name": "exact",
                "exact": "logistic",
                "trials": 9,
                "space": {
                    "exact": ["logistic", "lda"],
                    "scaling": ["standard", "unit"],
                    "features": ["last", "all"],
                    "penalty": {"low": 0.1, "high": 10.0},
                },
            },
            {
                "name": "steps",
                "trials": 9,
                "epochs": 3,
                "space": {
                    "optimizer": ["SGD", "Adam"],
                    "batch_size": {"low": 8, "high": 64},
                    "learning_rate": 0.1,
                },
            },
            {"name": "combined", "combine": {"stages": ["exact", "steps"], "top": 3}},
        ],
    },
    "s.toml",
)
STAGE = STUDY.stage("combined")
SAID = np.full((8, 2), 0.5, np.float32)


@pytest.fixture
def run(tmp_path):
    storage = open_storage(f"sqlite:///{tmp_path}/trials.db", create=True)
    return StoredRun(STUDY, storage, "s")


def begin(run, stage):
    facts = StudyFacts(STUDY.as_toml_data(), split_sizes={"train": 6, "validation": 2})
    return StageTrials.create(run.storage, "s", stage, facts)


def finish(trials, slot, loss, said=SAID, **parameters):
    epoch = Epoch(1, 0.9, 0.8, loss, loss, 0.0, 0.1)
    space = STUDY.stage(trials.stage).space
    trials.finish(
        slot,
        parameters,
        distributions_of(space, parameters),
        History((epoch,), "epochs"),
        probabilities=said,
    )


def exact(head, scaling="standard", features="last", penalty=1.0):
    return {"exact": head, "scaling": scaling, "features": features, "penalty": penalty}


def steps(optimizer, batch_size):
    return {"optimizer": optimizer, "batch_size": batch_size, "learning_rate": 0.1}


def slots_and_members(run, trials):
    memory = combined.memory_of(STAGE, run, trials)
    (slot,) = memory.slots
    return slot, memory.draw(slot).parameters["members"], memory.members(slot)


@pytest.mark.slow
def test_of_trials_that_differ_in_numbers_the_best_stands_for_all(run):
    above = begin(run, "exact")
    finish(above, 0, 0.5, **exact("logistic", penalty=1.0))
    finish(above, 1, 0.4, **exact("logistic", penalty=2.0))
    finish(above, 2, 0.3, **exact("lda"))
    finish(above, 3, 0.35, **exact("lda", features="all"))  # other features than the best's
    finish(above, 4, 0.2, None, **exact("logistic", "unit"))  # nobody kept what it said
    slot, names, members = slots_and_members(run, begin(run, "combined"))
    assert (slot, names) == (0, "exact/2 + exact/1")
    assert [one.trial.task.head for one in members] == ["lda", "logistic"]
    assert [one.trial.number for one in members] == [2, 1]
    assert all(one.trial.is_out_of_fold for one in members)
    np.testing.assert_allclose(members[0].probabilities, SAID, rtol=1e-3)


@pytest.mark.slow
def test_all_learn_from_the_features_of_the_best(run):
    above = begin(run, "exact")
    finish(above, 0, 0.3, **exact("lda"))
    finish(above, 1, 0.1, **exact("lda", features="all"))
    finish(above, 2, 0.5, **exact("logistic", features="all"))
    _, names, members = slots_and_members(run, begin(run, "combined"))
    assert names == "exact/1 + exact/2"
    trial = plan(STUDY, STAGE, 0, {"members": names}, seed=1, members=members)
    assert trial.backbone.features == "all"


@pytest.mark.slow
def test_no_more_than_are_wanted_from_all_stages(run):
    finish(begin(run, "exact"), 0, 0.5, **exact("lda"))
    above = begin(run, "steps")
    finish(above, 0, 0.3, **steps("SGD", 8))
    finish(above, 1, 0.2, **steps("Adam", 9))
    finish(above, 2, 0.1, **steps("Adam", 64))
    _, names, members = slots_and_members(run, begin(run, "combined"))
    assert names == "steps/2 + steps/0 + exact/0"
    assert len(members[0].replay) == 1
    assert members[0].trial.task.optimizer == "Adam"


@pytest.mark.slow
def test_others_that_a_resume_finds_are_another_combination(run):
    above = begin(run, "exact")
    finish(above, 0, 0.5, **exact("lda"))
    finish(above, 1, 0.6, **exact("logistic"))
    trials = begin(run, "combined")
    slot, names, _ = slots_and_members(run, trials)
    finish_combined(trials, slot, names)
    origin = origin_of(STAGE)
    assert origin.is_current(STAGE, run, trials.stage_facts)
    assert list(origin.wanted(STAGE, trials.stage_facts).slots) == [0]
    finish(above, 2, 0.4, **exact("logistic", "unit"))
    assert not origin.is_current(STAGE, run, trials.stage_facts)
    slot, names, _ = slots_and_members(run, trials)
    assert (slot, names) == (1, "exact/2 + exact/0 + exact/1")
    finish_combined(trials, slot, names)
    first, second = trials.records()
    assert [trials.stage_facts.counts(one) for one in (first, second)] == [False, True]


def finish_combined(trials, slot, names):
    held = list(trials.stage_facts.finalists)
    trials.finish(
        slot,
        {"members": names},
        combined.distribution(held),
        History((Epoch(1, 0.9, 0.8, 0.3, 0.3, 0.0, 0.1),), "epochs"),
    )


def test_nothing_to_combine_is_told_in_a_line(run):
    begin(run, "exact")
    with pytest.raises(AutomlError, match="stage 'combined' has nothing to combine: no trial of"):
        combined.memory_of(STAGE, run, begin(run, "combined"))
