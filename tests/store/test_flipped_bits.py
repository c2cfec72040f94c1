"""A bit that flipped in the database: told, and trained again; never another figure."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import text

from automl_cv.errors import AutomlError, AutomlWarning
from automl_cv.store.database import open_storage
from automl_cv.store.labels import read_labels, write_labels
from automl_cv.store.records import CHECKSUMS, DAMAGED
from automl_cv.store.runs import find_run, next_run, runs
from automl_cv.store.trials import StageTrials
from tests.flipped import RUN, STAGE, fill, flips, seen_of_manifest, seen_of_records
from tests.results.drawn import DISTRIBUTIONS
from tests.saved.saved import write_saved
from tests.stored import put


@pytest.fixture
def file(tmp_path):
    put(tmp_path / "automl-cv.db", fill)
    return tmp_path / "automl-cv.db"


@pytest.fixture
def storage(file):
    return open_storage(f"sqlite:///{file}", create=True)


@pytest.fixture
def change(storage):
    def make(statement):
        with storage.engine.begin() as connection:
            assert connection.exec_driver_sql(statement).rowcount > 0

    return make


@pytest.mark.exhaustive
@pytest.mark.slow
def test_no_bit_of_a_database_changes_a_figure_silently(file):
    count, found = flips(file, seen_of_records, 150, seed=1)
    assert [one for one in found if one[1] not in ("same figures", "told")] == []
    assert count["told"] > 30


def test_no_bit_of_a_manifest_changes_it_silently(tmp_path):
    manifest = write_saved(tmp_path / "model") / "bundle.json"
    count, found = flips(manifest, seen_of_manifest, 300, seed=1)
    assert [one for one in found if one[1] not in ("same figures", "told")] == []
    assert count["told"] > 250


HISTORY_OF_5 = "key like '%history' and trial_id = (select trial_id from trials where number = 5)"


@pytest.mark.parametrize(
    "statement",
    [
        f"update trial_user_attributes set value_json = replace(value_json, '0.3', '0.2') "
        f"where {HISTORY_OF_5}",
        f"update trial_user_attributes set value_json = substr(value_json, 9) where {HISTORY_OF_5}",
        f"update trial_user_attributes set value_json = x'ff' where {HISTORY_OF_5}",
        f"delete from trial_user_attributes where {HISTORY_OF_5}",
        "update trial_params set param_value = param_value * 2 where param_name = 'learning_rate' "
        "and trial_id = (select trial_id from trials where number = 5)",
        "update trials set state = 'COMPLETD' where number = 5",
        "update trial_user_attributes set value_json = '\"' where key like '%:trial' "
        "and trial_id = (select trial_id from trials where number = 5)",
    ],
)
def test_a_damaged_trial_is_named_and_trained_again(storage, change, statement):
    stage = StageTrials.open(storage, RUN, STAGE)
    before = {one.trial: one for one in stage.records()}
    change(statement)
    after = {one.trial: one for one in stage.records()}
    assert after.keys() == before.keys()
    assert (after[5].state, after[5].reason, after[5].is_done) == ("failed", DAMAGED, False)
    assert [slot for slot in before if after[slot] != before[slot]] == [5]
    own = before[5]
    distributions = {name: DISTRIBUTIONS[name] for name in own.parameters}
    stage.finish(5, own.parameters, distributions, own.history)
    assert stage.records()[5].state == "complete"
    assert stage.records()[5].history == own.history


def test_a_trial_that_does_not_say_which_it_is_is_told(storage, change):
    change(
        "delete from trial_user_attributes where key != 'automl-cv:v1:lease' "
        "and trial_id = (select trial_id from trials where number = 5)"
    )
    with pytest.warns(AutomlWarning, match="it can't be told which"):
        records = StageTrials.open(storage, RUN, STAGE).records()
    assert 5 not in [one.trial for one in records]


def test_trials_of_before_there_were_checksums_are_read(storage, change):
    before = StageTrials.open(storage, RUN, STAGE).records()
    change(f"delete from trial_user_attributes where key = '{CHECKSUMS}'")
    after = StageTrials.open(storage, RUN, STAGE).records()
    assert [(one.trial, one.state, one.history) for one in after] == [
        (one.trial, one.state, one.history) for one in before
    ]


def test_damaged_predictions_are_told_and_left_out(storage, change):
    stage = StageTrials.open(storage, RUN, STAGE)
    held = stage.predictions().keys()
    change(
        "update trial_system_attributes set value_json = replace(value_json, '60, 3', '20, 9') "
        "where key like '%predictions' and trial_id = (select trial_id from trials "
        "where number = 5)"
    )
    with pytest.warns(AutomlWarning, match="trial coarse/5 of made-up: what it said"):
        assert held - stage.predictions().keys() == {5}


def test_damaged_labels_are_told_and_stored_again(storage, change):
    classes = read_labels(storage, RUN).classes
    change(
        "update study_user_attributes set value_json = replace(value_json, 'e', 'f') "
        "where key like '%labels'"
    )
    with pytest.warns(AutomlWarning, match="the true classes of its validation images are damaged"):
        assert read_labels(storage, RUN) is None
    write_labels(storage, RUN, classes)
    assert read_labels(storage, RUN).classes.tolist() == classes.tolist()


def test_damaged_facts_end_in_a_line_and_a_new_run_can_begin(storage, change):
    change(
        "update study_user_attributes set value_json = replace(value_json, '\"seed\": 1', "
        "'\"seed\": 3') where key like '%facts'"
    )
    for action in (lambda: find_run(storage), lambda: StageTrials.open(storage, RUN, STAGE)):
        with pytest.raises(AutomlError, match=r"automl-cv\.db is damaged: .*search --new") as told:
            action()
        assert len(str(told.value).splitlines()) == 1
    assert next_run(runs(storage), RUN) == f"{RUN}@2"


def test_facts_of_before_there_were_checksums_are_read(storage, change):
    facts = find_run(storage).facts
    with storage.engine.connect() as connection:
        wanted = text("select value_json from study_user_attributes where key like '%facts'")
        stored = json.loads(connection.execute(wanted).scalar())
    del stored["checksum"]
    with storage.engine.begin() as connection:
        statement = text(
            "update study_user_attributes set value_json = :it where key like '%facts'"
        )
        connection.execute(statement, {"it": json.dumps(stored)})
    assert find_run(storage).facts == facts


def test_a_file_that_sqlite_calls_damaged_is_told_in_a_line(file):
    content = bytearray(file.read_bytes())
    for page in range(1, len(content) // 4096):
        content[4096 * page] ^= 0xFF
    file.write_bytes(content)
    with pytest.raises(AutomlError, match="automl-cv.db is damaged .*malformed.*; put a copy"):
        find_run(open_storage(f"sqlite:///{file}", create=False))
