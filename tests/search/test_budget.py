"""Time for finalists is set aside from measured trials, and what can't be run waits."""

from __future__ import annotations

import tomllib

import pytest

from automl_cv.history import Epoch, History
from automl_cv.search.budget import Budget, must_wait
from automl_cv.store.progress import Progress
from automl_cv.study import studyfile

STUDY = studyfile.parse(
    tomllib.loads("""
        name = "s"
        [[stage]]
        name = "coarse"
        trials = 20
        epochs = 10
        [stage.space]
        optimizer = ["SGD"]
        batch_size = { low = 16, high = 64 }
        learning_rate = { low = 0.01, high = 0.1 }
        momentum = 0.0
        [[stage]]
        name = "narrowed"
        narrow_from = "coarse"
        trials = 10
        epochs = 10
        [[stage]]
        name = "finalists"
        retrain = { stages = ["coarse", "narrowed"], top = 3, repeats = 5 }
        epochs = 20
        [[stage]]
        name = "augmented"
        retrain = { stages = "finalists", top = 1, repeats = 5 }
        epochs = 10
    """),
    "s.toml",
)
COARSE, NARROWED, FINALISTS, AUGMENTED = STUDY.stages


def trained(seconds: float, stop: str = "epochs") -> History:
    epochs = (Epoch(1, 0.5, 0.5, 1.0, 1.0, 0.1, seconds),)
    return History(epochs, stop, seconds=seconds)  # type: ignore[arg-type]


def budget_of(seconds: float | None, workers: int = 1, stages=STUDY.stages) -> Budget:
    return Budget(STUDY, stages, seconds, workers)


def test_nothing_is_set_aside_before_a_trial_was_measured():
    assert budget_of(100).reserve(COARSE) == 0


def test_what_finalists_need_grows_with_the_trials_at_hand():
    budget = budget_of(1000)
    budget.measure(COARSE, trained(2.0))
    # One trial, five times with twice the epochs; then five times again, augmented.
    assert budget.reserve(COARSE) == pytest.approx(5 * 4 + 5 * 2)
    budget.measure(COARSE, trained(2.0))
    assert budget.reserve(COARSE) == pytest.approx(10 * 4 + 5 * 2)
    for _ in range(10):
        budget.measure(COARSE, trained(2.0))
    assert budget.reserve(COARSE) == pytest.approx(15 * 4 + 5 * 2)
    assert budget.reserve(NARROWED) == budget.reserve(COARSE)
    assert budget.reserve(FINALISTS) == 0, "finalists themselves have all the time there is"


def test_workers_share_and_slow_trials_count():
    budget = budget_of(1000, workers=4)
    for seconds in (1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 3.0, 3.0):
        budget.measure(COARSE, trained(seconds))
    # Fifteen trials are four rounds of four workers; five are two.
    assert budget.reserve(COARSE) == pytest.approx(4 * 6 + 2 * 3)


def test_a_trial_that_failed_is_no_finalist():
    budget = budget_of(1000)
    budget.measure(COARSE, History((), "failed", "out of memory", 2.0))
    assert budget.reserve(COARSE) == 0
    assert not budget.is_over(COARSE)


def test_stages_that_are_not_run_now_need_no_time():
    budget = budget_of(1000, stages=(COARSE,))
    budget.measure(COARSE, trained(2.0))
    assert budget.reserve(COARSE) == 0


def test_time_never_ends_before_there_is_anything_to_show():
    budget = budget_of(0)
    assert not budget.is_over(COARSE)
    budget.note_result()
    assert budget.is_over(COARSE)
    forever = budget_of(None)
    forever.note_result()
    assert not forever.is_over(COARSE)


def test_a_stage_that_searches_ends_earlier_than_its_finalists():
    budget = budget_of(25)
    budget.measure(COARSE, trained(2.0))
    assert budget.is_over(COARSE), "30 of 25 seconds are set aside"
    assert not budget.is_over(FINALISTS)


CUT = Progress(20, is_cut=True)
NOT_BEGUN = Progress(10, is_begun=False, is_cut=True)


@pytest.mark.parametrize(
    ("stage", "courses", "waits"),
    [
        (NARROWED, {"coarse": Progress(20)}, False),
        (NARROWED, {"coarse": CUT}, True),
        (FINALISTS, {"coarse": CUT, "narrowed": NOT_BEGUN}, False),
        (AUGMENTED, {"coarse": CUT, "narrowed": NOT_BEGUN, "finalists": Progress(5)}, False),
        (AUGMENTED, {"coarse": CUT, "finalists": Progress(5, is_cut=True)}, True),
    ],
    ids=["narrows all", "narrows a part", "best of a part", "of all finalists", "of a part"],
)
def test_what_waits_for_another_search(stage, courses, waits):
    budget = budget_of(1000)
    budget.measure(COARSE, trained(0.1))
    assert must_wait(stage, STUDY, courses, budget) is waits


def test_finalists_wait_where_no_trial_has_a_result():
    budget = budget_of(0)
    budget.note_result()
    assert must_wait(FINALISTS, STUDY, {"coarse": CUT, "narrowed": NOT_BEGUN}, budget)
    assert must_wait(FINALISTS, STUDY, {"coarse": CUT, "narrowed": NOT_BEGUN}, budget_of(None))
