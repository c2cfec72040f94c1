"""One edit, one file: an entry added to a table goes from a TOML file to the report."""

from __future__ import annotations

import tomllib

import numpy as np
import pytest

import automl_cv
from automl_cv.catalog.heads import HEADS, HeadEntry
from automl_cv.catalog.optimizers import OPTIMIZERS, OptimizerEntry
from automl_cv.catalog.pruners import PRUNERS, PrunerEntry
from automl_cv.catalog.samplers import SAMPLERS, SamplerEntry
from automl_cv.catalog.schedules import SCHEDULES, ScheduleEntry
from automl_cv.catalog.settings import Setting
from automl_cv.drawing.seeds import derived_seed
from automl_cv.drawing.stage_memory import StageMemory
from automl_cv.errors import UserError
from automl_cv.history import History
from automl_cv.store.database import open_storage
from automl_cv.store.facts import StudyFacts
from automl_cv.store.trials import StageTrials
from automl_cv.study import studyfile
from automl_cv.study.trial import plan
from tests.later import later

with later():
    import keras

    from automl_cv.engine.training import HeadTrainer
    from automl_cv.trained import TrainingData

TOML = """
name = "new"
[[stage]]
name = "only"
trials = 2
epochs = 6
sampler = "coin"
pruner = "third_epoch"
head = "wide"
schedule = { name = "halved", after = 1 }
[stage.space]
optimizer = "Signs"
batch_size = 16
learning_rate = { low = 0.001, high = 0.01 }
"""

HERE = __name__


def wide(given, **unused):
    """A head that no table has."""
    inputs = keras.Input((given.features,))
    hidden = keras.layers.Dense(32, activation="relu")(inputs)
    return keras.Model(inputs, keras.layers.Dense(given.classes)(hidden))


def halved(plan, after):
    """A schedule that no table has."""
    return lambda done: np.full(
        plan.steps_per_epoch, plan.learning_rate / (1 + (len(done) >= after)), np.float32
    )


def third_epoch(**unused):
    """A pruner that no table has: it ends every trial after its third epoch."""
    import optuna

    class Third(optuna.pruners.BasePruner):
        def prune(self, study, trial):
            return trial.last_step >= 3

    return Third()


@pytest.fixture
def entries():
    with (
        OPTIMIZERS.temporary(
            OptimizerEntry(name="Signs", about="signs", target="keras.optimizers:Lion")
        ),
        HEADS.temporary(HeadEntry(name="wide", about="one hidden layer", target=f"{HERE}:wide")),
        SCHEDULES.temporary(
            ScheduleEntry(
                name="halved",
                about="half the rate",
                target=f"{HERE}:halved",
                parameters={"after": Setting(3, lowest=0)},
            )
        ),
        PRUNERS.temporary(
            PrunerEntry(
                name="third_epoch", about="three", target=f"{HERE}:third_epoch", stop_means="drop"
            )
        ),
        SAMPLERS.temporary(
            SamplerEntry(
                name="coin", about="random", target="optuna.samplers:RandomSampler", learns=False
            )
        ),
    ):
        yield


def search(study: studyfile.StudyFile, url: str) -> None:
    """Run the only stage in this process, as a worker and the search do it."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, 80).astype(np.int32)
    features = (generator.normal(size=(80, 4)) + 2 * labels[:, None]).astype(np.float32)
    rows = np.arange(80)
    trainer = HeadTrainer(
        TrainingData(features, rows[:60], labels[:60], rows[60:], labels[60:], classes=2)
    )
    stage = study.stages[0]
    storage = open_storage(url, create=True)
    facts = StudyFacts(study=study.as_toml_data(), split_sizes={"validation": 20})
    trials = StageTrials.create(storage, study.name, stage.name, facts)
    memory = StageMemory(trials.name, stage, study.seed)
    for number in range(stage.trials):
        drawn = memory.draw(number)
        trial = plan(
            study,
            stage,
            number,
            drawn.parameters,
            seed=derived_seed(study.seed, stage.name, number, "training"),
        )
        result = trainer.train(trial.task, lambda epoch, number=number: memory.after(number, epoch))
        memory.finish(number, result.history)
        trials.finish(
            number,
            drawn.parameters,
            drawn.distributions,
            result.history,
            optimizer_config=result.optimizer_config,
        )


@pytest.mark.slow
def test_new_entries_go_from_a_study_file_to_the_report(entries, tmp_path):
    url = f"sqlite:///{tmp_path}/new.db"
    search(studyfile.parse(tomllib.loads(TOML), "new.toml"), url)
    table = automl_cv.leaderboard(url, "new")
    assert list(table["optimizer"]) == ["Signs", "Signs"]
    assert list(table["epochs"]) == [3, 3]
    assert set(table["stop_reason"]) == {"pruned"}
    assert set(table["state"]) == {"pruned"}
    assert table["val_accuracy"].max() > 0.7
    curves = automl_cv.epochs(url, "new")
    assert len(curves) == 6


def test_without_the_entries_the_same_file_is_refused():
    with pytest.raises(UserError) as raised:
        studyfile.parse(tomllib.loads(TOML), "new.toml")
    text = str(raised.value)
    for name in ("coin", "third_epoch", "wide", "halved", "Signs"):
        assert repr(name) in text


@pytest.mark.slow
def test_history_is_what_is_stored(entries, tmp_path):
    """Nothing of a trial's curve is lost between training and the report."""
    url = f"sqlite:///{tmp_path}/new.db"
    study = studyfile.parse(tomllib.loads(TOML), "new.toml")
    search(study, url)
    (first, _) = StageTrials.open(open_storage(url, create=False), "new", "only").records()
    assert isinstance(first.history, History)
    assert [epoch.epoch for epoch in first.history.epochs] == [1, 2, 3]
    assert first.optimizer_config["beta_1"] == 0.9
    rates = [epoch.learning_rate for epoch in first.history.epochs]
    assert rates == pytest.approx([rates[0], rates[0] / 2, rates[0] / 2])
