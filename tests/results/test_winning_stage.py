"""Which of several stages that train again has the winner."""

from __future__ import annotations

import pytest

from automl_cv.catalog.metrics import METRICS
from automl_cv.results.comparison import compare
from automl_cv.results.winning_stage import WinningStage, choice_text, choose_stage
from tests.results.test_comparison import facts, record, repeated, retrains

# Five seeds of which the search's own is the lucky one.
FINALISTS = repeated("finalists", "narrowed/4", [0.89, 0.85, 0.85, 0.86, 0.87])


def chosen(*records: list, folded: tuple[str, ...] = ()) -> WinningStage:
    names = dict.fromkeys(one.stage for held in records for one in held)
    declared = [retrains(name, folds=3 if name in folded else None) for name in names]
    found = compare([one for held in records for one in held], facts(*declared))
    return choose_stage(found.stages)


@pytest.mark.parametrize(
    ("accuracy", "loss", "winner"),
    [
        (0.88, 0.1, "finalists"),  # above the mean of five, below that seed
        (0.90, 0.3, "tuned"),
        (0.89, 0.3, "finalists"),
        (0.89, 0.2, "tuned"),
        (0.89, 0.1, "tuned"),
    ],
)
def test_one_seed_meets_that_seed_of_others(accuracy, loss, winner):
    one = [record("narrowed/4", 0, accuracy, loss, "tuned")]
    assert chosen(FINALISTS, one).stage.stage == winner


def test_another_trial_of_one_seed_meets_one_seed_too():
    one = [record("coarse/1", 0, 0.88, stage="scratch")]
    choice = chosen(FINALISTS, one)
    assert (choice.stage.stage, choice.winner.source) == ("finalists", "narrowed/4")


def test_few_repeats_do_not_decide_between_stages_of_many():
    """By one seed augmented beats tuned, and tuned finalists; by five, finalists augmented."""
    one = [record("narrowed/4", 0, 0.90, stage="tuned")]
    augmented = repeated("augmented", "narrowed/4", [0.91, 0.80, 0.80, 0.80, 0.80])
    choice = chosen(one, FINALISTS, augmented)
    assert choice.stage.stage == "tuned"
    assert choice_text(choice, METRICS["accuracy"]) == (
        "the one trained again in stage tuned; stage against stage by mean validation accuracy: "
        "finalists 0.8640 over 5 seeds, on which augmented has 0.8220; then tuned 0.9000 over 1 "
        "seed (the search's own), on which finalists has 0.8900"
    )


def test_a_tie_is_told_as_one():
    choice = chosen(repeated("first", "a/1", [0.5, 0.7]), repeated("second", "a/1", [0.5, 0.7]))
    assert choice.stage.stage == "second"
    text = choice_text(choice, METRICS["accuracy"])
    assert "second 0.6000 over 2 seeds, on which first has 0.6000 too, as an earlier stage" in text
    losing = repeated("second", "a/1", [0.5, 0.7], loss=0.4)
    choice = chosen(repeated("first", "a/1", [0.5, 0.7]), losing)
    assert "second has 0.6000 too, and a higher loss" in choice_text(choice, METRICS["accuracy"])


def test_folds_and_seeds_have_no_repeat_in_common():
    choice = chosen(FINALISTS, repeated("folded", "a/1", [0.88, 0.87, 0.88]), folded=("folded",))
    assert choice.stage.stage == "folded", "though it is below the others' first seed"
    assert choice.decisions[0].repeats == ()


def test_a_stage_alone_decides_nothing():
    records = [*FINALISTS, *repeated("finalists", "coarse/1", [0.9] * 5)]
    choice = chosen(records)
    assert choice.winner.source == "coarse/1"
    assert choice_text(choice, METRICS["accuracy"]) == (
        "the first of 2 by the mean validation accuracy over 5 seeds in stage finalists"
    )
