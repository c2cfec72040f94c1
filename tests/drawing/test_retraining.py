"""Finalists are trained again with given parameters, seeds that pair up, and folds."""

from __future__ import annotations

import tomllib

import numpy as np
import pytest

from automl_cv.drawing.retraining import RetrainMemory, Source, sources
from automl_cv.drawing.seeds import derived_seed
from automl_cv.errors import UserError
from automl_cv.history import Epoch, History
from automl_cv.orders.images import Images
from automl_cv.search.run_choice import check_sources
from automl_cv.store.records import TrialRecord
from automl_cv.study import studyfile
from automl_cv.worker.folds import fold_numbers

TOML = """
name = "s"
[[stage]]
name = "coarse"
trials = 4
epochs = 7
pruner = { name = "early_stopping", patience = 3 }
head = { name = "linear", normalization = true }
[stage.space]
optimizer = ["SGD", "Adam"]
batch_size = { low = 10, high = 100 }
learning_rate = { low = 0.01, high = 0.3 }
momentum = { low = 0.0, high = 0.9, when = { optimizer = ["SGD"] } }
[[stage]]
name = "finalists"
retrain = { stages = "coarse", top = 2, repeats = 3 }
[[stage]]
name = "augmented"
retrain = { stages = ["finalists"], top = 1, repeats = 3 }
augmentation = { zoom = 0.1 }
"""

STUDY = studyfile.parse(tomllib.loads(TOML), "s.toml")
SGD = {"optimizer": "SGD", "batch_size": 20, "learning_rate": 0.1, "momentum": 0.5}
ADAM = {"optimizer": "Adam", "batch_size": 90, "learning_rate": 0.02}


def record(trial: int, accuracy: float, parameters: dict, stage: str = "coarse") -> TrialRecord:
    epoch = Epoch(1, 1.0, accuracy, 0.1, 0.2, 0.1, 0.01)
    return TrialRecord("s", stage, trial, "complete", parameters, History((epoch,), "epochs"))


SEARCHED = {"coarse": [record(0, 0.90, SGD), record(1, 0.95, ADAM), record(2, 0.80, SGD)]}


def test_a_stage_that_retrains_takes_what_it_does_not_set():
    finalists, augmented = STUDY.stage("finalists"), STUDY.stage("augmented")
    assert (finalists.trials, finalists.epochs) == (6, 7)
    assert finalists.pruner == STUDY.stage("coarse").pruner
    assert augmented.head.parameters["normalization"] is True
    assert augmented.trials == 3
    assert studyfile.parse(STUDY.as_toml_data(), "again") == STUDY


def test_the_best_are_chosen_best_first():
    chosen = sources(STUDY.stage("finalists"), SEARCHED)
    assert [source.name for source in chosen] == ["coarse/1", "coarse/0"]


def test_of_repeats_the_mean_counts():
    lucky = [(0.99, 0), (0.80, 1), (0.80, 2)]
    steady = [(0.95, 0), (0.95, 1), (0.94, 2)]
    repeated = [
        record(n, accuracy, {"source": source, "repeat": repeat, **parameters}, "finalists")
        for n, (accuracy, repeat, source, parameters) in enumerate(
            [(a, r, "coarse/0", SGD) for a, r in lucky]
            + [(a, r, "coarse/1", ADAM) for a, r in steady]
        )
    ]
    (winner,) = sources(STUDY.stage("augmented"), {"finalists": repeated})
    assert winner == Source("coarse", 1, ADAM)


def memory(stage: str) -> RetrainMemory:
    chosen = sources(STUDY.stage("finalists"), SEARCHED)
    return RetrainMemory(f"s/{stage}", STUDY.stage(stage), STUDY.seed, chosen)


def test_each_finalist_is_trained_with_its_own_parameters():
    held = memory("finalists")
    drawn = [held.draw(number) for number in range(len(held.slots))]
    assert [d.parameters["source"] for d in drawn] == ["coarse/1"] * 3 + ["coarse/0"] * 3
    assert [d.parameters["repeat"] for d in drawn] == [0, 1, 2, 0, 1, 2]
    assert "momentum" not in drawn[0].parameters
    assert drawn[3].parameters == {"source": "coarse/0", "repeat": 0, **SGD}
    for one in drawn:
        held.finish(one.trial, SEARCHED["coarse"][0].history)


def test_seeds_are_the_trials_own_first_and_pair_up_between_stages():
    finalists, augmented = memory("finalists"), memory("augmented")
    assert finalists.training_seed(0) == derived_seed(0, "coarse", 1, "training")
    assert len({finalists.training_seed(number) for number in range(6)}) == 6
    for number in range(3):
        assert finalists.training_seed(number) == augmented.training_seed(number)


def test_fewer_finalists_than_asked_for_are_fewer_trials():
    chosen = sources(STUDY.stage("finalists"), {"coarse": SEARCHED["coarse"][:1]})
    held = RetrainMemory("s/finalists", STUDY.stage("finalists"), 0, chosen)
    assert len(held.slots) == 3


def test_slots_never_move_and_only_contenders_are_trained():
    first, second, third = (Source("coarse", n, {**SGD, "batch_size": 20 + n}) for n in range(3))
    stage = STUDY.stage("finalists")
    # The second is outdone; the third was found by a resume, and is the best now.
    held = RetrainMemory("s/finalists", stage, 0, [third, first], slots=[first, second, third])
    assert held.slots == [6, 7, 8, 0, 1, 2]
    assert held.source(7) == (third, 1)
    before = RetrainMemory("s/finalists", stage, 0, [first, second])
    for slot in range(6):
        assert held.source(slot) == before.source(slot)
        assert held.training_seed(slot) == before.training_seed(slot)


@pytest.mark.parametrize("stage", ["finalists", "augmented"])
def test_a_stage_alone_needs_those_it_trains_again(stage):
    with pytest.raises(UserError, match="which has not been searched yet; search it first with"):
        check_sources([STUDY.stage(stage)], None)
    check_sources(STUDY.stages, None)


def images(count: int) -> Images:
    labels = np.arange(count, dtype=np.int32) % 3
    return Images(
        paths=tuple(f"{n}.png" for n in range(count)),
        content_hashes=tuple(f"{n:032x}" for n in range(count)),
        labels=labels,
        splits=np.array(["train", "train", "validation", "test"] * (count // 4)),
        groups=tuple("twins" if n in (0, 5) else None for n in range(count)),
        classes=("a", "b", "c"),
    )


def test_folds_are_stratified_and_keep_groups_together():
    given = images(120)
    rows = np.flatnonzero(given.splits != "test")
    folds = fold_numbers(given, rows, 5, seed=3)
    assert sorted(set(folds)) == [0, 1, 2, 3, 4]
    for number in range(5):
        counts = np.bincount(given.labels[rows[folds == number]], minlength=3)
        assert counts.min() >= 5
        assert counts.max() <= 7
    of_row = dict(zip(rows.tolist(), folds.tolist(), strict=True))
    assert of_row[0] == of_row[5]
    assert (fold_numbers(given, rows, 5, seed=4) != folds).any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('stages = "coarse", top', 'stages = "corse", top'), "did you mean 'coarse'"),
        (("repeats = 3 }\n[[", "repeats = 3, folds = 4 }\n[["), "exclude each other"),
        (('["finalists"]', '["finalists", "coarse"]'), "can't be ranked together"),
        (("zoom = 0.1", "zom = 0.1"), "did you mean 'zoom'"),
        (("zoom = 0.1", "cutmix = true"), 'cutmix mixes images, .*; set views = "online"'),
        (
            ("repeats = 3 }\n[[", 'repeats = 3 }\nhead = "linear"\n[['),
            "'coarse' has another head",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_mistakes(change, message):
    assert change[0] in TOML
    with pytest.raises(UserError, match=message):
        studyfile.parse(tomllib.loads(TOML.replace(*change)), "s.toml")
