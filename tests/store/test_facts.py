"""Facts of study and stage: what is stored of them, now and by earlier versions, and joined."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from automl_cv.history import History
from automl_cv.results.leaderboard import read_run
from automl_cv.store.database import open_storage
from automl_cv.store.facts import (
    Narrowed,
    StageFacts,
    StudyFacts,
    facts_from_json,
    facts_to_json,
    joined,
)
from automl_cv.store.progress import Progress
from automl_cv.store.records import FACTS, TrialRecord
from automl_cv.store.trials import StageTrials
from automl_cv.study.space import Space

BEGUN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
WAITS = Progress(9, is_begun=False, is_cut=True)
NARROWED = Narrowed(
    stage="coarse",
    trials=(1, 0),
    space=Space.model_validate({"batch_size": 32}),
    reasons={"batch_size": "32 in trials 0 and 1"},
)

# As automl-cv stored a stage that the time cut, when each stage's record held maps by stage:
# with the courses of others, which the time left no room for.
CUT = """
{"study": {"name": "s", "metric": "log_loss", "stage": [{"name": "narrowed", "network": null}]},
 "digest": "0123456789abcdef", "seed": 3, "versions": {"optuna": "5.0.0"},
 "data_source": "digits", "data_fingerprint": "fedc", "class_names": ["a", "b"],
 "split_sizes": {"train": 3, "validation": 2, "test": 1}, "ledger": {"n_read": 6},
 "warnings": ["one"], "reference": {"val_accuracy": 0.5}, "notes": ["two"],
 "narrowed": {"narrowed": {"stage": "coarse", "trials": [1, 0],
   "space": {"parameters": {"batch_size": {"value": 32, "when": {}}}},
   "reasons": {"batch_size": "32 in trials 0 and 1"}, "remarks": [], "best_now": []}},
 "finalists": {}, "contenders": {},
 "courses": {
   "narrowed": {"wanted": 4, "is_begun": true, "is_cut": true, "n_sets": 4, "redrawn": [2]},
   "again": {"wanted": 9, "is_begun": false, "is_cut": true, "n_sets": null, "redrawn": []}},
 "started": "2026-01-02T03:04:05+00:00"}
"""

# Before finalists were told from contenders, and before courses were stored.
OLDEST = """
{"study": {"name": "s"}, "notes": [], "finalists": {"finalists": ["coarse/1", "coarse/0"]},
 "started": "2026-01-02T03:04:05+00:00"}
"""


def test_a_record_with_maps_by_stage_is_read():
    of_study, of_stage = facts_from_json("narrowed", json.loads(CUT))
    assert of_study == StudyFacts(
        study={"name": "s", "metric": "log_loss", "stage": [{"name": "narrowed", "network": None}]},
        digest="0123456789abcdef",
        seed=3,
        versions={"optuna": "5.0.0"},
        data_source="digits",
        data_fingerprint="fedc",
        class_names=("a", "b"),
        split_sizes={"train": 3, "validation": 2, "test": 1},
        ledger={"n_read": 6},
        warnings=("one",),
        reference={"val_accuracy": 0.5},
        waiting={"again": WAITS},
    )
    assert of_stage == StageFacts(
        notes=("two",),
        narrowed=NARROWED,
        progress=Progress(4, is_cut=True, n_sets=4, redrawn=(2,)),
        started=BEGUN,
    )


def test_what_is_stored_is_what_earlier_versions_stored():
    """So that one of them that goes on with the run finds space, slots and finalists."""
    stored = json.loads(CUT)
    again = json.loads(json.dumps(facts_to_json("narrowed", *facts_from_json("narrowed", stored))))
    assert list(again) == list(stored)
    assert again == stored


def record(source: str) -> TrialRecord:
    return TrialRecord("s", "finalists", 0, "complete", {"source": source}, History())


def test_finalists_all_count_where_none_were_told_apart():
    _, oldest = facts_from_json("finalists", json.loads(OLDEST))
    assert oldest == StageFacts(finalists=("coarse/1", "coarse/0"), started=BEGUN)
    assert oldest.counting == oldest.finalists
    assert oldest.counts(record("coarse/0"))
    assert joined([StudyFacts({})], {"finalists": oldest}).to_json()["contenders"] == {}
    told = StageFacts(finalists=("coarse/1", "coarse/0"), contenders=("coarse/1",))
    assert told.counts(record("coarse/1")) and not told.counts(record("coarse/0"))


def test_an_old_database_opens(tmp_path):
    storage = open_storage(f"sqlite:///{tmp_path}/old.db", create=True)
    for stage in ("coarse", "narrowed"):
        made = StageTrials.create(storage, "s", stage, StudyFacts({}))
        made.study.set_user_attr(FACTS, json.loads(CUT))
    trials = StageTrials.open(storage, "s", "narrowed")
    assert trials.stage_facts.narrowed == NARROWED
    trials.update_facts(warnings=("one", "more"))
    read = read_run(storage)
    assert read.facts.narrowed == {"narrowed": NARROWED}
    assert read.facts.warnings == ("one", "more")
    assert "stage again: not begun (the time ended)" in read.facts.notes
    assert "stage narrowed: 0 of 4 trials (the time ended)" in read.facts.notes


def test_facts_keep_progress_and_what_a_stage_says_of_itself_counts():
    a = StudyFacts({}, waiting={"b": WAITS}), StageFacts(progress=Progress(5))
    b = StudyFacts({}), StageFacts(progress=Progress(9, redrawn=(4,)), contenders=("a/1",))
    for name, facts in (("a", a), ("b", b)):
        assert facts_from_json(name, facts_to_json(name, *facts)) == facts
    for order in ({"a": a, "b": b}, {"b": b, "a": a}):
        found = joined(
            [one for one, _ in order.values()], {n: own for n, (_, own) in order.items()}
        )
        assert found.progress == {"a": Progress(5), "b": Progress(9, redrawn=(4,))}


def test_of_a_stage_alone_those_that_wait_are_known():
    waiting = StudyFacts({}, waiting={"b": WAITS})
    found = joined([waiting], {"a": StageFacts(progress=Progress(5))})
    assert list(found.to_json()["courses"]) == ["a", "b"]
    assert found.waiting == {}


@pytest.mark.parametrize("changes", [{"notes": ("n",)}, {"seed": 4, "notes": ("n",)}, {"seed": 4}])
def test_one_write_changes_facts_of_either_kind(tmp_path, changes):
    storage = open_storage(f"sqlite:///{tmp_path}/a.db", create=True)
    StageTrials.create(storage, "s", "a", StudyFacts({})).update_facts(**changes)
    again = StageTrials.open(storage, "s", "a")
    assert again.facts.seed == changes.get("seed", 0)
    assert again.stage_facts.notes == changes.get("notes", ())
