"""Retrained trials beside one another: what a later stage was worth, with intervals.

A new column of this table is an entry in `PAIR_COLUMNS`.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from automl_cv.catalog.metrics import MetricEntry
from automl_cv.registry import Table
from automl_cv.report.columns import Column, accuracy, ends
from automl_cv.report.document import Report, grid_of, title_of
from automl_cv.report.verdict import next_command
from automl_cv.results.comparison import Pair
from automl_cv.results.leaderboard import RunTrials
from automl_cv.results.pairs import pairs_frame, pairs_of
from automl_cv.words import printable, signed

NOTHING = (
    "nothing to compare: it takes a stage that trains two trials again (retrain = { stages = …, "
    "top = 2, repeats = 5 }), or two stages that retrain, both over seeds or over the same folds"
)


def question(name: str, frame: pd.DataFrame, pairs: Sequence[Pair]) -> list[str]:
    """Return what each pair is about: "augmented against finalists"."""
    return [_question(pair) for pair in pairs]


def trials(name: str, frame: pd.DataFrame, pairs: Sequence[Pair]) -> list[str]:
    """Return which trial, or which two: "narrowed/2 against coarse/3"."""
    found = []
    for pair in pairs:
        sides = list(dict.fromkeys([pair.left.source, pair.right.source]))
        found.append(" against ".join(sides))
    return found


def interval(name: str, frame: pd.DataFrame, pairs: Sequence[Pair]) -> list[str | None]:
    """Return the interval of each difference as one text; over images where one repeat has none."""
    over_repeats = ends(frame["difference_low"], frame["difference_high"], signed, " to ")
    over_images = ends(frame["images_low"], frame["images_high"], signed, " to ")
    return [
        f"{images} over images" if repeats is None and images is not None else repeats
        for repeats, images in zip(over_repeats, over_images, strict=True)
    ]


def repeats(name: str, frame: pd.DataFrame, pairs: Sequence[Pair]) -> list[str]:
    """Return what the means are over, and whether one by one: "5 seeds, paired"."""
    found = []
    for pair in pairs:
        numbers = sorted({pair.left.n_repeats, pair.right.n_repeats})
        unit = pair.over.removesuffix("s") if numbers == [1] else pair.over
        pairing = "unpaired" if pair.method == "Welch" else "paired"
        found.append(f"{' and '.join(map(str, numbers))} {unit}, {pairing}")
    return found


def both(name: str, frame: pd.DataFrame, pairs: Sequence[Pair]) -> list[str]:
    """Return a figure of both sides: "0.9383 / 0.9350"; `name` is "val_loss_of_both"."""
    own = name.removesuffix("_of_both")
    sides = zip(frame[own], frame[f"against_{own}"], strict=True)
    return [f"{accuracy(left)} / {accuracy(right)}" for left, right in sides]


HERE = "automl_cv.report.comparison"

PAIR_COLUMNS: Table[Column] = Table(
    "column of pairs",
    [
        Column(
            name="question",
            about="what is compared with what",
            heading="compared",
            target=f"{HERE}:question",
            align="left",
            folds=True,
            in_data=False,
        ),
        Column(
            name="trials",
            about="the trial, or the two trials, that were trained again",
            heading="trial",
            target=f"{HERE}:trials",
            align="left",
            folds=True,
            in_data=False,
        ),
        Column(
            name="val_accuracy_of_both",
            about="mean share of validation images classified right, of one and of the other",
            heading="val acc",
            target=f"{HERE}:both",
            folds=True,
            in_data=False,
        ),
        Column(
            name="val_loss_of_both",
            about="mean cross-entropy on validation images, of one and of the other",
            heading="val loss",
            target=f"{HERE}:both",
            drop=2,
            folds=True,
            in_data=False,
        ),
        Column(
            name="difference",
            about="of the validation accuracies, or of the study's metric",
            heading="difference",
            format=signed,
        ),
        Column(
            name="interval",
            about="95 % interval of the difference",
            heading="95\N{NO-BREAK SPACE}%",
            target=f"{HERE}:interval",
            folds=True,
            in_data=False,
        ),
        Column(
            name="repeated",
            about="what the means are over, and whether repeats were compared one by one",
            heading="over",
            target=f"{HERE}:repeats",
            align="left",
            drop=1,
            folds=True,
            in_data=False,
        ),
        Column(
            name="verdict",
            about="better, worse, or neither at 95 % confidence; one repeat is not judged",
            heading="verdict",
            align="left",
            folds=True,
        ),
    ],
)


def compose_comparison(read: RunTrials, *, stage: str | None = None) -> Report:
    """Put a report together that compares retrained trials.

    Args:
        read: all trials of a run.
        stage: only pairs in which this stage has a part; None for all.

    Raises:
        UserError: there is no such stage.
    """
    pairs = pairs_of(read, stage)
    metric = read.facts.metric
    frame = pairs_frame(pairs, metric)
    own = [column for column in PAIR_COLUMNS if column.in_data and column.name not in frame]
    frame = frame.assign(**{one.name: one.load()(one.name, frame, pairs) for one in own})
    shown = [column for column in PAIR_COLUMNS if column.drop is not None]
    if metric.has_own_column:
        shown.insert(2, _both_column(metric))
    return Report(
        title=f"{title_of(read, stage)} · retrained trials compared",
        warnings=tuple(map(printable, read.facts.warnings)),
        table=grid_of(shown, frame, pairs),
        footnotes=tuple(_footnotes(pairs, metric)),
        sections=(),
        notes=(),
        frames={"comparisons": frame},
        facts=read.facts,
        run=read.run.name,
        heading="Trials trained again, compared",
        command=next_command(read),
    )


def _both_column(metric: MetricEntry) -> Column:
    """Return the column of a metric that is not accuracy."""
    return Column(
        name=f"{metric.name}_of_both",
        about=f"mean {metric.about} on validation images, of one and of the other",
        heading=metric.heading,
        target=f"{HERE}:both",
        folds=True,
        in_data=False,
    )


def _question(pair: Pair) -> str:
    left, right = pair.left, pair.right
    match pair.kind:
        case "sources":
            return f"{_stage_of(left.source)} against {_stage_of(right.source)} in {left.stage}"
        case "places":
            return f"first against second in {left.stage}"
    heads = f": head {left.head} against {right.head}" if left.head != right.head else ""
    return f"{left.stage} against {right.stage}{heads}"


def _stage_of(source: str) -> str:
    return source.rpartition("/")[0]


def _footnotes(pairs: Sequence[Pair], metric: MetricEntry) -> list[str]:
    if not pairs:
        return [NOTHING]
    lines = [
        "figures are means over the repeats at their best epochs, of one / the other; a verdict "
        "is 95 % sure at most, and each row has a chance of its own to be wrong"
    ]
    if metric.has_own_column:
        better = "more" if metric.direction == "maximize" else "less"
        lines.append(f"differences and verdicts are of {metric.about}; {better} is better")
    methods = {pair.method for pair in pairs}
    if "paired t" in methods:
        lines.append(
            "paired over seeds: the same trial, split and seeds, Student's t; the first seed is "
            "the one that the trial was chosen by"
        )
    if "Welch" in methods:
        lines.append("unpaired: two trials have no seed in common, Welch's t (1947)")
    if any(pair.over_images for pair in pairs):
        lines.append(
            "one repeat is not judged: another may lie anywhere; its interval over images, "
            "Newcombe's (1998), is of these very trainings on other images; paired where both kept "
            "what they said of each, else if anything too wide, as both saw the same"
        )
    if any(pair.over == "seeds" and pair.difference.n_repeats > 1 for pair in pairs):
        lines.append(
            "over seeds an interval speaks of training on this split; another split may decide "
            "otherwise"
        )
    if "paired t, Nadeau-Bengio" in methods:
        lines.append(
            "paired over folds: the same images in each fold, Student's t with the correction of "
            "Nadeau and Bengio (2003); it speaks of images as well"
        )
    return lines
