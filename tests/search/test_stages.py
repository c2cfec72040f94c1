"""The stages of a study in turn: their spaces, their finalists, and what waits for more time."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from automl_cv.errors import AutomlError
from automl_cv.orders.messages import Failed, PreparePixels, Train
from automl_cv.search import budget, events
from automl_cv.search.completeness import is_settled, tell_settled
from automl_cv.search.context import SearchContext
from automl_cv.search.stages import StageSequence
from automl_cv.store.progress import Progress
from automl_cv.store.runs import find_run
from tests.orders.scripted import obedient
from tests.search.conducted import STUDY, conducted

NAMES = tuple(stage.name for stage in STUDY.stages)
REFERENCE = {"label": "one", "val_accuracy": 0.5}


def run_all(context: SearchContext, begun: tuple[str, ...] = (), names=NAMES) -> StageSequence:
    sequence = StageSequence(context, begun)
    for name in names:
        sequence.run(STUDY.stage(name))
    sequence.note_waiting()
    return sequence


@pytest.mark.slow
def test_stages_run_in_turn_each_on_what_the_last_one_found(tmp_path):
    with conducted(tmp_path, workers=2) as (context, told):
        sequence = run_all(context)
        opened = {name: context.run.open(name) for name in NAMES}
        (narrowed,) = told.of(events.StageNarrowed)
        orders = [order for worker in context.crew.workers for order in worker.lives[0]]
        states = {name: [one.state for one in opened[name].records()] for name in NAMES}
    assert sequence.shortfalls == {}
    assert sequence.progress == {
        name: Progress(count) for name, count in zip(NAMES, (4, 2, 4, 1), strict=True)
    }
    assert states == {name: ["complete"] * sequence.progress[name].wanted for name in NAMES}
    facts = {name: trials.stage_facts for name, trials in opened.items()}
    assert (narrowed.source, narrowed.trials) == ("coarse", (3, 2)), "later trials are better"
    assert facts["narrowed"].narrowed.trials == (3, 2)
    assert facts["coarse"].narrowed is None
    assert facts["finalists"].finalists == ("coarse/3", "coarse/2")
    assert facts["finalists"].contenders == facts["finalists"].finalists
    assert len(facts["scratch"].finalists) == 1
    assert PreparePixels() in orders, "a network trains on pixels"
    long = [order for order in orders if isinstance(order, Train) and order.checkpoint]
    assert [order.trial.stage.name for order in long] == ["scratch"]


@pytest.mark.slow
def test_a_second_search_finds_nothing_to_train_and_tells_so(tmp_path):
    with conducted(tmp_path) as (context, _):
        run_all(context)
        assert not is_settled(context.run, NAMES, STUDY.stages), "the reference is missing"
        for name in NAMES:
            context.run.open(name).update_facts(reference=REFERENCE)
        assert not is_settled(context.run, NAMES[:-1], STUDY.stages)
        assert is_settled(context.run, NAMES, STUDY.stages)
    with conducted(tmp_path) as (context, told):
        assert run_all(context, NAMES).shortfalls == {}
        assert not told.of(events.TrialStarted)
        assert is_settled(context.run, NAMES, STUDY.stages)
        told.clear()
        tell_settled(context.run, STUDY.stages, told.append)
    assert [type(event) for event in told] == [
        events.StageStarted,
        events.StageNarrowed,
        *[events.StageStarted] * 3,
    ]
    assert [(one.trials, one.finished) for one in told.of(events.StageStarted)] == [
        (4, 4),
        (2, 2),
        (4, 4),
        (1, 1),
    ]


@pytest.mark.slow
def test_finalists_that_are_no_longer_the_best_are_something_to_do(tmp_path):
    with conducted(tmp_path) as (context, _):
        run_all(context)
        for name in NAMES:
            context.run.open(name).update_facts(reference=REFERENCE)
        outdone = ("coarse/2", "coarse/3")
        context.run.open("finalists").update_facts(contenders=outdone)
        assert not is_settled(context.run, NAMES, STUDY.stages)
        assert is_settled(context.run, NAMES, [STUDY.stage("coarse"), STUDY.stage("narrowed")])


@pytest.fixture
def standing_clock(monkeypatch):
    """What finalists need is more than what is left, and never used up."""
    monkeypatch.setattr(budget, "time", SimpleNamespace(monotonic=lambda: 0.0))


@pytest.mark.slow
def test_what_the_time_leaves_no_room_for_waits_and_is_noted(tmp_path, standing_clock):
    with conducted(tmp_path, seconds=0.001) as (context, told):
        sequence = run_all(context)
        run = find_run(context.run.storage, "s")
        facts = run.joined_facts(range(len(run.stages)))
    # One trial says what finalists need; those have all the time there is.
    assert run.stages == ("coarse", "finalists", "scratch")
    assert sequence.shortfalls == {
        "coarse": "1 of 4 trials (the time ended)",
        "narrowed": "not begun (the time ended)",
    }
    waits = Progress(2, is_begun=False, is_cut=True)
    assert [one.waiting for one in run.facts] == [{"narrowed": waits}] * 3
    assert facts.progress["narrowed"] == waits
    assert list(facts.progress) == ["coarse", "narrowed", "finalists", "scratch"]
    assert [event.stage for event in told.of(events.StageWaits)] == ["narrowed"]

    with conducted(tmp_path) as (context, told):
        assert run_all(context, run.stages).shortfalls == {}
        finalists = context.run.open("finalists")
        assert [find_run(context.run.storage, "s").facts[n].waiting for n in range(4)] == [{}] * 4
    assert finalists.stage_facts.finalists == ("coarse/0", "coarse/3", "coarse/2")
    assert finalists.stage_facts.contenders == ("coarse/3", "coarse/2")
    assert [one.trial for one in finalists.records()] == [0, 1, 2, 3, 4, 5]


@pytest.mark.slow
def test_a_stage_begun_before_is_left_as_it_is_where_no_time_is(tmp_path):
    with conducted(tmp_path) as (context, _):
        run_all(context, names=("coarse",))
        context.run.open("coarse").update_facts(progress=Progress(4, redrawn=(1,)))
    with conducted(tmp_path, seconds=0) as (context, told):
        context.budget.note_result()
        sequence = run_all(context, ("coarse",), ("coarse", "narrowed"))
    assert sequence.progress["coarse"] == Progress(4, redrawn=(1,)), "it has all its trials"
    assert sequence.shortfalls == {"narrowed": "not begun (the time ended)"}
    assert [event.stage for event in told.of(events.StageWaits)] == ["narrowed"]
    assert sequence.opened == []


def test_a_stage_without_a_result_can_not_be_narrowed_nor_trained_again(tmp_path):
    def script(worker, order):
        if isinstance(order, Train) and order.trial.number % 2 == 0:
            yield Failed("out of memory", 1, "")
        else:
            yield from obedient(worker, order)

    coarse = STUDY.stage("coarse").model_copy(update={"trials": 1})
    with conducted(tmp_path, script) as (context, _):
        sequence = StageSequence(context, ())
        sequence.run(coarse)
        with pytest.raises(AutomlError, match="'narrowed' can't be narrowed: no trial of 'coarse'"):
            sequence.run(STUDY.stage("narrowed"))
        with pytest.raises(AutomlError, match="'finalists' has nothing to train again"):
            sequence.run(STUDY.stage("finalists"))
