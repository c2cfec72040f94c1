import math
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import optuna
import pytest

from automl_cv.errors import AutomlError
from automl_cv.history import Epoch, History
from automl_cv.store.database import open_storage
from automl_cv.store.described import note_of, value_name
from automl_cv.store.facts import facts_from_json, facts_to_json
from automl_cv.store.lease import Lease
from automl_cv.store.trials import StageTrials
from tests.published import (
    COARSE,
    FACTS,
    STAGE_FACTS,
    distributions_of,
    fail,
    finish,
    history_of,
    parameters_of,
)

SGD = COARSE[5]
PARAMETERS = parameters_of(SGD)
DISTRIBUTIONS = distributions_of(PARAMETERS)
HISTORY = history_of(SGD)


@pytest.fixture
def storage(tmp_path):
    return open_storage(f"sqlite:///{tmp_path}/trials.db", create=True)


@pytest.fixture
def trials(storage):
    return StageTrials.create(storage, "quickstart", "coarse", FACTS)


def optuna_trial(trials, number=0):
    return optuna.load_study(storage=trials.storage, study_name=trials.name).trials[number]


def test_a_finished_trial_comes_back_as_it_was(trials):
    config, worker, kept = {"epsilon": 1e-7}, {"process": 3}, {"cma:0": "abc"}
    trials.finish(
        4,
        PARAMETERS,
        DISTRIBUTIONS,
        HISTORY,
        optimizer_config=config,
        worker=worker,
        system_attributes=kept,
    )
    (record,) = StageTrials.open(trials.storage, "quickstart", "coarse").records()
    assert record.parameters == PARAMETERS
    assert list(record.parameters) == list(PARAMETERS)
    assert record.history == HISTORY
    assert record.history.seconds == HISTORY.seconds
    assert (record.trial, record.number, record.state) == (4, 0, "complete")
    assert (record.optimizer_config, record.worker) == (config, worker)
    assert record.system_attributes == kept
    assert record.value == 0.9342


def test_optuna_and_its_dashboard_see_a_common_trial(trials):
    trials.finish(0, PARAMETERS, DISTRIBUTIONS, HISTORY)
    seen = optuna_trial(trials)
    assert seen.state is optuna.trial.TrialState.COMPLETE
    assert seen.value == HISTORY.best.val_accuracy
    assert seen.params == PARAMETERS
    assert seen.distributions == DISTRIBUTIONS
    assert seen.intermediate_values == {e.epoch: e.val_accuracy for e in HISTORY.epochs}
    assert seen.user_attrs["automl-cv:v1:stop_reason"] == "plateau"
    assert trials.study.best_trial.number == 0


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize(
    ("stop_reason", "state", "value"),
    [
        ("epochs", "COMPLETE", 0.9342),
        ("plateau", "COMPLETE", 0.9342),
        ("pruned", "PRUNED", HISTORY.epochs[-1].val_accuracy),
        ("failed", "FAIL", None),
    ],
)
def test_the_stop_reason_gives_state_and_value(trials, begun, stop_reason, state, value):
    history = replace(HISTORY, stop_reason=stop_reason)
    if begun:
        trials.begin(0, PARAMETERS, DISTRIBUTIONS)
        trials.write_epochs(0, History(HISTORY.epochs[:3]))
    trials.finish(0, PARAMETERS, DISTRIBUTIONS, history, system_attributes={"kept": 1})
    seen = optuna_trial(trials)
    assert (seen.state.name, seen.value) == (state, value)
    assert len(seen.intermediate_values) == len(HISTORY.epochs)
    assert seen.system_attrs == {"kept": 1}
    assert [record.history for record in trials.records()] == [history]


def test_a_diverged_trial_is_stored_without_nan(trials):
    epochs = tuple(Epoch(number, 0.1, 0.1, math.inf, math.nan, 0.3, 0.01) for number in range(1, 4))
    trials.finish(0, PARAMETERS, DISTRIBUTIONS, History(epochs, "epochs", seconds=1.0))
    assert optuna_trial(trials).state is optuna.trial.TrialState.FAIL
    (record,) = trials.records()
    assert (record.state, record.value) == ("failed", None)
    assert all(math.isnan(epoch.val_loss) for epoch in record.history.epochs)
    with trials.storage.engine.connect() as connection:
        texts = connection.exec_driver_sql("select value_json from trial_user_attributes").all()
    assert not any("NaN" in text or "Infinity" in text for (text,) in texts)


def test_times_are_those_of_the_training_and_not_of_the_writing(trials):
    minute = replace(HISTORY, seconds=60.0)
    trials.finish(0, PARAMETERS, DISTRIBUTIONS, minute)
    trials.begin(1, PARAMETERS, DISTRIBUTIONS)
    trials.finish(1, PARAMETERS, DISTRIBUTIONS, minute)
    began = datetime.now(UTC) - timedelta(seconds=60)
    trials.begin(2, PARAMETERS, DISTRIBUTIONS, began=began)
    trials.interrupt(2, History(HISTORY.epochs[:3], None, "the time ended", 60.0))
    for seen in trials.study.get_trials():
        assert seen.duration.total_seconds() == pytest.approx(60, abs=0.5)
        assert abs(seen.datetime_complete - datetime.now()) < timedelta(minutes=5), "local time"
    cut = trials.records()[2]
    assert (cut.reason, cut.history.seconds) == ("the time ended", 60.0)


def test_a_trial_whose_process_died_ends_when_it_was_last_written(trials):
    died = datetime.now(UTC) - timedelta(days=1)
    lease = replace(Lease.of_this_process(), process=2**22 + 1, time=died)
    trials.begin(0, PARAMETERS, DISTRIBUTIONS, lease=lease, began=died - timedelta(seconds=9))
    assert trials.settle() == [0]
    assert optuna_trial(trials).duration == timedelta(seconds=9)


def test_other_programs_find_plain_attributes_and_our_records_need_none(trials):
    trials.finish(0, PARAMETERS, DISTRIBUTIONS, HISTORY)
    fail(trials, 1, SGD, "out of memory")
    best = HISTORY.best
    shown = {"stage": "coarse", "seconds": 0.18, "best_epoch": best.epoch, "val_loss": 0.208}
    for number, seconds in ((0, 0.18), (1, 0.5)):
        attributes = optuna_trial(trials, number).user_attrs
        plain = {key: one for key, one in attributes.items() if not key.startswith("automl-cv:")}
        assert plain == {**shown, "seconds": seconds, "best_epoch": 2 if number else best.epoch}
    # What another program writes, or damages there, is not ours.
    with trials.storage.engine.begin() as connection:
        connection.exec_driver_sql(
            "update trial_user_attributes set value_json='{' where key not like 'automl-cv:%'"
        )
    assert [record.state for record in trials.records()] == ["complete", "failed"]


def test_other_programs_see_no_noise_of_float32_and_we_all_digits(trials):
    noisy = float(np.float32(0.975))
    history = History((Epoch(1, noisy, noisy, noisy, noisy, 0.1, 0.01),), "epochs", seconds=1.0)
    trials.finish(0, PARAMETERS, DISTRIBUTIONS, history)
    seen = optuna_trial(trials)
    assert (seen.value, seen.intermediate_values) == (0.975, {1: 0.975})
    assert seen.user_attrs["val_loss"] == 0.975
    assert trials.records()[0].value == noisy != 0.975


def test_a_study_says_what_it_is_and_keeps_what_someone_wrote(trials):
    kept = trials.storage.get_study_system_attrs(trials.study._study_id)
    assert kept["study:metric_names"] == ["val_accuracy"]
    assert kept["dashboard:note_ver"] == 1
    assert kept["dashboard:note_str:0"].startswith(
        "Stage **coarse** of the run **quickstart** of automl-cv.\n\n- images: photos (1,881 train"
    )
    storage, study_id = trials.storage, trials.study._study_id
    storage.set_study_system_attr(study_id, "dashboard:note_ver", 2)
    storage.set_study_system_attr(study_id, "dashboard:note_str:0", "mine")
    trials.describe()
    assert storage.get_study_system_attrs(study_id)["dashboard:note_str:0"] == "mine"


def test_a_value_of_which_less_is_better_says_that_it_is_negated():
    facts = replace(FACTS, study={**FACTS.study, "metric": "log_loss"})
    assert value_name(facts) == "-val_log_loss"
    assert "validation log loss at a trial's best epoch, negated;" in note_of("a", "b", facts)


def test_epochs_are_written_while_a_trial_runs(trials):
    trials.begin(0, PARAMETERS, DISTRIBUTIONS)
    for n_epochs in (2, 2, 5):
        trials.write_epochs(0, History(HISTORY.epochs[:n_epochs]))
    assert list(optuna_trial(trials).intermediate_values) == [1, 2, 3, 4, 5]
    (record,) = trials.records()
    assert record.state == "running"
    assert len(record.history.epochs) == 5


def test_a_trial_that_begins_again_writes_no_epoch_twice(trials):
    """Its worker died after three; found by `tests/search/simulated.py`."""
    trials.begin(0, PARAMETERS, DISTRIBUTIONS)
    for n_epochs in (3, 1, 2, 4):
        trials.write_epochs(0, History(HISTORY.epochs[:n_epochs]))
        (record,) = trials.records()
        assert len(record.history.epochs) == max(3, n_epochs), "what is known stays"
    trials.finish(0, PARAMETERS, DISTRIBUTIONS, HISTORY)
    assert len(optuna_trial(trials).intermediate_values) == len(HISTORY.epochs)


def test_an_interrupted_slot_runs_again_and_the_finished_one_counts(trials):
    trials.begin(0, PARAMETERS, DISTRIBUTIONS)
    trials.interrupt(0, History(HISTORY.epochs[:2]))
    (record,) = trials.records()
    assert (record.state, len(record.history.epochs)) == ("interrupted", 2)
    trials.finish(0, PARAMETERS, DISTRIBUTIONS, HISTORY)
    trials.begin(0, PARAMETERS, DISTRIBUTIONS)
    trials.interrupt(0, History(HISTORY.epochs[:1]))
    assert [(r.trial, r.number, r.state) for r in trials.records()] == [(0, 1, "complete")]


def test_slots_come_in_order_whatever_order_they_ended_in(trials):
    for slot in (2, 0, 1):
        finish(trials, slot, COARSE[slot])
    assert [(record.trial, record.number) for record in trials.records()] == [
        (0, 1),
        (1, 2),
        (2, 0),
    ]


def test_a_failed_trial_keeps_its_reason(trials):
    fail(trials, 0, SGD, "out of memory")
    (record,) = trials.records()
    assert (record.state, record.reason) == ("failed", "out of memory")


CHILD = """
import sys, time
from automl_cv.store.database import open_storage
from automl_cv.store.trials import StageTrials
from automl_cv.history import History
from tests.published import COARSE, distributions_of, history_of, parameters_of

trials = StageTrials.open(open_storage(sys.argv[1], create=False), "quickstart", "coarse")
parameters = parameters_of(COARSE[5])
trials.begin(3, parameters, distributions_of(parameters))
trials.write_epochs(3, History(history_of(COARSE[5]).epochs[:4]))
print("begun", flush=True)
time.sleep(60)
"""


@pytest.mark.slow
def test_a_killed_search_is_settled_and_a_living_one_left_alone(trials):
    url = str(trials.storage.engine.url)
    command = [sys.executable, "-c", CHILD, url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "begun\n"
        assert trials.settle() == []
        assert [record.state for record in trials.records()] == ["running"]
        child.send_signal(signal.SIGKILL)
    assert [record.state for record in trials.records()] == ["interrupted"]
    assert trials.settle() == [3]
    assert trials.settle() == []
    assert optuna_trial(trials).state is optuna.trial.TrialState.FAIL
    (record,) = trials.records()
    assert (record.state, len(record.history.epochs)) == ("interrupted", 4)


def test_a_recycled_process_number_shows(trials):
    mine = Lease.of_this_process()
    assert mine.is_alive
    assert not replace(mine, process_started="another boot 17").is_alive
    assert not replace(mine, process=2**22 + 1).is_alive


def test_a_process_of_another_machine_counts_as_dead_after_silence(trials):
    now = datetime.now(UTC)
    foreign = replace(Lease.of_this_process(), host="elsewhere", time=now)
    trials.begin(0, PARAMETERS, DISTRIBUTIONS, lease=foreign)
    silent = replace(foreign, time=now - timedelta(hours=2))
    trials.begin(1, PARAMETERS, DISTRIBUTIONS, lease=silent)
    assert trials.settle() == [1]
    trials.write_epochs(0, History(HISTORY.epochs[:1]))
    assert trials.settle() == []


def test_facts_come_back_and_can_grow(trials):
    assert StageTrials.open(trials.storage, "quickstart", "coarse").facts == FACTS
    trials.update_facts(reference={"val_accuracy": 0.5}, warnings=("one", "two"), notes=("three",))
    again = StageTrials.open(trials.storage, "quickstart", "coarse")
    assert again.facts == replace(FACTS, reference={"val_accuracy": 0.5}, warnings=("one", "two"))
    assert again.stage_facts == replace(trials.stage_facts, notes=("three",))


def test_facts_of_a_newer_version_are_read():
    stored = {**facts_to_json("coarse", FACTS, STAGE_FACTS), "added_later": 1}
    assert facts_from_json("coarse", stored) == (FACTS, STAGE_FACTS)


def test_a_stage_is_created_once(trials):
    with pytest.raises(AutomlError, match="'coarse' of quickstart stands in the database"):
        StageTrials.create(trials.storage, "quickstart", "coarse", FACTS)
    with pytest.raises(AutomlError, match="no stage 'fine' of quickstart"):
        StageTrials.open(trials.storage, "quickstart", "fine")


def test_a_stage_whose_maker_died_before_its_facts_is_made_anew(storage):
    optuna.create_study(storage=storage, study_name="quickstart/coarse", direction="maximize")
    assert StageTrials.create(storage, "quickstart", "coarse", FACTS).records() == []
