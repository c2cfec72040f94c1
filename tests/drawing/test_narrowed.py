"""The derived space of a stage over real storage: when it is derived, when it is kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from optuna.storages import RDBStorage

from automl_cv.drawing.narrowed import derived_space
from automl_cv.drawing.origins import StoredRun
from automl_cv.drawing.stage_memory import distributions_of
from automl_cv.errors import AutomlError, UserError
from automl_cv.search import events
from automl_cv.search.run_choice import check_sources
from automl_cv.store.database import open_storage
from automl_cv.store.facts import Narrowed, StageFacts
from automl_cv.store.runs import find_run
from automl_cv.store.trials import StageTrials
from automl_cv.study import studyfile
from automl_cv.study.library import load
from automl_cv.study.studyfile import StudyFile
from tests.published import COARSE, FACTS, fail, finish, history_of, parameters_of


@pytest.fixture
def study() -> StudyFile:
    """The published study; its narrowed stage by the rule, and one that narrows that again."""
    raw = load("slides").as_toml_data()
    stages = {stage["name"]: stage for stage in raw["stage"]}
    stages["narrowed"].update(narrow_from="coarse", space={})
    again = {**stages["narrowed"], "name": "again", "narrow_from": "narrowed"}
    return studyfile.parse({**raw, "stage": [*stages.values(), again]}, "test")


@pytest.fixture
def storage(tmp_path: Path) -> RDBStorage:
    return open_storage(f"sqlite:///{tmp_path}/a.db", create=True)


@pytest.fixture
def coarse(storage: RDBStorage) -> StageTrials:
    return StageTrials.create(storage, "slides", "coarse", FACTS)


def derive(
    study: StudyFile, storage: RDBStorage, begun: StageTrials | None, stage: str = "narrowed"
) -> Narrowed:
    return derived_space(study.stage(stage), StoredRun(study, storage, "slides"), begun)


def draw_one(begun: StageTrials, found: Narrowed, row: tuple, trial: int = 0) -> None:
    parameters = parameters_of(row)
    distributions = distributions_of(found.space, parameters)
    begun.finish(trial, parameters, distributions, history_of(row))


@pytest.mark.slow
def test_unfinished_source_is_narrowed_with_a_warning(study, storage, coarse):
    for trial in (0, 1, 4, 5):
        finish(coarse, trial, COARSE[trial])
    fail(coarse, 2, COARSE[2], "out of memory")
    found = derive(study, storage, None)
    assert found.trials == (5, 4)
    assert found.warnings == ("2 of the 6 trials of coarse were not finished",)


def test_a_source_without_results_is_one_line(study, storage, coarse):
    fail(coarse, 0, COARSE[0], "out of memory")
    with pytest.raises(AutomlError) as raised:
        derive(study, storage, None)
    assert str(raised.value) == (
        "stage 'narrowed' can't be narrowed: no trial of 'coarse' has a result; "
        "`automl-cv report slides` says why. Mend the cause and run the same command again"
    )
    assert raised.value.exit_code == 1


@pytest.mark.slow
def test_the_space_stays_once_a_trial_was_drawn_from_it(study, storage, coarse):
    for trial, row in enumerate(COARSE[:5]):
        finish(coarse, trial, row)
    first = derive(study, storage, None)
    assert first.trials == (4, 1)
    own = StageFacts(narrowed=first)
    begun = StageTrials.create(storage, "slides", "narrowed", FACTS, own)

    finish(coarse, 5, COARSE[5])
    second = derive(study, storage, begun)
    assert (second.trials, second.warnings) == ((5, 4), ()), "no trial was drawn yet"

    begun.update_facts(narrowed=second)
    draw_one(begun, second, (43, "SGD", 0.066, 0.18, 36, 1.0, 0.9311, 0.0065, 0.2349))
    finish(coarse, 6, (90, "SGD", 0.2, 0.8, 30, 1.0, 0.99, 0.01, 0.02))
    kept = derive(study, storage, StageTrials.open(storage, "slides", "narrowed"))
    assert (kept.space, kept.reasons, kept.trials) == (second.space, second.reasons, (5, 4))
    assert kept.warnings == (
        "the best of coarse are now trials 6 and 5; the ranges stay those that the first trials "
        "were drawn from, `search --new` narrows anew",
    )


@pytest.mark.slow
def test_a_chain_narrows_the_derived_space(study, storage, coarse):
    for trial, row in enumerate(COARSE):
        finish(coarse, trial, row)
    first = derive(study, storage, None)
    own = StageFacts(narrowed=first)
    begun = StageTrials.create(storage, "slides", "narrowed", FACTS, own)
    draw_one(begun, first, (43, "SGD", 0.066, 0.18, 36, 1.0, 0.9311, 0.0065, 0.2349))
    again = derive(study, storage, None, "again").space.parameters
    before = first.space.parameters
    assert str(again["optimizer"]) == "SGD"
    assert again["batch_size"].high - again["batch_size"].low <= 7
    assert before["momentum"].low <= again["momentum"].low < again["momentum"].high
    assert again["momentum"].high <= before["momentum"].high


@pytest.mark.slow
def test_facts_keep_the_space_across_the_database(study, storage, coarse):
    for trial, row in enumerate(COARSE):
        finish(coarse, trial, row)
    found = derive(study, storage, None)
    StageTrials.create(storage, "slides", "narrowed", FACTS, StageFacts(narrowed=found))
    assert StageTrials.open(storage, "slides", "narrowed").stage_facts.narrowed == found
    event = events.StageNarrowed.of("narrowed", found)
    assert (event.source, event.trials) == ("coarse", (5, 4))
    assert event.space["batch_size"] == "24 – 72"


def test_a_source_must_be_at_hand(study, storage, coarse):
    narrowed, again = study.stage("narrowed"), study.stage("again")
    with pytest.raises(UserError) as raised:
        check_sources([narrowed], None)
    assert str(raised.value) == (
        "stage 'narrowed' rests on 'coarse', which has not been searched yet; "
        "search it first with --stage coarse, or leave --stage out"
    )
    check_sources(study.stages, None)
    earlier = find_run(storage, "slides")
    check_sources([narrowed], earlier)
    with pytest.raises(UserError, match="--stage narrowed"):
        check_sources([again], earlier)
