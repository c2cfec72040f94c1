"""All folds of a trial together: each as if it were trained alone, judged as one."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from automl_cv.training.folds import FoldTrainer
from automl_cv.training.linear import LinearTrainer
from tests.engine.test_training import blobs, go_on, task
from tests.later import later

with later():
    from automl_cv.engine.training import HeadTrainer
    from automl_cv.trained import TrainingData

FOLDS = 3


def folds() -> list[TrainingData]:
    data = blobs()
    labels = np.empty(len(data.features), np.int32)
    labels[data.train], labels[data.validation] = data.train_labels, data.validation_labels
    rows = np.arange(len(labels) - 1)  # no multiple of the folds: they differ in size
    of_fold = np.random.default_rng(0).permutation(rows) % FOLDS
    return [
        dataclasses.replace(
            data,
            train=rows[of_fold != fold],
            train_labels=labels[rows[of_fold != fold]],
            validation=rows[of_fold == fold],
            validation_labels=labels[rows[of_fold == fold]],
        )
        for fold in range(FOLDS)
    ]


TASKS = {
    "SGD": task(optimizer_parameters={"momentum": 0.5}),
    "Adam": task("Adam"),
    "dropout": task(
        head="mlp", head_parameters={"width": 8, "dropout": 0.3, "normalization": True}
    ),
    "weighted": task(class_weight="balanced", schedule="reduce_on_plateau"),
}


def trainer_of(parts, by="keras") -> FoldTrainer:
    if by == "numpy":
        return FoldTrainer([LinearTrainer(one) for one in parts])
    return FoldTrainer(HeadTrainer.of_folds(parts))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "by"),
    [
        ("dropout", "keras"),
        ("SGD", "numpy"),
        ("weighted", "numpy"),
        *(
            pytest.param(name, "keras", marks=pytest.mark.exhaustive)
            for name in TASKS
            if name != "dropout"
        ),
    ],
)
def test_each_fold_trains_as_it_does_alone(name, by):
    todo, parts, told = TASKS[name], folds(), []
    result = trainer_of(parts, by).train(todo, told.append, [None] * FOLDS)
    alone_by = LinearTrainer if by == "numpy" else HeadTrainer
    alone = [alone_by(one).train(todo, go_on).history.epochs for one in parts]
    sizes = [len(one.validation) for one in parts]
    assert len(set(sizes)) > 1
    if todo.schedule == "constant":  # others go by the loss of all folds
        for epoch, own in zip(told, zip(*alone, strict=True), strict=True):
            right = sum(round(one.val_accuracy * n) for one, n in zip(own, sizes, strict=True))
            assert epoch.val_accuracy == right / sum(sizes)
            loss = np.average([one.val_loss for one in own], weights=sizes)
            assert epoch.val_loss == pytest.approx(loss, rel=1e-6)
    assert told == list(result.history.epochs)
    best = result.history.best
    labels = np.empty(sum(sizes), int)
    for one in parts:
        labels[one.validation] = one.validation_labels
    right = (result.probabilities.argmax(axis=1) == labels).mean()
    assert right == best.val_accuracy, "what is kept is of the best epoch, in the images' order"


@pytest.mark.slow
@pytest.mark.parametrize("by", ["keras", "numpy"])
def test_a_fold_leaves_no_trace_in_the_next_training(by):
    trainer, parts = trainer_of(folds(), by), folds()
    trainer.train(task(seed=99, class_weight="balanced"), go_on, [None] * FOLDS)
    trainer.train(task(seed=99), go_on, [None] * FOLDS)
    used = trainer.train(task(), go_on, [None] * FOLDS)
    fresh = trainer_of(parts, by).train(task(), go_on, [None] * FOLDS)
    assert [e.val_loss for e in used.history.epochs] == [e.val_loss for e in fresh.history.epochs]
    np.testing.assert_array_equal(used.probabilities, fresh.probabilities)


@pytest.mark.slow
def test_they_are_stopped_together():
    result = trainer_of(folds()).train(
        task(), lambda epoch: "plateau" if epoch.epoch == 2 else None, [None] * FOLDS
    )
    assert len(result.history.epochs) == 2
    assert result.history.stop_reason == "plateau"
