"""A stage hands its trials out, stores what comes of them, and gives up what the time cuts."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from automl_cv.drawing.searched import memory_of
from automl_cv.errors import AutomlError, SearchBroken, UserError
from automl_cv.orders import crew as crew_module
from automl_cv.orders.messages import Failed, PrepareFeatures, Train
from automl_cv.search import events, preparation, stage_run
from automl_cv.search.context import SearchContext
from automl_cv.search.stage_run import StageRun
from automl_cv.store import claims
from automl_cv.store.database import open_storage
from automl_cv.store.progress import Progress
from automl_cv.store.runs import runs
from automl_cv.store.trials import StageTrials
from automl_cv.study.sections import Named
from automl_cv.study.space import Choice, Space
from automl_cv.study.stage import Stage
from tests.orders.scripted import (
    DEATH,
    SILENCE,
    ScriptedCluster,
    epochs_of,
    obedient,
    trained,
)
from tests.search.conducted import STUDY, conducted

COARSE = STUDY.stage("coarse")
ASKING = COARSE.model_copy(update={"pruner": Named(name="median")})
"""Whether its trials go on is asked after each epoch."""
RACE = ASKING.model_copy(
    update={
        "space": Space(
            parameters={**COARSE.space.parameters, "image_size": Choice(choices=(8, 16))}
        )
    }
)


def prepared(context: SearchContext, stage: Stage = COARSE) -> tuple[StageRun, StageTrials]:
    run = context.run
    if any(stage.name in one.stages for one in runs(run.storage)):
        trials = run.open(stage.name)
    else:
        trials = StageTrials.create(run.storage, run.name, stage.name, context.facts)
    memory = memory_of(stage, run, trials)
    features = preparation.prepare_stage(context, stage, memory, trials)
    return StageRun(context, stage, memory, trials, features), trials


def with_trials(answer):
    """Return a script that answers as `answer(trial)` says, None for as it should be."""

    def script(worker, order):
        found = answer(order.trial.number) if isinstance(order, Train) else None
        yield from obedient(worker, order) if found is None else found

    return script


def broken(reason: str) -> list[Failed]:
    return [Failed(reason, 1, f"Traceback: {reason}")]


@pytest.mark.slow
def test_every_trial_is_trained_and_stored(tmp_path):
    with conducted(tmp_path) as (context, told):
        run, trials = prepared(context)
        assert run.run() == (Progress(4), 4)
        records = trials.records()
    assert [(one.trial, one.state, len(one.history.epochs)) for one in records] == [
        (n, "complete", 2) for n in range(4)
    ]
    assert records[0].optimizer_config == {"name": "SGD"}
    assert [type(event) for event in told[:3]] == [
        events.StageStarted,
        events.TrialStarted,
        events.EpochEnded,
    ]
    assert [event.finished for event in told.of(events.TrialEnded)] == [1, 2, 3, 4]
    (ended,) = told.of(events.StageEnded)
    assert (ended.finished, ended.shortfall) == (4, None)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_network_is_run_when_the_first_trial_comes_that_drew_it(tmp_path, workers):
    training, order_of = set(), []

    def script(worker, order):
        if isinstance(order, PrepareFeatures):
            assert not training, "extraction takes all workers"
        if isinstance(order, Train):
            training.add(order.trial.number)
        order_of.append((worker.number, order))
        yield from obedient(worker, order)
        if isinstance(order, Train):
            training.remove(order.trial.number)

    with conducted(tmp_path, script, workers=workers) as (context, told):
        run, trials = prepared(context, RACE)
        run.run()
        parameters = [one.parameters for one in trials.records()]
        assert {one.image_size for one in trials.stage_facts.extractions} == {8, 16}
    held = {number: set() for number in range(workers)}
    for number, order in order_of:
        if isinstance(order, PrepareFeatures):
            held[number].add(order.backbone.image_size)
        if isinstance(order, Train):
            assert order.trial.backbone.image_size in held[number]
    kinds = [type(event) for event in told]
    first = kinds.index(events.TrialEnded)
    assert kinds.index(events.FeaturesReady) < first
    assert events.FeaturesReady in kinds[first:], "the other size was not waited for"
    memory = memory_of(RACE, context.run, trials)
    assert parameters == [memory.draw(number).parameters for number in range(4)]


def test_a_network_that_can_not_be_had_is_told_before_any_trial(tmp_path, monkeypatch):
    def recipe(backbone):
        if backbone.image_size == 16:
            raise UserError("needs the package that is not installed")

    monkeypatch.setattr(preparation, "recipe", recipe)
    with conducted(tmp_path) as (context, told):
        with pytest.raises(UserError, match="needs the package"):
            prepared(context, RACE)
    assert not told.of(events.TrialStarted)


@pytest.mark.parametrize("is_seen", [False, True], ids=["by a write", "by a beat"])
def test_a_run_that_was_taken_over_is_left_as_the_other_one_has_it(tmp_path, monkeypatch, is_seen):
    other = []

    def take(worker, order):
        if isinstance(order, Train) and order.trial.number == 2:
            with monkeypatch.context() as elsewhere:
                elsewhere.setattr(claims, "place", lambda: "elsewhere")
                elsewhere.setattr(claims, "database_seconds", lambda storage: 1e12)
                storage = open_storage(str(context.run.storage.engine.url), create=False)
                other.append(claims.claim(storage, "s", "coarse", context.facts))
            if is_seen:
                context.claim.beat()
                yield SILENCE
        yield from obedient(worker, order)

    with pytest.raises(AutomlError, match="another search has taken s over") as told:
        with conducted(tmp_path, take) as (context, _):
            run, trials = prepared(context)
            run.run()
    assert len(str(told.value).splitlines()) == 1
    assert other[0] is not None
    assert [record.trial for record in trials.records()] == [0, 1]
    other[0].check()


def test_slots_finish_out_of_order(tmp_path):
    def script(worker, order):
        count = 2 if isinstance(order, Train) and order.trial.number else 7
        yield from obedient(worker, order, count)

    with conducted(tmp_path, script, workers=2) as (context, told):
        run, trials = prepared(context)
        run.run()
        records = trials.records()
    ended = [event.trial for event in told.of(events.TrialEnded)]
    assert ended.index(0) > ended.index(1)
    assert sorted(ended) == [0, 1, 2, 3]
    assert [one.trial for one in records] == [0, 1, 2, 3]
    assert [one.number for one in records] == [ended.index(trial) for trial in range(4)]
    assert [len(one.history.epochs) for one in records] == [7, 2, 2, 2]


def test_three_that_break_in_a_row_end_the_search(tmp_path):
    script = with_trials(lambda trial: broken(f"out of memory {trial}"))
    with conducted(tmp_path, script) as (context, _):
        run, trials = prepared(context)
        with pytest.raises(SearchBroken) as raised:
            run.run()
        assert [(one.trial, one.reason) for one in trials.records()] == [
            (n, f"out of memory {n}") for n in range(3)
        ]
    assert str(raised.value) == (
        "stage 'coarse': 3 trials in a row failed, the last with: out of memory 2; mend the "
        "cause and run the same command again, finished trials are kept"
    )
    assert raised.value.__notes__ == ["Traceback: out of memory 2"]


def test_one_that_works_between_them_counts_anew(tmp_path):
    stage = COARSE.model_copy(update={"trials": 5})
    script = with_trials(lambda trial: None if trial == 2 else broken("out of memory"))
    with conducted(tmp_path, script) as (context, told):
        run, _ = prepared(context, stage)
        assert run.run() == (Progress(5), 1)
    (ended,) = told.of(events.StageEnded)
    assert ended.shortfall == "1 of 5 trials"


def test_a_failed_trial_gets_another_chance(tmp_path):
    with conducted(tmp_path, with_trials(lambda n: broken("killed") if n == 1 else None)) as (
        context,
        told,
    ):
        run, _ = prepared(context)
        assert run.run() == (Progress(4), 3)
        first = told.of(events.TrialStarted)
    with conducted(tmp_path) as (context, told):
        run, trials = prepared(context)
        assert run.run() == (Progress(4), 4)
        assert [one.state for one in trials.records()] == ["complete"] * 4
    (again,) = told.of(events.TrialStarted)
    assert again == first[1], "with the same parameters"
    assert told.of(events.StageStarted)[0].finished == 3


@pytest.mark.parametrize("n_deaths", [1, stage_run.LOSSES_OF_A_TRIAL + 2])
def test_a_trial_whose_worker_dies_runs_again_but_not_for_ever(tmp_path, n_deaths):
    died, fails = [], n_deaths > 1

    def script(worker, order):
        if isinstance(order, Train) and order.trial.number == 1 and len(died) < n_deaths:
            died.append(worker)
            yield epochs_of(1, 2)[0]
            yield DEATH
        else:
            yield from obedient(worker, order)

    with conducted(tmp_path, script) as (context, told):
        run, trials = prepared(context)
        assert run.run() == (Progress(4), 3 if fails else 4)
        record = trials.records()[1]
        (worker,) = context.crew.workers
    reason = "the worker process ended with exit code 1"
    broke = told.of(events.TrialBroke)
    assert broke == [events.TrialBroke("coarse", 1, reason)] * (n_deaths - fails)
    assert (record.state, record.reason) == (("failed", reason) if fails else ("complete", ""))
    assert len(record.history.epochs) == (1 if fails else 2), "what it had reached is kept"
    first, *others = worker.lives
    assert [[type(order) for order in one[:2]] for one in others] == [
        [type(first[0]), Train]
    ] * n_deaths, "each is prepared again"


def test_the_deadline_recalls_trials_at_the_end_of_their_epoch(tmp_path):
    script = partial(obedient, count=50)
    with conducted(tmp_path, script, workers=2, seconds=0) as (context, told):
        run, trials = prepared(context, ASKING)
        progress, finished = run.run()
        records = trials.records()
        assert [len(worker.lives) for worker in context.crew.workers] == [1, 1], "both live on"
    assert (progress, finished) == (Progress(4, is_cut=True), 0)
    assert [(one.trial, one.state) for one in records] == [(0, "interrupted"), (1, "interrupted")]
    assert all(1 <= len(one.history.epochs) <= 3 for one in records)
    assert {one.reason for one in records} == {"the time ended; the next search runs it again"}
    assert all(one.history.seconds > 0 for one in records)
    assert told.of(events.StageEnded)[0].shortfall == "0 of 4 trials (the time ended)"
    assert not told.of(events.TrialEnded)


def test_who_gives_no_answer_in_time_is_replaced(tmp_path, monkeypatch):
    monkeypatch.setattr(stage_run, "SECONDS_TO_GIVE_UP", 0.2)

    def script(worker, order):
        if isinstance(order, Train):
            yield epochs_of(order.trial.number, 9)[0]
            yield SILENCE
        else:
            yield from obedient(worker, order)

    with conducted(tmp_path, script, seconds=0) as (context, _):
        run, trials = prepared(context)
        assert run.run() == (Progress(4, is_cut=True), 0)
        (record,) = trials.records()
        assert [len(worker.lives) for worker in context.crew.workers] == [2]
    assert (record.state, len(record.history.epochs)) == ("interrupted", 1)


@pytest.mark.slow
def test_long_trials_are_written_while_they_run_and_short_ones_at_their_end(tmp_path, monkeypatch):
    seen = []

    def script(worker, order):
        if not isinstance(order, Train):
            yield from obedient(worker, order)
            return
        curve = epochs_of(order.trial.number, 3)
        for epoch in curve:
            yield epoch
            held = StageTrials.open(context.run.storage, "s", "coarse").records()
            running = [one for one in held if one.state == "running"]
            seen.append([len(one.history.epochs) for one in running])
        yield trained(curve)

    stage = ASKING.model_copy(update={"trials": 1})
    monkeypatch.setattr(stage_run, "SECONDS_BETWEEN_WRITES", 0.0)
    with conducted(tmp_path, script) as (context, _):
        prepared(context, stage)[0].run()
    # A verdict comes before the epoch that it is on is written.
    assert seen == [[], [1], [2]]
    monkeypatch.undo()
    seen.clear()
    with conducted(tmp_path, script) as (context, _):
        prepared(context, COARSE.model_copy(update={"trials": 2}))[0].run()
    assert seen == [[], [], []]


def test_workers_are_replaced_after_so_many_trials(tmp_path, monkeypatch):
    monkeypatch.setattr(crew_module, "TRIALS_BEFORE_REPLACEMENT", 2)
    with conducted(tmp_path) as (context, _):
        assert prepared(context)[0].run() == (Progress(4), 4)
        (worker,) = context.crew.workers
    assert [sum(isinstance(order, Train) for order in life) for life in worker.lives] == [2, 2]


def checkpoint_of(context: SearchContext, trial: int) -> Path:
    return context.checkpoint("s/coarse", trial)


def test_a_checkpoint_goes_once_its_trial_is_stored_and_stays_where_it_broke(tmp_path):
    def script(worker, order):
        if isinstance(order, Train):
            checkpoint_of(context, order.trial.number).mkdir(parents=True, exist_ok=True)
        yield from with_trials(lambda n: broken("killed") if n == 1 else None)(worker, order)

    with conducted(tmp_path, script) as (context, _):
        prepared(context)[0].run()
        assert [checkpoint_of(context, trial).exists() for trial in range(4)] == [
            False,
            True,
            False,
            False,
        ]


def test_what_a_worker_says_it_can_not_do_is_tried_once_more(tmp_path):
    tried = []

    def script(worker, order):
        if isinstance(order, Train) and order.trial.number == 1:
            tried.append(worker)
            yield from broken("out of memory")
        else:
            yield from obedient(worker, order)

    with conducted(tmp_path, script) as (context, told):
        run, trials = prepared(context)
        assert run.run() == (Progress(4), 3)
    assert len(tried) == 2
    assert len(told.of(events.TrialBroke)) == 1


@pytest.mark.parametrize("n_losses", [1, stage_run.LOSSES_OF_A_TRIAL + 2])
def test_a_trial_whose_machine_is_lost_runs_again_but_not_for_ever(tmp_path, n_losses):
    dask = ScriptedCluster(["a", "b"])
    lost = []

    def script(worker, order):
        if isinstance(order, Train) and order.trial.number == 1 and len(lost) < n_losses:
            yield epochs_of(1, 2)[0]
            lost.append(worker.address)
            dask.machines.remove(worker.address)
            dask.machines.append(f"another {len(lost)}")
            worker.lose("gone")
            yield DEATH
        yield from obedient(worker, order)

    with conducted(tmp_path, script, cluster=dask) as (context, told):
        run, trials = prepared(context)
        run.run()
        records = trials.records()
    fails = n_losses > stage_run.LOSSES_OF_A_TRIAL + 1
    assert len(lost) == n_losses
    assert [(one.trial, one.state) for one in records] == [
        (n, "failed" if fails and n == 1 else "complete") for n in range(4)
    ]
    assert [len(one.history.epochs) for one in records] == [2, 1 if fails else 2, 2, 2]
    assert sorted(event.trial for event in told.of(events.TrialStarted)) == [0, 1, 2, 3]
