"""A winner's figures lose what it won by being chosen; the interval holds the truth."""

from __future__ import annotations

import numpy as np
import pytest

from automl_cv.catalog.metrics import METRICS
from automl_cv.measures import Judged, Weights
from automl_cv.results.resamples import Candidates, draw
from automl_cv.results.selection import correct
from automl_cv.scoring import figure
from tests.benchmarks.selection_coverage import drawn, true_losses
from tests.test_scoring import entry, kappa

ACCURACY = METRICS["accuracy"]
EQUAL = np.full(20, 0.9)


def several(n_configurations: int = 4, n_images: int = 60, n_classes: int = 3) -> Candidates:
    generator = np.random.default_rng(0)
    labels = np.arange(n_images) % n_classes
    logits = generator.normal(0, 1, (n_configurations, n_images, n_classes))
    logits[:, np.arange(n_images), labels] += 1
    shares = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    return Candidates(labels, shares.astype(np.float32))


def by_hand(candidates: Candidates, name: str, weights: Weights) -> list[list[float]]:
    """Return what each resample chose, and its figures, image by image and call by call."""
    rows = []
    for weight in weights:
        inside = np.repeat(np.arange(len(weight)), weight)
        outside = np.flatnonzero(weight == 0)
        ranks = [
            (-METRICS[name].score(value), figure("log_loss", labels, shares), number)
            for number, every in enumerate(candidates.probabilities)
            for labels, shares in [(candidates.labels[inside], every[inside])]
            for value in [figure(name, labels, shares)]
        ]
        best = min(ranks)[2]
        given = candidates.labels[outside], candidates.probabilities[best][outside]
        rows.append([best, figure(name, *given), figure("log_loss", *given)])
    return rows


def left_out(candidates: Candidates, number: int, name: str, weights: Weights) -> np.ndarray:
    """Return a metric and the log loss of one configuration, on what each resample left out."""
    said, outside = candidates.probabilities[number], [np.flatnonzero(one == 0) for one in weights]
    return np.array(
        [
            [figure(each, candidates.labels[rows], said[rows]) for rows in outside]
            for each in (name, "log_loss")
        ],
        float,
    )


@pytest.mark.parametrize("name", METRICS.names)
@pytest.mark.parametrize("n_images", [60, 12], ids=["all classes", "resamples without a class"])
def test_each_resample_chooses_by_what_it_drew_and_measures_the_rest(name, n_images):
    candidates = several(n_images=n_images)
    found = correct(candidates, METRICS[name], resamples=40, seed=3)
    weights = draw(n_images, None, 40, 3)
    chosen, figures, losses = np.array(by_hand(candidates, name, weights), float).T
    assert found.resamples == 40
    np.testing.assert_array_equal(found.shares, np.bincount(chosen.astype(int), minlength=4) / 40)
    raws = [figure(name, candidates.labels, one) for one in candidates.probabilities]
    best = max(raws, key=METRICS[name].score)
    assert found.metric.raw == pytest.approx(best) and raws[found.selected] == best
    own, own_losses = left_out(candidates, found.selected, name, weights)
    score = METRICS[name].score
    lost = min(score(np.nanmean(figures - own)), 0), max((losses - own_losses).mean(), 0)
    assert found.metric.value == pytest.approx(best + score(lost[0]), rel=1e-5)
    assert found.log_loss.value == pytest.approx(found.log_loss.raw + lost[1], rel=1e-5)
    assert found.metric.low < found.metric.value < found.metric.high
    first, _ = left_out(candidates, 0, name, weights)
    known = np.isfinite(figures)
    assert found.overtuning.reference == pytest.approx(first[known].mean(), rel=1e-5)
    gain = METRICS[name].score(1) * (figures - first)[known].mean()
    assert found.overtuning.gain == pytest.approx(gain, abs=1e-6)


def test_of_equal_accuracies_the_lowest_loss_is_chosen_then_the_first():
    labels = np.array([0, 1] * 10)
    sure, unsure = (np.where(labels[:, None] == [0, 1], one, 1 - one) for one in (0.9, 0.6))
    found = correct(Candidates(labels, np.stack([unsure, sure, sure])), ACCURACY, resamples=20)
    assert found.selected == 1 and found.shares.tolist() == [0, 1, 0]
    assert found.overtuning.gain == 0 and found.overtuning.is_overtuned
    assert found.overtuning.share_better == 0.5


@pytest.mark.slow
@pytest.mark.parametrize(("n_images", "together"), [(40, 0.3), (40, 0.8), (160, 0.3), (400, 0.8)])
def test_the_bias_of_the_best_of_many_goes_and_the_interval_covers(n_images, together):
    generator = np.random.default_rng(1)
    true = true_losses(EQUAL)[0]
    raws, values, held, losses_held = [], [], [], []
    for number in range(120):
        found = correct(
            drawn(generator, EQUAL, n_images, together), ACCURACY, resamples=150, seed=number
        )
        raws.append(found.metric.raw - 0.9)
        values.append(found.metric.value - 0.9)
        held.append(found.metric.low <= 0.9 <= found.metric.high)
        losses_held.append(found.log_loss.low <= true <= found.log_loss.high)
    off = np.std(values) / np.sqrt(len(values))
    assert np.mean(raws) > 0.012 > 3 * off
    assert abs(np.mean(values)) < 4 * off
    assert np.mean(held) >= 0.92 and np.mean(losses_held) >= 0.88


def test_a_search_that_ends_as_it_began_is_overtuned_and_one_that_found_something_is_not():
    generator = np.random.default_rng(2)
    better = correct(drawn(generator, np.r_[0.7, np.full(9, 0.9)], 400, 0.3), ACCURACY)
    assert not better.overtuning.is_overtuned and better.overtuning.share_better > 0.95
    assert better.overtuning.gain == pytest.approx(0.2, abs=0.07)
    worse = correct(drawn(generator, np.r_[0.95, np.full(9, 0.9)], 400, 0.3), ACCURACY)
    assert worse.selected == 0 and 0.4 < worse.overtuning.share_better <= 0.5
    one = drawn(generator, np.array([0.99]), 400, 0.3)
    own = drawn(np.random.default_rng(3), EQUAL, 400, 0.3)
    reference = Candidates(
        own.labels,
        np.where(
            one.labels[:, None] == own.labels[:, None],
            one.probabilities[0],
            one.probabilities[0][:, ::-1],
        )[None],
    )
    beside = correct(own, ACCURACY, reference=reference)
    assert beside.overtuning.is_overtuned and beside.overtuning.share_better < 0.05
    assert correct(one, ACCURACY).overtuning is None


def test_groups_are_drawn_together_and_widen_the_interval():
    candidates = several(n_images=40)
    repeated = Candidates(
        np.repeat(candidates.labels, 10), np.repeat(candidates.probabilities, 10, axis=1)
    )
    groups = [f"patient {number}" for number in range(40) for _ in range(10)]
    weights = draw(400, groups, 20, 0)
    assert (weights.reshape(20, 40, 10) == weights.reshape(20, 40, 10)[:, :, :1]).all()
    apart, together = correct(repeated, ACCURACY), correct(repeated, ACCURACY, groups=groups)
    widths = [one.high - one.low for one in (apart.metric, together.metric)]
    assert widths[1] > 2 * widths[0]
    assert together.log_loss.high - together.log_loss.low > 2 * (
        apart.log_loss.high - apart.log_loss.low
    )


def test_float16_is_enough_with_losses_and_without_them_ends_at_16_nats():
    whole = several(n_images=200)
    half = Candidates(whole.labels, whole.probabilities.astype(np.float16))
    ours, theirs = correct(half, ACCURACY), correct(whole, ACCURACY)
    assert ours.metric.value == pytest.approx(theirs.metric.value, abs=0.003)
    losses = np.full((4, 200), 50.0)
    given = correct(Candidates(whole.labels, half.probabilities, losses), ACCURACY)
    assert given.log_loss.raw == given.log_loss.value == 50


@pytest.mark.slow
def test_any_metric_is_corrected_and_what_no_image_determines_has_no_figure():
    with METRICS.temporary(entry("kappa", target=f"{kappa.__module__}:kappa")):
        found = correct(several(), METRICS["kappa"], resamples=30)
        assert found.metric.low < found.metric.value < found.metric.raw
        one_class = several()
        only = Candidates(np.zeros(60, int), one_class.probabilities)
        none = correct(only, METRICS["kappa"], resamples=30)
    assert none.metric is None and none.overtuning is None and none.log_loss.value > 0


def test_what_leaves_nothing_to_measure_is_refused():
    one = several(n_images=1)
    for groups in (None, ["a"]):
        with pytest.raises(ValueError, match="two images or groups of images"):
            correct(one if groups is None else several(), ACCURACY, groups=groups and groups * 60)
    with pytest.raises(ValueError, match="it takes a configuration"):
        correct(Candidates(one.labels, one.probabilities[:0]), ACCURACY)
    two = Candidates(np.array([0, 1]), several().probabilities[:, :2, :2])
    assert 0 < correct(two, ACCURACY).resamples < 500, "those that drew both images measure none"


def test_the_same_seed_gives_the_same_and_judged_is_of_float32():
    candidates = several()
    assert correct(candidates, ACCURACY).metric == correct(candidates, ACCURACY).metric
    assert isinstance(candidates.judged(0), Judged)
    assert correct(candidates, ACCURACY, seed=1).metric != correct(candidates, ACCURACY).metric
