"""Figures against scikit-learn's and against hand-worked cases; their intervals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from automl_cv import measures, scoring
from automl_cv.catalog.metrics import METRICS, MetricEntry
from automl_cv.measures import Judged, cross_entropies, measured
from automl_cv.scoring import calibration_error, figure, most_confidently_wrong, score, wilson
from tests.later import later

with later():
    from scipy.special import log_softmax, softmax
    from scipy.stats import binomtest, norm
    from sklearn import metrics


def drawn(n_images: int, n_classes: int, seed: int = 0, digits: int | None = None):
    """Return labels of every class, and probabilities that lean towards them."""
    generator = np.random.default_rng(seed)
    labels = generator.permutation(np.arange(n_images) % n_classes)
    logits = generator.normal(0, 1, (n_images, n_classes))
    logits[np.arange(n_images), labels] += 1
    if digits is not None:
        logits = logits.round(digits)  # many ties
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return labels, shares.astype(np.float32)


def of_sklearn(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    predicted = probabilities.argmax(axis=1)
    wide = probabilities.astype(np.float64)
    wide /= wide.sum(axis=1, keepdims=True)
    return {
        "accuracy": metrics.accuracy_score(labels, predicted),
        "balanced_accuracy": metrics.balanced_accuracy_score(labels, predicted),
        "macro_f1": metrics.f1_score(labels, predicted, average="macro"),
        "auroc": metrics.roc_auc_score(labels, wide, multi_class="ovr")
        if wide.shape[1] > 2
        else metrics.roc_auc_score(labels, probabilities[:, 1]),
        "log_loss": metrics.log_loss(labels, wide),
    }


@pytest.mark.parametrize("n_classes", [2, 3, 11])
@pytest.mark.parametrize("digits", [None, 0], ids=["distinct", "ties"])
def test_figures_are_those_of_scikit_learn(n_classes, digits):
    labels, probabilities = drawn(150, n_classes, digits=digits)
    found = score(labels, probabilities, resamples=5)
    for name, value in of_sklearn(labels, probabilities).items():
        assert found.metrics[name].value == pytest.approx(value, abs=1e-6), name
    predicted = probabilities.argmax(axis=1)
    np.testing.assert_array_equal(found.confusion, metrics.confusion_matrix(labels, predicted))
    precision, recall, f1, images = metrics.precision_recall_fscore_support(labels, predicted)
    assert [one.precision for one in found.classes] == pytest.approx(list(precision))
    assert [one.recall for one in found.classes] == pytest.approx(list(recall))
    assert [one.f1 for one in found.classes] == pytest.approx(list(f1))
    assert [one.images for one in found.classes] == list(images)


@pytest.mark.slow
def test_every_resample_is_measured_as_scikit_learn_does(monkeypatch):
    monkeypatch.setattr(measures, "BLOCK", 100)  # several blocks
    labels, probabilities = drawn(40, 3, seed=4, digits=1)
    weights = scoring._resample(labels, 20, seed=7)
    judged = Judged(labels, probabilities)
    found = {metric.name: measured(metric, judged, weights) for metric in METRICS}
    for number, weight in enumerate(weights):
        rows = np.repeat(np.arange(40), weight)
        np.testing.assert_array_equal(np.bincount(labels[rows]), np.bincount(labels))
        for name, value in of_sklearn(labels[rows], probabilities[rows]).items():
            assert found[name][number] == pytest.approx(value, abs=1e-6), name


@pytest.mark.slow
def test_intervals_hold_the_figure_and_narrow_with_more_images():
    widths = []
    for n_images in (60, 2400):
        found = score(*drawn(n_images, 4), seed=1)
        assert found.resamples == 1000
        for name in METRICS.names:
            one = found.metrics[name]
            assert one.low < one.value < one.high, name
        widths.append(found.metrics["accuracy"].high - found.metrics["accuracy"].low)
    assert widths[1] < widths[0] / 4, "they shrink with the root of the number"
    again, other = score(*drawn(60, 4), seed=1), score(*drawn(60, 4), seed=2)
    assert again.metrics == score(*drawn(60, 4), seed=1).metrics
    assert again.metrics != other.metrics
    assert again.metrics["accuracy"] == other.metrics["accuracy"], "Wilson's draws nothing"


def test_wilson_against_newcombes_table():
    # R. G. Newcombe, Statistics in Medicine 17 (1998), 857–872, table I, method 3.
    for n_right, n_images, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        assert wilson(n_right / n_images, n_images) == pytest.approx((low, high), abs=5e-5)


def test_wilson_stays_within_0_and_1():
    assert wilson(1.0, 10)[1] <= 1.0
    assert 0.0 <= wilson(0.0, 10)[0] < 1e-9


def test_the_interval_of_an_accuracy_is_wilsons_and_leaves_room_for_a_wrong_image():
    for right, n_images in ((33, 34), (34, 34), (0, 5), (150, 171)):
        labels = np.arange(n_images) % 2
        predicted = np.where(np.arange(n_images) < right, labels, 1 - labels)
        probabilities = np.where(predicted[:, None] == [0, 1], 0.9, 0.1).astype(np.float32)
        one = score(labels, probabilities, resamples=5).metrics["accuracy"]
        exact = binomtest(right, n_images).proportion_ci(0.95, method="wilson")
        assert (one.low, one.high) == pytest.approx((exact.low, exact.high), abs=1e-12)
        assert one.low <= one.value == right / n_images <= one.high


def test_a_figure_that_no_resample_varies_has_no_interval():
    labels, probabilities = drawn(40, 4)
    probabilities[np.arange(40), labels] += 9
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    found = score(labels, probabilities).metrics
    for name in ("balanced_accuracy", "macro_f1"):
        assert (found[name].value, found[name].low, found[name].high) == (1, None, None), name
    assert found["auroc"].low < found["auroc"].value == found["auroc"].high == 1
    assert found["accuracy"].low < 1 and found["log_loss"].low < found["log_loss"].value


def test_aurocs_interval_is_newcombes_where_delongs_variance_is_his():
    """Both agree at 240 images a class and an AUROC of 0.76, so that any mean of them is it."""
    draw = np.random.default_rng(0)
    labels = np.repeat([0, 1], 240)
    second = norm.cdf(draw.normal(labels * 1.0, 1))
    one = score(labels, np.stack([1 - second, second], axis=1)).metrics["auroc"]
    # R. G. Newcombe, Statistics in Medicine 25 (2006), 559-573: solved for the ends here.
    assert abs(one.value - 0.76) < 0.03
    for end in (one.low, one.high):
        shares = (1 - end) / (2 - end) + end / (1 + end)
        variance = end * (1 - end) * (1 + 239 * shares) / 240**2
        assert abs(one.value - end) / np.sqrt(variance) == pytest.approx(1.96, rel=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("n_classes", [2, 5])
def test_aurocs_interval_covers_at_fifty_images(n_classes):
    """The bootstrap's percentiles covered 81 % of such."""
    draw = np.random.default_rng(0)

    def judged(n_images):
        labels = np.arange(n_images) % n_classes
        logits = draw.normal(0, 1, (n_images, n_classes))
        logits[np.arange(n_images), labels] += 2
        return Judged(labels, softmax(logits, axis=1))

    def value(of):
        return measures.auroc(of, np.ones((1, len(of.labels)), np.uint16))[0]

    true = value(judged(50_000))
    ends = [measures.auroc_interval(one, value(one), 1.96) for one in map(judged, [50] * 400)]
    share = np.mean([low <= true <= high for low, high in ends])
    assert 0.93 <= share <= 0.985


def test_a_bootstrap_interval_is_as_wide_as_theory_says():
    # 300 of 400 right in each of two classes: the standard error is sqrt(0.75 * 0.25 / 800).
    labels = np.repeat([0, 1], 400)
    predicted = np.where(np.arange(800) % 4 == 0, 1 - labels, labels)
    probabilities = np.where(predicted[:, None] == [0, 1], 0.9, 0.1).astype(np.float32)
    one = score(labels, probabilities).metrics["balanced_accuracy"]
    error = np.sqrt(0.75 * 0.25 / 800)
    assert (one.high - one.low) / (2 * 1.96 * error) == pytest.approx(1, abs=0.12)


def test_a_case_worked_by_hand():
    labels = np.array([0, 0, 0, 1])
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.5, 0.5]], np.float32)
    found = score(labels, probabilities)  # of equal probabilities the first class is predicted
    values = {name: one.value for name, one in found.metrics.items()}
    assert found.confusion.tolist() == [[2, 1], [1, 0]]
    assert values["accuracy"] == 0.5
    assert values["balanced_accuracy"] == pytest.approx((2 / 3 + 0) / 2)
    assert values["macro_f1"] == pytest.approx((4 / 6 + 0) / 2)
    assert values["auroc"] == pytest.approx(2 / 3)
    expected = -np.log([0.9, 0.8, 0.4, 0.5]).mean()
    assert values["log_loss"] == pytest.approx(expected, rel=1e-6)
    assert found.classes[1].precision == 0 and found.classes[1].f1 == 0
    assert most_confidently_wrong(labels, probabilities, 9) == [2, 3]
    assert most_confidently_wrong(labels, probabilities, 1) == [2]


def test_calibration_worked_by_hand():
    # Bins of a fifteenth: 0.95 twice, one right; 0.62 once, right; 0.5 once, wrong.
    labels = np.array([0, 1, 0, 1])
    probabilities = np.array([[0.95, 0.05], [0.95, 0.05], [0.62, 0.38], [0.5, 0.5]], np.float32)
    found = score(labels, probabilities)
    error = (2 * abs(0.95 - 0.5) + abs(0.62 - 1) + abs(0.5 - 0)) / 4
    assert found.calibration_error == pytest.approx(error, abs=1e-6)
    assert calibration_error(labels, probabilities) == found.calibration_error
    filled = {round(one.low * 15): (one.images, one.accuracy) for one in found.bins if one.images}
    assert filled == {14: (2, 0.5), 9: (1, 1.0), 7: (1, 0.0)}
    assert len(found.bins) == 15


def test_what_is_sure_and_right_is_calibrated_and_finite_where_wrong():
    labels = np.array([0, 1])
    sure = np.array([[1, 0], [0, 1]], np.float32)
    right, wrong = score(labels, sure), score(labels, sure[::-1])
    assert right.calibration_error == 0 and right.metrics["log_loss"].value == 0
    assert wrong.calibration_error == 1
    assert wrong.metrics["log_loss"].value == pytest.approx(87.3, abs=0.1)
    assert right.bins[-1].images == 2, "1 belongs to the last bin"


def test_log_loss_is_exact_from_logits_and_from_probabilities_as_far_as_float32_holds_them():
    labels = np.array([0, 1, 1])
    logits = np.array([[0, 70], [80, 0], [0, 3]], np.float32)
    exact = -log_softmax(logits.astype(np.float64), axis=1)[np.arange(3), labels]
    np.testing.assert_allclose(cross_entropies(labels, logits), exact, rtol=1e-12)
    shares = softmax(logits, axis=1)
    value = score(labels, shares).metrics["log_loss"].value
    assert value == pytest.approx(exact.mean(), rel=1e-6), "1e-35 is a probability still"
    for factor in (1, 100, 1e30):
        losses = cross_entropies(labels, factor * logits)
        assert losses.tolist() == pytest.approx([70 * factor, 80 * factor, 0], 1e-6, abs=0.05)
        shares = softmax(factor * logits, axis=1)
        found = score(labels, shares, losses=losses, resamples=50).metrics
        assert found["log_loss"].value == losses.mean()
        assert figure("log_loss", labels, shares, losses) == losses.mean()
        without = score(labels, shares, resamples=50).metrics
        assert {**found, "log_loss": None} == {**without, "log_loss": None}


def test_absent_classes_do_not_count_in_means():
    labels, probabilities = drawn(60, 3)
    wider = np.concatenate([probabilities, np.zeros((60, 2), np.float32)], axis=1)
    assert score(labels, wider).metrics == score(labels, probabilities).metrics
    assert [one.recall for one in score(labels, wider).classes[3:]] == [None, None]
    assert [one.f1 for one in score(labels, wider).classes[3:]] == [None, None]


@pytest.mark.parametrize("n_classes", [2, 4])
def test_one_image(n_classes):
    probabilities = np.full((1, n_classes), 0.1, np.float32)
    probabilities[0, 1] = 1 - 0.1 * (n_classes - 1)
    found = score(np.array([1]), probabilities)
    assert found.metrics["auroc"] is None
    accuracy = found.metrics["accuracy"]
    assert (accuracy.low, accuracy.value, accuracy.high) == (pytest.approx(0.2065, abs=5e-5), 1, 1)
    assert found.metrics["log_loss"].low is None
    assert found.metrics["macro_f1"].value == 1
    assert found.classes[0].precision is None


def test_more_work_takes_fewer_resamples(monkeypatch):
    labels, probabilities = drawn(60, 3)
    monkeypatch.setattr(scoring, "WORK", 180 * 300)
    assert score(labels, probabilities).resamples == 300
    monkeypatch.setattr(scoring, "WORK", 1)
    assert score(labels, probabilities).resamples == scoring.FEWEST_RESAMPLES


def test_one_figure_is_that_of_all():
    labels, probabilities = drawn(60, 4)
    found = score(labels, probabilities).metrics
    for name in METRICS.names:
        assert figure(name, labels, probabilities) == found[name].value, name
    assert figure("auroc", np.zeros(3, int), np.full((3, 2), 0.5, np.float32)) is None


HERE = __name__


def kappa(labels, probabilities):
    """A metric that no table has, as scikit-learn writes it."""
    if len(np.unique(labels)) < 2:
        return None
    return metrics.cohen_kappa_score(labels, probabilities.argmax(axis=1))


def second_guess(labels, probabilities):
    """The share of images whose class is among the two most probable."""
    return np.mean((np.argsort(probabilities)[:, -2:] == labels[:, None]).any(axis=1))


def entry(name, **changes):
    plain = MetricEntry(
        name=name, about=name, heading=name, direction="maximize", target=f"{HERE}:{name}"
    )
    return replace(plain, **changes)


def test_any_function_of_labels_and_probabilities_is_a_metric():
    labels, probabilities = drawn(60, 4)
    before = score(labels, probabilities, resamples=50)
    with METRICS.temporary(entry("kappa")):
        found = score(labels, probabilities, resamples=50)
        assert figure("kappa", np.zeros(3, int), np.full((3, 2), 0.5, np.float32)) is None
    one = found.metrics.pop("kappa")
    assert found.metrics == before.metrics, "what it is measured on is the others' too"
    assert one.value == kappa(labels, probabilities)
    each = [
        kappa(labels[rows], probabilities[rows])
        for weight in scoring._resample(labels, 50, seed=0)
        for rows in [np.repeat(np.arange(60), weight)]
    ]
    assert (one.low, one.high) == pytest.approx(tuple(np.quantile(each, (0.025, 0.975))))


def test_a_new_share_of_images_has_wilsons_interval():
    labels, probabilities = drawn(60, 4)
    with METRICS.temporary(entry("second_guess", is_share_of_images=True)):
        one = score(labels, probabilities, resamples=5).metrics["second_guess"]
    assert one.value == second_guess(labels, probabilities)
    assert (one.low, one.high) == wilson(one.value, 60)


def test_a_metric_that_some_resamples_do_not_determine_has_no_interval():
    with METRICS.temporary(entry("kappa", target=f"{HERE}:first_half")):
        one = score(*drawn(60, 4), resamples=50).metrics["kappa"]
    assert (one.value, one.low, one.high) == (1, None, None)


def first_half(labels, probabilities):
    """Return 1 where the images are as they are, and nothing of resamples."""
    return 1.0 if len(np.unique(probabilities, axis=0)) == len(labels) else None
