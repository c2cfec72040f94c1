"""The columns of a leaderboard: the only list of them. A new column is an entry here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from automl_cv.registry import Entry, Table
from automl_cv.words import sparkline

if TYPE_CHECKING:
    import pandas as pd

    from automl_cv.store.records import TrialRecord

MISSING = "–"
TIE = "≈"


def text(value: Any) -> str:
    """Write a value as it is, a number with up to four significant digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def accuracy(value: float) -> str:
    """Write a share of images with four decimals: 0.9342."""
    return f"{value:.4f}"


def seconds(value: float) -> str:
    """Write a time in seconds with one decimal: 0.3."""
    return f"{value:.1f}"


def stored(name: str, board: pd.DataFrame, records: Sequence[TrialRecord]) -> Any:
    """Return the column that the leaderboard itself has under this name."""
    return board[name]


def tie(name: str, board: pd.DataFrame, records: Sequence[TrialRecord]) -> list[str]:
    """Return a sign for each trial that can't be told apart from the first."""
    tied = board["tied_with_first"].fillna(False)
    return [
        TIE if same and rank > 1 else "" for same, rank in zip(tied, board["rank"], strict=True)
    ]


def repeats(name: str, board: pd.DataFrame, records: Sequence[TrialRecord]) -> list[int | None]:
    """Return how many trainings a row is the mean of, where that is more than the trial's own."""
    again = ("source" in record.parameters for record in records)
    return [int(n) if is_again else None for n, is_again in zip(board[name], again, strict=True)]


def curve(name: str, board: pd.DataFrame, records: Sequence[TrialRecord]) -> list[str | None]:
    """Return each trial's curve in a few signs; None where it is of one epoch, or a mean."""
    return [sparkline([one.merit for one in record.history.epochs]) or None for record in records]


def interval(name: str, board: pd.DataFrame, records: Sequence[TrialRecord]) -> list[str | None]:
    """Return the interval of each validation accuracy as one text: "0.915–0.949"."""
    return ends(board["val_accuracy_low"], board["val_accuracy_high"], "{:.3f}".format, "–")


def ends(
    lows: Iterable[float], highs: Iterable[float], form: Callable[[float], str], dash: str
) -> list[str | None]:
    """Return intervals as texts, None where one is missing.

    Args:
        lows: lower ends, NaN where there is none.
        highs: upper ends.
        form: writes an end.
        dash: what stands between the ends.
    """
    return [
        f"{form(low)}{dash}{form(high)}" if low == low else None
        for low, high in zip(lows, highs, strict=True)
    ]


@dataclass(frozen=True, kw_only=True)
class Column(Entry):
    """One column.

    Args:
        heading: what stands above it in a table for people.
        target: function (name, leaderboard, records) -> values, one for each trial; by
            default the leaderboard's own column. The leaderboard is the DataFrame of
            `automl_cv.leaderboard`, the records are the same trials in the same order.
        format: writes a value that is not missing.
        align: side on which cells are flush.
        largest_first: whether `--sort` begins with the largest value.
        drop: a table that is too wide loses the columns of the highest number first, of equal
            ones the last, those of 0 never. None: never shown in a table for people.
        folds: whether long cells take several lines where the table is too wide.
        in_data: whether CSV, JSON and Parquet have it.
        is_extra: whether it is not missed where it does not fit.
    """

    heading: str
    target: str = "automl_cv.report.columns:stored"
    format: Callable[[Any], str] = text
    align: Literal["left", "right"] = "right"
    largest_first: bool = False
    drop: int | None = 0
    folds: bool = False
    in_data: bool = True
    is_extra: bool = False

    def cell(self, value: Any) -> str:
        """Write one value, or a dash where it is missing."""
        return MISSING if value is None else self.format(value)


def of_parameter(name: str) -> Column:
    """Return the column of a searched parameter that has no entry of its own."""
    if name == "members":  # a line below says it, with the weights: it would be the widest cell
        return Column(name=name, about="trials combined", heading=name, align="left", drop=None)
    if name == "source":
        about = "the trial that was trained again"
        return Column(name=name, about=about, heading="of trial", align="left", drop=1)
    if name == "exact":  # of heads in steps the optimizer says what they are, which always stays
        return Column(name=name, about="solved head", heading=name, align="left", drop=1)
    return Column(name=name, about="searched parameter", heading=name.replace("_", " "), drop=2)


COLUMNS: Table[Column] = Table(
    "column",
    [
        Column(
            name="rank", about="place by validation accuracy, or by the study's metric", heading="#"
        ),
        Column(
            name="tie",
            about="whether chance explains the distance to the first",
            heading="",
            target="automl_cv.report.columns:tie",
            align="left",
            in_data=False,
        ),
        Column(name="stage", about="stage of the study", heading="stage", align="left"),
        Column(name="trial", about="slot within the stage, from 0", heading="trial"),
        Column(name="model", about="frozen network", heading="model", align="left", drop=9),
        Column(
            name="repeats",
            about="trainings that the figures are means of, where a trial was trained again",
            heading="repeats",
            target="automl_cv.report.columns:repeats",
            drop=1,
        ),
        Column(name="batch_size", about="images a step", heading="batch"),
        Column(name="optimizer", about="Keras class", heading="optimizer", align="left"),
        Column(name="learning_rate", about="initial rate", heading="learning rate"),
        Column(name="momentum", about="where the optimizer has one", heading="momentum", drop=2),
        Column(name="epochs", about="passes over the training images", heading="epochs", drop=3),
        Column(
            name="best_epoch",
            about="epoch of the best validation accuracy or metric; all figures are of it",
            heading="best epoch",
            drop=7,
        ),
        Column(
            name="curve",
            about="what trials are ranked by, epoch by epoch, from its lowest to its highest",
            heading="curve",
            target="automl_cv.report.columns:curve",
            align="left",
            drop=10,
            in_data=False,
            is_extra=True,
        ),
        Column(
            name="accuracy",
            about="share of training images classified right",
            heading="train acc",
            format=accuracy,
            largest_first=True,
            drop=4,
        ),
        Column(
            name="val_accuracy",
            about="share of validation images classified right",
            heading="val acc",
            format=accuracy,
            largest_first=True,
        ),
        Column(
            name="val_accuracy_low",
            about="lower end of its 95 % interval (Wilson)",
            heading="val acc low",
            format=accuracy,
            largest_first=True,
            drop=None,
        ),
        Column(
            name="val_accuracy_high",
            about="upper end of its 95 % interval (Wilson)",
            heading="val acc high",
            format=accuracy,
            largest_first=True,
            drop=None,
        ),
        Column(
            name="interval",
            about="95 % interval of the validation accuracy (Wilson)",
            heading="95\N{NO-BREAK SPACE}%",
            target="automl_cv.report.columns:interval",
            drop=1,
            in_data=False,
        ),
        Column(name="loss", about="cross-entropy on training images", heading="train loss", drop=5),
        Column(
            name="val_loss", about="cross-entropy on validation images", heading="val loss", drop=1
        ),
        Column(
            name="tied_with_first",
            about="whether chance explains the distance to the first",
            heading="tied",
            largest_first=True,
            drop=None,
        ),
        Column(
            name="stop_reason", about="why it ended", heading="stopped by", align="left", drop=6
        ),
        Column(name="seconds", about="time of the trial", heading="s", format=seconds, drop=8),
        Column(name="state", about="complete or pruned", heading="state", align="left", drop=9),
    ],
)
