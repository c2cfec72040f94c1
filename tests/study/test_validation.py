"""What validates: a split, or folds of all; and which stages allow it."""

from __future__ import annotations

from typing import Any

import pytest

from automl_cv.errors import UserError
from automl_cv.study.studyfile import MOST_FOLDED, StudyFile, difference, overridden, parse
from automl_cv.study.trial import plan

SPACE = {"optimizer": "SGD", "batch_size": 16, "learning_rate": 0.1}
HEADS = {"name": "heads", "trials": 2, "epochs": 3, "space": SPACE}
EXACT = {"name": "exact", "exact": "logistic", "trials": 2, "space": {"penalty": [1.0, 2.0]}}
COMBINED = {"name": "combined", "combine": {"stages": ["exact", "heads"]}}
AGAIN = {"name": "again", "epochs": 1}
NETWORK = {**HEADS, "name": "scratch", "network": "ResNet34"}


def study(*stages: dict[str, Any], **changes: Any) -> StudyFile:
    return parse({"name": "s", "stage": list(stages or (HEADS,)), **changes}, "s.toml")


def line(*stages: dict[str, Any], **changes: Any) -> str:
    with pytest.raises(UserError) as told:
        study(*stages, **changes)
    return str(told.value)


@pytest.mark.parametrize(
    ("validation", "images", "folds"),
    [
        ("split", 100, None),
        ("folds", 10**6, 5),
        ("auto", MOST_FOLDED, 5),
        ("auto", MOST_FOLDED + 1, None),
    ],
)
def test_a_trial_has_all_folds_or_none(validation, images, folds):
    decided = study(validation=validation).decided(images, fewest=5)
    trial = plan(decided, decided.stages[0], 0, SPACE, seed=1)
    assert (trial.folds, trial.fold, trial.is_out_of_fold) == (folds, None, folds is not None)
    assert trial.inputs.folds == folds
    assert [one.fold for one in trial.of_each_fold()] == list(range(folds or 0)) or [None]


def test_auto_is_a_split_where_a_stage_knows_no_folds():
    assert study(NETWORK, validation="auto").decided(100, fewest=9).validation == "split"
    assert line(NETWORK, validation="folds") == (
        "s.toml: validation: 'folds' is for heads on features, and stage 'scratch' trains a whole "
        'network from its first weights, on cached pixels; set "auto" or "split", or leave it out'
    )


def test_a_stage_that_trains_each_fold_by_itself_keeps_them():
    again = {"name": "again", "retrain": {"stages": "heads", "folds": 10}}
    own = study(HEADS, again, validation="folds")
    trial = plan(own, own.stage("again"), 0, SPACE, seed=1, fold=4)
    assert (trial.folds, trial.fold, trial.is_out_of_fold) == (10, 4, False)
    assert trial.over(5).is_out_of_fold
    assert trial.over(None).folds is None


def test_studies_of_before_are_written_as_before():
    plain = study(HEADS)
    written = plain.as_toml_data()
    assert not {"validation", "folds"} & written.keys()
    assert not {"exact", "combine"} & written["stage"][0].keys()
    folded = study(HEADS, validation="folds", folds=4)
    assert parse(folded.as_toml_data(), "again") == folded
    assert difference(plain, folded) == ["validation: (absent) -> folds", "folds: (absent) -> 4"]


@pytest.mark.parametrize(
    ("stages", "told"),
    [
        ([{**EXACT, "epochs": 3}], "stage.exact: epochs: nothing is trained in steps"),
        ([{**EXACT, "schedule": "cosine"}], "stage.exact: schedule: nothing is trained in steps"),
        ([{**EXACT, "space": SPACE}], "stage.exact.space: unknown parameter 'optimizer'"),
        ([{**EXACT, "exact": "lada"}], "stage.exact.exact: unknown exact head 'lada': did you"),
        (
            [{**HEADS, "exact": "lda", "network": "ResNet34"}],
            "exact and network exclude each other",
        ),
        ([{**EXACT, "space": {"penalty": -1}}], "penalty: expected numbers from 0, got -1"),
        ([COMBINED], "stage.combined.combine.stages: no stage 'exact' stands above it"),
        ([HEADS, EXACT, {**COMBINED, "trials": 2}], "a stage that combines has one trial"),
        (
            [HEADS, EXACT, {"name": "again", "retrain": {"stages": ["exact", "heads"]}}],
            "stage.again.retrain.stages: 'heads' has another head than 'again'",
        ),
        (
            [HEADS, EXACT, COMBINED, {"name": "more", "combine": {"stages": "combined"}}],
            "stage.more.combine.stages: 'combined' is no search of heads on features",
        ),
        (
            [HEADS, EXACT, COMBINED, {**AGAIN, "retrain": {"stages": "combined"}}],
            "stage.again.retrain.stages: what a stage combines can't be trained again",
        ),
        (
            [EXACT, {**AGAIN, "retrain": {"stages": "exact"}, "fine_tune": {"blocks": 1}}],
            "stage.again.retrain.stages: 'exact' has another head than 'again'",
        ),
    ],
)
def test_mistakes_are_told_in_a_line(stages, told):
    found = line(*stages)
    assert told in found
    assert "\n" not in found


def test_exact_heads_have_one_epoch_and_what_their_space_draws():
    own = study({**EXACT, "space": {"exact": ["lda"], "shrinkage": 0.5, "scaling": "unit"}})
    stage = own.stages[0]
    assert (stage.epochs, stage.kind.name, stage.training.in_steps) == (1, "exact", False)
    task = plan(own, stage, 0, {"exact": "lda", "shrinkage": 0.5, "scaling": "unit"}, seed=1).task
    assert (task.head, task.head_parameters) == ("lda", {"shrinkage": 0.5, "scaling": "unit"})


def test_exact_heads_are_trained_again_as_what_they_are():
    own = study(EXACT, {"name": "again", "retrain": {"stages": "exact", "folds": 3}})
    assert own.stage("again").exact == own.stage("exact").exact
    assert own.stage("again").kind.name == "exact"


def test_more_trials_are_not_more_combinations():
    more = overridden(study(HEADS, EXACT, COMBINED), trials=7)
    assert [stage.trials for stage in more.stages] == [7, 7, 1]


def test_auto_is_a_split_where_a_class_has_too_few_images_for_the_folds():
    assert study(validation="auto").decided(100, fewest=4).validation == "split"
    assert study(validation="auto", folds=4).decided(100, fewest=4).validation == "folds"
    assert study(validation="auto").decided_as("split").validation == "split"
    assert study(validation="folds").decided_as("split").validation == "folds"
