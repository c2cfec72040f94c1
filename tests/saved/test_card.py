"""card.md, from a manifest made by hand."""

from __future__ import annotations

from typing import Any

import pytest

from automl_cv.history import Epoch, History
from automl_cv.saved import card
from automl_cv.saved.facts import Calibration, CorrectedFigures, Metric
from tests.saved.saved import MANIFEST


def composed(
    *,
    stage: dict[str, Any] | None = None,
    calibration: Calibration | None = MANIFEST.calibration,
    **winner: Any,
) -> str:
    """Compose the card of a winner, of a stage with these settings."""
    epochs = (
        Epoch(1, 0.5, 0.6, 0.7, 0.8, 0.1, 1.0, -0.8),
        Epoch(2, 0.6, 0.9, 0.5, 0.4, 0.1, 1.0, -0.4),
    )
    declared = {"name": "coarse", "views": 8, **(stage or {})}
    manifest = MANIFEST.model_copy(
        update={
            "study": {"name": "quickstart", "stage": [declared]},
            "winner": MANIFEST.winner.model_copy(update=winner),
            "calibration": calibration,
        }
    )
    return card.compose(
        manifest,
        ("cat", "dog"),
        folder="model",
        searched=epochs,
        fitted=[History(epochs)],
        weights=10,
    )


@pytest.mark.parametrize(
    ("augmentation", "drawn", "shown"),
    [
        ({"zoom": {"fraction": 0.1}}, {}, "8 views: zoom 0.1"),
        (
            {"horizontal_flip": {"probability": 0.5}, "rand_augment": {"magnitude": 5.0}},
            {"zoom": 0.2, "width_shift": 0},
            "8 views: horizontal_flip 0.5, zoom 0.2, rand_augment 5",
        ),
        ({"rand_augment": {"operations": 3}}, {}, "8 views: rand_augment 9 (operations 3)"),
        ({"mixup": {"alpha": 0.2}}, {}, "mixup 0.2"),
    ],
)
def test_an_augmentation_reads_as_in_the_report(augmentation, drawn, shown):
    text = composed(stage={"augmentation": augmentation}, parameters={"optimizer": "SGD", **drawn})
    assert f"| augmentation | {shown} |" in text
    assert "{" not in text


@pytest.mark.parametrize(
    ("metric", "figures", "titles"),
    [
        (None, "accuracy 0.9000 (95 % interval 0.8000 to 0.9500, over 6 images), loss 0.2000:", ""),
        (
            Metric(name="macro_f1", value=0.85, low=0.8, high=0.9, over="3 seeds"),
            "macro F1 0.8500 (95 % interval 0.8000 to 0.9000, over 3 seeds), accuracy 0.9000 "
            "(95 % interval 0.8000 to 0.9500, over 6 images), loss 0.2000:",
            " val macro F1 |",
        ),
        (
            Metric(name="log_loss", value=0.2, low=None, high=None, over="6 images"),
            "log loss 0.2000 (6 images), accuracy 0.9000 (95 % interval 0.8000 to 0.9500, over "
            "6 images):",
            "",
        ),
    ],
)
def test_the_figure_that_chose_the_winner_stands_first(metric, figures, titles):
    validation = MANIFEST.winner.validation.model_copy(update={"metric": metric})
    text = composed(validation=validation)
    assert f"\nValidation {figures} measured in the search" in text
    assert f"| epoch | search: loss | val loss | val accuracy |{titles} fit: loss |" in text
    kept = validation.model_validate_json(validation.model_dump_json())
    assert kept == validation
    older = validation.model_dump(exclude={"metric"})
    assert validation.model_validate(older).chosen_by.name == "accuracy"


def test_an_interval_over_seeds_has_that_over_images_beside_it():
    over = "5 seeds, the same 35 validation images"
    update = {"over": over, "over_images": (0.74, 0.9571)}
    text = composed(validation=MANIFEST.winner.validation.model_copy(update=update))
    assert (
        "accuracy 0.9000 (95 % interval 0.8000 to 0.9500, over 5 seeds, the same 35 validation "
        "images; over other images 0.7400 to 0.9571), loss 0.2000:"
    ) in text


@pytest.mark.parametrize(
    ("loss", "calibrated", "told"),
    [(30.17, False, True), (30.17, True, False), (0.69, False, False)],
)
def test_probabilities_worth_less_than_a_guess_are_told(loss, calibrated, told):
    validation = MANIFEST.winner.validation.model_copy(update={"loss": loss, "classes": 2})
    calibration = MANIFEST.calibration if calibrated else None
    text = composed(calibration=calibration, validation=validation)
    sentence = (
        "Its probabilities are overconfident: validation loss 30.1700, where the same probability "
        "for each of 2 classes has 0.6931; use `automl-cv fit --calibrate`, or `metric = "
        '"log_loss"` in the study.'
    )
    assert (sentence in text) == told
    assert ("overconfident" in text) == told


@pytest.mark.parametrize("metric", ["accuracy", "log_loss"])
def test_corrected_figures_stand_beside_the_raw_ones(metric):
    corrected = CorrectedFigures(
        value=0.88,
        low=0.78,
        high=0.94,
        loss=0.25,
        loss_low=0.2,
        loss_high=0.31,
        trials=17,
        note="the search found nothing better than its first trial, coarse/0",
    )
    own = None
    if metric != "accuracy":
        own = Metric(name=metric, value=0.2, low=None, high=None, over="6 images")
    update = {"corrected": corrected, "metric": own}
    validation = MANIFEST.winner.validation.model_copy(update=update)
    text = composed(validation=validation)
    figures = "accuracy 0.8800 (0.7800 to 0.9400), log loss 0.2500 (0.2000 to 0.3100), with"
    if own:
        figures = "log loss 0.8800 (0.7800 to 0.9400), with"
    assert f"\n\nCorrected for having been chosen from 17 trials: {figures} 95 %" in text
    assert "The search found nothing better than its first trial, coarse/0." in text
    assert validation.model_validate_json(validation.model_dump_json()) == validation
    older = validation.model_dump(exclude={"corrected"})
    assert validation.model_validate(older).corrected is None
    assert "Corrected" not in composed()


def test_names_are_no_html_of_the_card():
    data = MANIFEST.data.model_copy(update={"source": "<img src=x onerror=alert(1)>"})
    manifest = MANIFEST.model_copy(update={"data": data})
    epochs = (Epoch(1, 0.5, 0.6, 0.7, 0.8, 0.1, 1.0, -0.8),)
    given = {"folder": "model", "searched": epochs, "fitted": [History(epochs)], "weights": 10}
    text = card.compose(manifest, ("<script>", "a_b", "\x1b[2J"), **given)
    assert "- Source: \\<img src=x onerror=alert(1)\\>" in text
    assert "- Classes: \\<script\\>, a_b, \ufffd\\[2J" in text
