"""Backbones that a stage searched: how good each is on these images, and what it costs.

A new column of this table is an entry in `BACKBONE_COLUMNS`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from automl_cv.catalog.metrics import MetricEntry
from automl_cv.registry import Table
from automl_cv.report import columns
from automl_cv.report.columns import COLUMNS, TIE, Column
from automl_cv.report.document import Grid, Report, grid_of, title_of
from automl_cv.results.backbones import Raced, raced, raced_frame
from automl_cv.results.leaderboard import RunTrials
from automl_cv.words import counted, printable

HERE = "automl_cv.report.backbones"


def tie(name: str, frame: pd.DataFrame, found: Sequence[Raced]) -> list[str]:
    """Return a sign for each row that can't be told apart from the first of its stage."""
    is_first = ~frame.duplicated("stage")
    tied = frame["tied_with_first"].fillna(False)
    return [TIE if same and not own else "" for same, own in zip(tied, is_first, strict=True)]


def kept(name: str, frame: pd.DataFrame, found: Sequence[Raced]) -> list[str]:
    """Return a word for each row that a stage below goes on with."""
    return ["yes" if one else "" for one in frame["kept"]]


def licence(name: str, frame: pd.DataFrame, found: Sequence[Raced]) -> list[str]:
    """Return the licence of the weights; those of a user's file are the user's to know."""
    return [one.cost.licence or "yours" for one in found]


def _tenths(value: float) -> str:
    return f"{value:.1f}"


BACKBONE_COLUMNS: Table[Column] = Table(
    "column of backbones",
    [
        COLUMNS["stage"],
        Column(name="backbone", about="frozen network", heading="backbone", align="left"),
        Column(name="image_size", about="height and width of its images", heading="pixels"),
        Column(
            name="features",
            about="blocks that its best trial learned from",
            heading="blocks",
            align="left",
            drop=3,
        ),
        COLUMNS["val_accuracy"],
        Column(
            name="tie",
            about="whether chance explains the distance to the first of its stage",
            heading="",
            target=f"{HERE}:tie",
            align="left",
            in_data=False,
        ),
        COLUMNS["interval"],
        COLUMNS["val_loss"],
        Column(
            name="milliseconds",
            about="an image takes, when it was extracted here",
            heading="ms an image",
            format=_tenths,
        ),
        Column(name="megabytes", about="file of weights", heading="MB", format=_tenths, drop=2),
        Column(
            name="licence",
            about="of the weights",
            heading="licence",
            target=f"{HERE}:licence",
            align="left",
            drop=4,
        ),
        Column(name="extracted", about="images that passed it", heading="images", drop=5),
        Column(
            name="seconds",
            about="extraction for this stage, and its trials",
            heading="seconds",
            format=columns.seconds,
            drop=1,
        ),
        Column(
            name="kept",
            about="whether a stage below goes on with it",
            heading="kept",
            target=f"{HERE}:kept",
            align="left",
        ),
    ],
)


def compose_backbones(read: RunTrials, *, stage: str | None = None) -> Report:
    """Put a report together on the backbones and image sizes that stages searched.

    Args:
        read: trials of a run, or of one of its stages.
        stage: the one stage that was read; None for all.
    """
    found = {name: own for name, own in raced(read).items() if own}
    frame = raced_frame(found)
    rows = [one for own in found.values() for one in own]
    if rows:
        own = [column for column in BACKBONE_COLUMNS if column.in_data and column.name not in frame]
        frame = frame.assign(**{one.name: one.load()(one.name, frame, rows) for one in own})
    return Report(
        title=f"{title_of(read, stage)} · backbones",
        warnings=tuple(map(printable, read.facts.warnings)),
        table=board(found, frame),
        footnotes=tuple(map(printable, footnotes(found, read.facts.metric))),
        sections=(),
        notes=(),
        frames={"backbones": frame},
        facts=read.facts,
        run=read.run.name,
        heading="Backbones",
    )


def board(found: Mapping[str, Sequence[Raced]], frame: pd.DataFrame) -> Grid:
    """Return the table for people."""
    rows = [one for own in found.values() for one in own]
    return grid_of(BACKBONE_COLUMNS, frame, rows) if rows else Grid((), ())


def footnotes(found: Mapping[str, Sequence[Raced]], metric: MetricEntry) -> list[str]:
    """Say what the figures are of, and in which order they stand."""
    if not found:
        return ["no stage of this study has searched a backbone, an image size or its blocks"]
    lines = [
        f"stage {name}: the best trial of each backbone and image size, on "
        f"{counted(own[0].n_images, 'image')} that validate"
        for name, own in found.items()
        if own[0].n_images
    ]
    if metric.has_own_column:
        lines.append(f"they stand in the order of their {metric.about}")
    return [
        *lines,
        f"{COLUMNS['interval'].heading}: interval of val acc over these images (Wilson 1927); "
        f"{TIE} can't be told apart from the first of its stage (Newcombe 1998)",
        "ms an image: decoding and the backbone, all cores together, as measured when most of "
        "these features were extracted",
        "seconds: of the extraction for this stage, 0 of images that were cached, and of its "
        "trials",
    ]
