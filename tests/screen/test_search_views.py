"""Views of a search show the study's metric, in its own units."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from automl_cv.history import Epoch, History
from automl_cv.screen.search_views import LivePanel, PlainLines
from automl_cv.search import events

SGD = {"optimizer": "SGD", "batch_size": 8}


def trial(number: int, *scores: float | None) -> list[events.Event]:
    """Return what a search tells of a trial whose accuracy is 0.75 in each epoch."""
    epochs = tuple(
        Epoch(place, 0.5, 0.75, 1.0, 0.5, 0.1, 0.0, score)
        for place, score in enumerate(scores, start=1)
    )
    history = History(epochs, "epochs", seconds=1.0)
    return [
        events.TrialStarted("coarse", number, SGD),
        *(events.EpochEnded("coarse", number, epoch, 9) for epoch in epochs),
        events.TrialEnded("coarse", number, SGD, history, number + 1),
    ]


@pytest.mark.parametrize(
    ("metric", "before", "scores", "outcome", "so_far", "row", "ranked"),
    [
        (
            *("accuracy", {}, (None,), "val accuracy 0.7500 (1.00 s)", "0.7500"),
            *("1/9 0.7500 0.7500", "SGD 0.7500"),
        ),
        (
            *("macro_f1", {}, (0.6, 0.5)),
            *("val macro F1 0.6000 at epoch 1 of 2 (epochs, 1.00 s)", "0.6000"),
            *("2/9 0.5000 0.6000 █▁", "SGD 0.6000"),
        ),
        (
            *("auroc", {"Adam": 0.9}, (0.6,), "val AUROC 0.6000 (1.00 s)", "0.9000"),
            *("1/9 0.6000 0.6000", "Adam 0.9000 SGD 0.6000"),
        ),
        (
            *("log_loss", {"Adam": 0.8}, (-0.7, -0.9)),
            *("val log loss 0.7000 at epoch 1 of 2 (epochs, 1.00 s)", "0.7000"),
            *("2/9 0.9000 0.7000 █▁", "SGD 0.7000 Adam 0.8000"),
        ),
        (
            *("log_loss", {"SGD": 0.2}, (-0.9,), "val log loss 0.9000 (1.00 s)", "0.2000"),
            *("1/9 0.9000 0.9000", "SGD 0.2000"),
        ),
    ],
)
def test_lines_and_panel_show_the_metric(
    metric, before, scores, outcome, so_far, row, ranked, capsys
):
    lines, console = PlainLines(), Console(file=io.StringIO(), width=120)
    panel = LivePanel(console)
    for event in (events.StageStarted("coarse", 3, 0, before, metric), *trial(0, *scores)):
        lines(event)
        panel(event)
    assert f": {outcome}; best so far {so_far}\n" in capsys.readouterr().err
    for event in trial(1, *scores)[:-1]:
        panel(event)
    console.print(panel._panel())
    shown = [" ".join(line.split()) for line in console.file.getvalue().splitlines()]
    heading, of_trial, best = shown[-3:]
    assert heading == f"trial parameters epoch {outcome.partition(' 0.')[0]} best"
    assert of_trial == f"1 SGD, batch_size 8 {row}"
    assert best == f"best {ranked}"


def test_before_the_first_result_the_best_is_a_dash(capsys):
    lines = PlainLines()
    lines(events.StageStarted("coarse", 3, 0, {}, "log_loss"))
    lines(events.TrialEnded("coarse", 0, SGD, History((), "failed", "no memory", 1.0), 0))
    assert capsys.readouterr().err.endswith("failed: no memory; best so far –\n")


def test_what_is_extracted_within_a_stage_stands_below_its_results():
    console = Console(file=io.StringIO(), width=120)
    panel = LivePanel(console)

    def shown(event: events.Event) -> str:
        panel(event)
        before = len(console.file.getvalue())
        console.print(panel._live.renderable)
        return console.file.getvalue()[before:]

    extracting = events.Extracting(50, 200, 10.0)
    assert "stage coarse" not in shown(extracting), "no stage has begun"
    panel(events.StageStarted("coarse", 3, 0, {}, "accuracy"))
    for event in trial(0, None):
        panel(event)
    within = shown(extracting)
    assert within.index("SGD 0.7500") < within.index("50/200")
    assert "50/200" not in shown(events.FeaturesReady(200, 4, 20.0))
    panel(events.StageEnded("coarse", 3, 60.0, None))
    assert "stage coarse" not in shown(extracting)
