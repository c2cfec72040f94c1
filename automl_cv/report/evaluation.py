"""An evaluation as tables, Markdown, JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from automl_cv.catalog.metrics import METRICS
from automl_cv.report.columns import MISSING, Column
from automl_cv.report.document import Document, Grid, Section, free_text
from automl_cv.report.markdown import as_markdown
from automl_cv.report.terminal import off_terminal
from automl_cv.saved.evaluation import ALL, Evaluation
from automl_cv.saved.looks import Look
from automl_cv.scoring import BINS, CONFIDENCE, Measured
from automl_cv.words import counted, listed, printable

WRONG_LISTED = 10  # of the most confidently wrong images, in the tables
MATRIX_WIDTH = 100  # characters; a wider confusion matrix gives way to its largest entries
CONFUSIONS = 12  # that many
MOST_COLUMNS = 100  # classes; a table of the probabilities of more is mostly zeros
TOP = 10  # classes of each image that it then keeps


def to_text(evaluation: Evaluation) -> str:
    """Return tables as text without colours, each line ended."""
    return off_terminal(compose(evaluation))


def to_markdown(evaluation: Evaluation) -> str:
    """Return tables as Markdown, each line ended."""
    return as_markdown(compose(evaluation))


def to_json(evaluation: Evaluation) -> str:
    """Return what was measured as strict JSON, in full precision."""
    scores = evaluation.scores
    first = evaluation.looks[0]
    content = {
        "model": evaluation.model,
        "source": evaluation.source,
        "part": evaluation.part,
        "images": len(evaluation.labels),
        "fingerprint": evaluation.fingerprint,
        "skipped": [asdict(one) for one in evaluation.skipped],
        "warnings": evaluation.warnings,
        "notes": evaluation.notes,
        "look": {
            "number": len(evaluation.looks),
            "recorded": evaluation.recorded,
            "first": first.model_dump(mode="json"),
        },
        "metrics": {
            name: None if one is None else asdict(one) for name, one in scores.metrics.items()
        },
        "wilson": {"confidence": CONFIDENCE, "of": _shares(scores.metrics)},
        "bootstrap": {
            "confidence": CONFIDENCE,
            "of": [name for name in scores.metrics if not METRICS[name].is_share_of_images],
            "resamples": scores.resamples,
            "seed": scores.seed,
            "drawn": "images of each class with replacement, as many as there are",
        },
        "calibration": {
            "expected_calibration_error": scores.calibration_error,
            "bins": [asdict(one) for one in scores.bins],
        },
        "classes": [
            {"class": name, **asdict(one)}
            for name, one in zip(evaluation.classes, scores.classes, strict=True)
        ],
        "confusion": scores.confusion.tolist(),
        "wrong": [
            {
                "path": evaluation.paths[row],
                "class": evaluation.true(row),
                "predicted": evaluation.predicted(row),
                "probability": evaluation.confidence(row),
            }
            for row in evaluation.worst
        ],
    }
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def predictions_csv(evaluation: Evaluation) -> str:
    """Return a row an image: path, its class, the predicted one, a probability for each class.

    Of more than MOST_COLUMNS classes the true one's, and those of the TOP most probable.
    """
    if len(evaluation.classes) > MOST_COLUMNS:
        return _top_csv(evaluation)
    rows = (
        (path, evaluation.true(row), evaluation.predicted(row), *values.tolist())
        for row, (path, values) in enumerate(
            zip(evaluation.paths, evaluation.probabilities, strict=True)
        )
    )
    titles = (f"probability of {name}" for name in evaluation.classes)
    return _csv([("path", "class", "predicted", *titles), *rows])


def _top_csv(evaluation: Evaluation) -> str:
    """Return the most probable classes of each image, and how probable the true one is."""
    titles = [f"{what} {place}" for place in range(1, TOP + 1) for what in ("class", "probability")]
    rows: list[Sequence[object]] = [
        ("path", "class", "predicted", "probability of class", *titles),
    ]
    for row, path in enumerate(evaluation.paths):
        values = evaluation.probabilities[row]
        # Of equal probabilities the class that comes first counts, as in argmax.
        order = np.argsort(-values, kind="stable")[:TOP]
        pairs = [(evaluation.classes[place], values[place].item()) for place in order]
        rows.append(
            (
                path,
                evaluation.true(row),
                evaluation.predicted(row),
                values[evaluation.labels[row]].item(),
                *(cell for pair in pairs for cell in pair),
            )
        )
    return _csv(rows)


def confusion_csv(evaluation: Evaluation) -> str:
    """Return images by true class (rows) and predicted class (columns)."""
    rows = zip(evaluation.classes, evaluation.scores.confusion.tolist(), strict=True)
    return _csv([("true class", *evaluation.classes), *((name, *row) for name, row in rows)])


def look_line(evaluation: Evaluation) -> str:
    """Return which look this is: "look 3 by this folder's models at this test split; the first …".

    Looks by models in other folders are not known here, so the line doesn't claim to count them.
    """
    images = "these images" if evaluation.part == ALL else "this test split"
    number, first = len(evaluation.looks), evaluation.looks[0]
    which = "first look" if number == 1 else f"look {number:,}"
    line = f"{which} by this folder's models at {images}"
    if number > 1:
        line += f"; the first, on {first.time:%Y-%m-%d %H:%M} UTC, gave {_accuracy(first)}"
        networks = {look.network for look in evaluation.looks}
        if len(networks) > 1:
            line += f"; by {len(networks):,} models, fitted one after the other"
    return line if evaluation.recorded else f"{line}; it could not be recorded in the folder"


def compose(evaluation: Evaluation) -> Document:
    """Return an evaluation as texts."""
    scores = evaluation.scores
    figures = Grid(
        (_text("metric"), _number("value"), _number("95 % interval")),
        tuple(
            (METRICS[name].about, *((MISSING, MISSING) if one is None else _figures(one)))
            for name, one in scores.metrics.items()
        ),
    )
    shares = listed([METRICS[name].about for name in _shares(scores.metrics)])
    unvaried = any(one is not None and one.low is None for one in scores.metrics.values())
    footnotes = (
        f"intervals: of the {shares} Wilson's, as in the leaderboard; of the others percentiles of "
        f"{scores.resamples:,} bootstrap resamples of the images within their classes, seed "
        f"{scores.seed}",
        *([f"{MISSING}: no interval, as no resample varies the figure"] if unvaried else []),
        f"expected calibration error {scores.calibration_error:.4f} over {BINS} bins of equal "
        "width of the confidence",
        look_line(evaluation),
    )
    notes = [*map(printable, evaluation.notes)]
    if evaluation.skipped:
        named = [f"{one.path} ({one.reason})" for one in evaluation.skipped[:3]]
        more = len(evaluation.skipped) - len(named)
        notes.append(
            printable(
                f"{counted(len(evaluation.skipped), 'file')} of {evaluation.source} left out: "
                f"{', '.join(named)}{f' and {more:,} more' if more else ''}"
            )
        )
    return Document(
        title=printable(evaluation.about),
        warnings=tuple(map(printable, evaluation.warnings)),
        table=figures,
        footnotes=footnotes,
        sections=(
            Section("classes", _classes(evaluation)),
            _confusion(evaluation),
            Section("calibration", _calibration(evaluation)),
            _wrong(evaluation),
        ),
        notes=tuple(notes),
    )


def _classes(evaluation: Evaluation) -> Grid:
    columns = ("precision", "recall", "F1", "images", "predicted")
    return Grid(
        (_text("class"), *map(_number, columns)),
        tuple(
            (
                printable(name),
                *(
                    MISSING if value is None else f"{value:.4f}"
                    for value in (one.precision, one.recall, one.f1)
                ),
                f"{one.images:,}",
                f"{one.predicted:,}",
            )
            for name, one in zip(evaluation.classes, evaluation.scores.classes, strict=True)
        ),
    )


def _confusion(evaluation: Evaluation) -> Section:
    confusion = evaluation.scores.confusion
    names = [printable(name) for name in evaluation.classes]
    cells = [f"{value:,}" for value in confusion.ravel().tolist()]
    widest = max(map(len, cells))
    if max(map(len, names)) + sum(2 + max(len(name), widest) for name in names) <= MATRIX_WIDTH:
        rows = (
            (name, *(f"{value:,}" if value else "." for value in row))
            for name, row in zip(names, confusion.tolist(), strict=True)
        )
        grid = Grid((_text("true"), *map(_number, names)), tuple(rows))
        return Section("confusion matrix: true classes down, predicted across", grid)
    off = np.where(np.eye(len(names), dtype=bool), 0, confusion).ravel()
    order = [int(place) for place in np.argsort(-off, kind="stable")[:CONFUSIONS] if off[place]]
    largest = (
        (names[place // len(names)], names[place % len(names)], f"{off[place]:,}")
        for place in order
    )
    grid = Grid((_text("true"), _text("predicted"), _number("images")), tuple(largest))
    return Section("most frequent confusions; --out has the whole matrix", grid)


def _calibration(evaluation: Evaluation) -> Grid:
    columns = ("images", "mean confidence", "accuracy")
    return Grid(
        (_text("confidence"), *map(_number, columns)),
        tuple(
            (
                f"{one.low:.3f} to {one.high:.3f}",
                f"{one.images:,}",
                f"{one.probability:.4f}",
                f"{one.accuracy:.4f}",
            )
            for one in evaluation.scores.bins
            if one.images
        ),
    )


def _wrong(evaluation: Evaluation) -> Section:
    rows = evaluation.worst[:WRONG_LISTED]
    n_wrong = evaluation.n_wrong
    grid = Grid(
        (
            _text("true"),
            _text("predicted"),
            _number("probability"),
            free_text("file", "the image"),
        ),
        tuple(
            (
                printable(evaluation.true(row)),
                printable(evaluation.predicted(row)),
                f"{evaluation.confidence(row):.4f}",
                printable(evaluation.names[row]),
            )
            for row in rows
        ),
    )
    if n_wrong == 1:
        return Section("the one wrong image", grid)
    shown = f"first {len(rows)} of {n_wrong:,}" if n_wrong > len(rows) else f"all {n_wrong:,}"
    return Section(f"most confidently wrong, {shown}", grid)


def _shares(names: Iterable[str]) -> list[str]:
    """Return the metrics that are shares of images."""
    return [name for name in names if METRICS[name].is_share_of_images]


def _figures(one: Measured) -> tuple[str, str]:
    interval = MISSING if one.low is None else f"{one.low:.4f}–{one.high:.4f}"
    return f"{one.value:.4f}", interval


def _accuracy(look: Look) -> str:
    accuracy = look.metrics.get("accuracy")
    return "no accuracy" if accuracy is None else f"{accuracy.value:.4f}"


def _text(heading: str) -> Column:
    return Column(name=heading, about=heading, heading=heading, align="left")


def _number(heading: str) -> Column:
    return Column(name=heading, about=heading, heading=heading)


def _csv(rows: Iterable[Iterable[Any]]) -> str:
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(rows)
    return file.getvalue()


FILES: dict[str, Callable[[Evaluation], str]] = {
    "metrics.json": to_json,
    "predictions.csv": predictions_csv,
    "confusion.csv": confusion_csv,
}
"""What `evaluate --out` writes beside the plots, by the file's name."""


def plots(evaluation: Evaluation) -> dict[str, bytes]:
    """Return the plots that `evaluate --out` writes as PNG files, by the file's name."""
    from automl_cv.report.page.plot import as_png
    from automl_cv.report.page.scored import calibration, confusion

    drawn = {
        "confusion.png": confusion(
            [printable(one) for one in evaluation.classes], evaluation.scores
        ),
        "reliability.png": calibration(evaluation.scores),
    }
    return {
        name: as_png(plot, heading=(plot.told, printable(evaluation.about), plot.note))
        for name, plot in drawn.items()
    }
