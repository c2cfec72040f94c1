"""The rules of many sets of figures choose as the leaderboard does of one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from automl_cv.catalog.metrics import METRICS
from automl_cv.history import Epoch, History
from automl_cv.results.ranking import in_order, rule_of
from automl_cv.results.resamples import Candidates
from automl_cv.results.selection import correct
from automl_cv.store.facts import StudyFacts
from automl_cv.store.records import TrialRecord

FOLDS = StudyFacts(study={"validation": "folds"}, split_sizes={"train": 40, "validation": 20})
SPLIT = replace(FOLDS, study={})


def record(slot: int, merit: float, loss: float) -> TrialRecord:
    epoch = Epoch(1, 1.0, merit, 0.1, loss, 0.1, 1.0)
    return TrialRecord("run", "coarse", slot, "complete", {}, History((epoch,), "epochs"))


@pytest.mark.parametrize("facts", [FOLDS, SPLIT], ids=["folds", "split"])
def test_each_row_has_the_first_of_the_leaderboard(facts):
    generator = np.random.default_rng(0)
    merits = generator.integers(40, 61, (300, 8)) / 60
    losses = generator.integers(1, 6, (300, 8)) / 10
    expected = []
    for row in zip(merits, losses, strict=True):
        records = [record(slot, *own) for slot, own in enumerate(zip(*row, strict=True))]
        expected.append(in_order(records, facts)[0].trial)
    assert rule_of(facts)(merits, losses).tolist() == expected
    assert expected != merits.argmax(axis=1).tolist()


def test_resamples_are_won_by_the_rule_that_is_given():
    labels = np.tile([0, 1], 200)
    right = np.where(labels[:, None] == [0, 1], 0.95, 0.05)
    wrong = right[:, ::-1]
    sure, unsure = right.copy(), np.where(labels[:, None] == [0, 1], 0.6, 0.4)
    sure[:4] = wrong[:4]  # 4 more are wrong, and the loss is far lower
    both = Candidates(labels, np.stack([unsure, sure]))
    assert correct(both, METRICS["accuracy"]).selected == 0
    folds = replace(FOLDS, split_sizes={"train": 400})
    found = correct(both, METRICS["accuracy"], rule=rule_of(folds))
    assert found.selected == 0, "1 % is more than one standard error of all right"
    sure[1:4] = right[1:4]
    both = Candidates(labels, np.stack([unsure, sure]))
    found = correct(both, METRICS["accuracy"], rule=rule_of(folds))
    assert found.selected == 1 and found.shares[1] > 0.5
    given = correct(both, METRICS["accuracy"], rule=rule_of(folds), selected=0)
    assert given.selected == 0 and given.metric.raw == 1.0
