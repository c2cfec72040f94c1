"""The kind of training: which keys say it, what it excludes, and that stored studies stay."""

from __future__ import annotations

import tomllib

import pytest

from automl_cv.catalog.kinds import KINDS, KindEntry
from automl_cv.catalog.settings import Setting
from automl_cv.errors import UserError
from automl_cv.study import studyfile
from automl_cv.study.trial import plan

TOML = """
name = "s"
[[stage]]
name = "coarse"
trials = 2
epochs = 3
[stage.space]
optimizer = "SGD"
batch_size = 16
learning_rate = 0.1
[[stage]]
name = "tuned"
retrain = { stages = "coarse" }
fine_tune = { blocks = 1 }
[[stage]]
name = "scratch"
retrain = { stages = "coarse" }
network = "ResNet18"
"""
OTHER = KindEntry(
    name="other",
    about="another way",
    target="nowhere:nothing",
    sentence="{trained}.",
    parameters={"warmth": Setting(1.0, lowest=0)},
)


def parse(*changes: tuple[str, str]) -> studyfile.StudyFile:
    text = TOML
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    return studyfile.parse(tomllib.loads(text), "s.toml")


def test_keys_say_the_kind_and_nothing_is_stored_of_it():
    read = parse()
    assert [stage.kind.name for stage in read.stages] == ["head", "fine_tuned", "network"]
    assert [stage.trained.name for stage in read.stages] == ["linear", "linear", "ResNet18"]
    assert all("kind" not in stage for stage in read.as_toml_data()["stage"])
    assert studyfile.parse(read.as_toml_data(), "stored") == read
    same = parse(("epochs = 3", 'epochs = 3\nkind = "head"'))
    assert (same, same.digest()) == (read, read.digest())


def test_a_kind_of_its_own_is_stored_with_its_settings_and_passed_on():
    with KINDS.temporary(OTHER):
        read = parse(("epochs = 3", 'epochs = 3\nkind = { name = "other", warmth = 2 }'))
        kinds = [stage.kind.name for stage in read.stages]
        assert kinds == ["other", "fine_tuned", "network"], "their keys say another"
        assert studyfile.parse(read.as_toml_data(), "stored") == read
        drawn = parse(
            ("epochs = 3", 'epochs = 3\nkind = "other"'),
            ("learning_rate = 0.1", "learning_rate = 0.1\nwarmth = { low = 1, high = 3 }"),
        )
        stage = drawn.stage("coarse")
        parameters = {"optimizer": "SGD", "batch_size": 16, "learning_rate": 0.1, "warmth": 2.5}
        assert plan(drawn, stage, 0, parameters, seed=1).settings == {"warmth": 2.5}
        again = parse(
            ("epochs = 3", 'epochs = 3\nkind = "other"'), ("fine_tune = { blocks = 1 }", "")
        )
        assert again.stage("tuned").kind.name == "other", "a trial is trained again as it was"


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            [("epochs = 3", 'epochs = 3\nkind = "hed"')],
            "stage.coarse.kind: unknown kind of training 'hed': did you mean 'head'? known: "
            "head, exact, combined, fine_tuned, network",
        ),
        (
            [("epochs = 3", 'epochs = 3\nkind = "network"')],
            "stage.coarse.kind: 'network' wants the key network, which says what is trained",
        ),
        (
            [('network = "ResNet18"', 'network = "ResNet18"\nkind = "head"')],
            "stage.scratch.kind: 'head' excludes the key network; leave one out",
        ),
        (
            [("epochs = 3", 'epochs = 3\nkind = { name = "head", warmth = 1 }')],
            "stage.coarse.kind: head has no parameter 'warmth': known: none",
        ),
    ],
)
def test_mistakes(changes, line):
    with pytest.raises(UserError) as raised:
        parse(*changes)
    assert str(raised.value).splitlines()[0] == f"s.toml: {line}"


def test_the_head_of_a_plan_has_the_folds_of_what_it_is_for():
    read = parse(
        (
            'retrain = { stages = "coarse" }\nfine',
            'retrain = { stages = "coarse", folds = 3 }\nfine',
        )
    )
    parameters = {"optimizer": "SGD", "batch_size": 16, "learning_rate": 0.1}
    coarse, tuned, _ = read.stages
    trial = plan(read, tuned, 4, parameters, seed=7, fold=1, head_stage=coarse)
    assert (trial.folds, trial.fold, trial.head.folds, trial.head.fold) == (3, 1, 3, 1)
    assert trial.head.stage is coarse
    assert trial.inputs.heads == (trial.head.inputs,)
    other = trial.of_seed(8).over(None)
    assert (other.task.seed, other.head.task.seed, other.folds, other.head.folds) == (
        8,
        8,
        None,
        None,
    )
