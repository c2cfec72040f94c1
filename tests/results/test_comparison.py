"""Which retrained trials are compared with which, how, and with what verdict."""

from __future__ import annotations

import math

import numpy as np
import pytest

from automl_cv.history import Epoch, History
from automl_cv.results.comparison import compare, finalists
from automl_cv.results.intervals import signed_difference
from automl_cv.results.repeats import paired_difference, unpaired_difference
from automl_cv.store.facts import RunFacts
from automl_cv.store.records import TrialRecord
from tests.later import later

with later():
    from scipy import stats


def record(
    source: str, repeat: int, accuracy: float, loss: float = 0.2, stage: str = "finalists"
) -> TrialRecord:
    epoch = Epoch(1, 1.0, accuracy, 0.01, loss, 0.1, 0.01)
    return TrialRecord(
        run="r",
        stage=stage,
        trial=repeat,
        state="complete",
        parameters={"source": source, "repeat": repeat, "learning_rate": 0.1},
        history=History((epoch,), "epochs"),
    )


def repeated(stage: str, source: str, values: list[float], loss: float = 0.2) -> list[TrialRecord]:
    return [record(source, repeat, value, loss, stage) for repeat, value in enumerate(values)]


def facts(*stages: dict, images: int | None = None) -> RunFacts:
    sizes = {"train": 1078, "validation": images} if images else {}
    return RunFacts(study={"stage": list(stages)}, split_sizes=sizes)


def searches(name: str) -> dict:
    return {"name": name, "retrain": None}


def retrains(name: str, head: str = "linear", folds: int | None = None) -> dict:
    return {"name": name, "head": {"name": head}, "retrain": {"folds": folds}}


FIRST = [0.93, 0.94, 0.92, 0.935, 0.931]
SECOND = [0.92, 0.929, 0.908, 0.926, 0.92]


def test_the_highest_mean_wins_and_ties_go_to_the_lower_loss():
    records = [
        *repeated("f", "a/0", [0.90, 0.92]),
        *repeated("f", "b/1", [0.93, 0.91], 0.3),
        *repeated("f", "b/2", [0.92, 0.92], 0.1),
    ]
    assert [one.source for one in finalists(records, folds=None)] == ["b/2", "b/1", "a/0"]


def test_folds_tell_apart_what_means_alone_do_not():
    """Each fold is harder or easier for both; the second is always a little worse."""
    first = [0.90, 0.94, 0.88, 0.96]
    second = [value - 0.01 - 0.001 * fold for fold, value in enumerate(first)]
    records = [*repeated("f", "x/0", first), *repeated("f", "x/1", second)]
    best, behind = finalists(records, folds=4)
    assert best.behind_first is None
    assert not behind.behind_first.holds_zero
    assert behind.behind_first.mean == pytest.approx(0.0115)
    assert best.merit.low < behind.merit.high, "unpaired intervals overlap"


def test_seeds_of_different_trials_are_not_paired():
    """Repeat 1 of one trial and repeat 1 of another have different seeds."""
    records = [*repeated("f", "x/0", FIRST), *repeated("f", "x/1", SECOND)]
    behind = finalists(records, folds=None)[1].behind_first
    assert behind == unpaired_difference(FIRST, SECOND)


def test_failed_repeats_are_left_out():
    broken = TrialRecord("r", "f", 9, "failed", {"source": "a/0", "repeat": 1})
    (only,) = finalists([record("a/0", 0, 0.9), broken], folds=None)
    assert only.merit.n_repeats == 1


def test_the_same_trial_in_two_stages_is_paired_by_seed():
    records = [
        *repeated("finalists", "a/3", SECOND, 0.3),
        *repeated("finalists", "a/1", [0.5] * 5),
        *repeated("augmented", "a/3", FIRST[:4], 0.1),
    ]
    found = compare(records, facts(searches("a"), retrains("finalists"), retrains("augmented")))
    pair, within = found.pairs
    assert (pair.kind, pair.over, pair.method) == ("stages", "seeds", "paired t")
    assert (pair.left.stage, pair.right.stage) == ("augmented", "finalists")
    assert pair.left.source == pair.right.source == "a/3"
    differences = np.subtract(FIRST[:4], SECOND[:4])
    low, high = stats.t.interval(0.95, 3, differences.mean(), stats.sem(differences))
    assert (pair.difference.low, pair.difference.high) == pytest.approx((low, high))
    assert pair.verdict == "better"
    assert pair.right.n_repeats == 4, "means are over the common seeds"
    assert pair.left.val_accuracy - pair.right.val_accuracy == pytest.approx(pair.difference.mean)
    assert (pair.left.val_loss, pair.right.val_loss) == pytest.approx((0.1, 0.3))
    assert (within.kind, within.left.source, within.right.source) == ("places", "a/3", "a/1")


def test_the_other_way_round_it_is_worse():
    records = [*repeated("finalists", "a/3", FIRST), *repeated("augmented", "a/3", SECOND)]
    (pair,) = compare(records, facts(retrains("finalists"), retrains("augmented"))).pairs
    assert pair.verdict == "worse"


def heads(folds: tuple[int | None, int | None]) -> list:
    records = [*repeated("linear", "a/3", SECOND), *repeated("wide", "b/1", FIRST)]
    declared = (retrains("linear", "linear", folds[0]), retrains("wide", "mlp", folds[1]))
    return list(compare(records, facts(*declared)).pairs)


def test_winners_of_other_trials_are_paired_over_the_same_folds():
    (pair,) = heads((5, 5))
    assert (pair.kind, pair.over) == ("winners", "folds")
    assert (pair.left.head, pair.right.head) == ("mlp", "linear")
    expected = paired_difference(dict(enumerate(FIRST)), dict(enumerate(SECOND)), folds=5)
    assert pair.difference == expected
    assert pair.method == "paired t, Nadeau-Bengio"


def test_winners_over_seeds_are_not_paired():
    (pair,) = heads((None, None))
    assert (pair.kind, pair.over, pair.method) == ("winners", "seeds", "Welch")
    assert pair.difference == unpaired_difference(FIRST, SECOND)


@pytest.mark.parametrize("folds", [(5, None), (None, 5), (5, 10)])
def test_other_validation_images_are_not_compared(folds):
    assert heads(folds) == []


def test_what_narrowing_was_worth():
    """The best finalist of each searched stage, the later one against the earlier."""
    records = [
        *repeated("finalists", "coarse/3", [0.9342, 0.9328, 0.9268]),
        *repeated("finalists", "narrowed/2", [0.9343, 0.9310, 0.9272]),
        *repeated("finalists", "narrowed/4", [0.90, 0.90, 0.91]),
    ]
    found = compare(records, facts(searches("coarse"), searches("narrowed"), retrains("finalists")))
    sources, places = found.pairs
    assert (sources.kind, sources.left.source) == ("sources", "narrowed/2")
    assert sources.right.source == "coarse/3"
    assert sources.difference.mean == pytest.approx(-0.0004333, abs=1e-6)
    assert sources.verdict == "can't be told apart"
    assert (places.kind, places.left.source) == ("places", "coarse/3")


def test_the_step_of_an_accuracy_counts():
    """Two repeats with the same gain of one image have no spread, and still prove nothing."""
    gained = [value + 1 / 360 for value in (0.9, 0.8)]
    records = [*repeated("finalists", "a/0", [0.9, 0.8]), *repeated("augmented", "a/0", gained)]
    declared = (retrains("finalists"), retrains("augmented"))
    assert compare(records, facts(*declared)).pairs[0].verdict == "better"
    (pair,) = compare(records, facts(*declared, images=360)).pairs
    assert pair.verdict == "can't be told apart"


def test_a_single_repeat_is_not_judged_over_seeds_but_over_images():
    """What is far apart on 360 images is so whatever another seed would say of it."""
    records = [*repeated("finalists", "a/0", [0.9139]), *repeated("tuned", "a/0", [0.9944])]
    declared = (retrains("finalists"), retrains("tuned"))
    (pair,) = compare(records, facts(*declared, images=360)).pairs
    assert pair.verdict == "not judged over seeds"
    assert pair.difference.low == -math.inf
    assert pair.over_images == pytest.approx((0.0518, 0.1143), abs=5e-5), "Newcombe's"
    said = {("finalists", 0): np.arange(360) < 329, ("tuned", 0): np.arange(360) < 358}
    (paired,) = compare(records, facts(*declared, images=360), said).pairs
    low, high = paired.over_images
    assert 0.0518 < low < 0.0806 < high < 0.1143, "the same images are missed"
    (turned,) = compare(records[::-1], facts(*declared[::-1], images=360)).pairs
    assert turned.over_images == (-pair.over_images[1], -pair.over_images[0])
    (unknown,) = compare(records, facts(*declared)).pairs
    assert unknown.over_images is None, "of how many images is not known"


def test_one_fold_is_not_judged_over_folds_and_several_repeats_have_no_interval_over_images():
    records = [*repeated("a", "x/0", [0.9]), *repeated("b", "x/0", [0.8])]
    declared = (retrains("a", folds=5), retrains("b", folds=5))
    (pair,) = compare(records, facts(*declared, images=360)).pairs
    assert pair.verdict == "not judged over folds"
    # A fifth of 1,078 + 360 images validates a fold.
    assert pair.over_images == pytest.approx(signed_difference(0.8, 0.9, 287))
    records = [*repeated("a", "x/0", FIRST), *repeated("b", "x/0", SECOND)]
    (pair,) = compare(records, facts(retrains("a"), retrains("b"), images=360)).pairs
    assert pair.over_images is None and pair.verdict == "worse"


def test_nothing_to_compare():
    assert compare([], facts()).pairs == ()
    assert compare(repeated("f", "a/0", FIRST), facts(retrains("f"))).pairs == ()
