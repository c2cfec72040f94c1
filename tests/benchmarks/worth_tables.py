"""The tables of `worth.py`, in Markdown, from its rows.

python tests/benchmarks/worth_tables.py ROWS.jsonl
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import stdtrit

Row = dict[str, Any]
REFERENCE = "reference"
MARGIN = 0.03  # "more than 3 points below"


def read(path: Path) -> list[Row]:
    """Return the rows of a file, the last one of each measurement; none if there is no file."""
    if not path.is_file():
        return []
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
    return list({(row["set"], row["split"], row["method"]): row for row in rows}.values())


def tables(rows: Sequence[Row]) -> str:
    """Return all tables."""
    parts = [by_set(rows), pairs(rows), intervals(rows), promises(rows), seconds(rows)]
    return "\n\n".join(part for part in parts if part)


def by_set(rows: Sequence[Row]) -> str:
    """Return test accuracy and log loss, means over the splits that a method has."""

    def cell(chosen: list[Row]) -> str:
        if not chosen:
            return "–"
        means = [np.mean([row[key] for row in chosen]) for key in ("accuracy", "log_loss")]
        return f"{means[0]:.4f} / {means[1]:.3f} ({len(chosen)})"

    return _methods_by_sets("test accuracy / log loss (splits)", rows, cell)


def seconds(rows: Sequence[Row]) -> str:
    """Return seconds, means over splits."""

    def cell(chosen: list[Row]) -> str:
        return f"{np.mean([row['seconds'] for row in chosen]):.1f}" if chosen else "–"

    return _methods_by_sets("seconds", rows, cell)


def pairs(rows: Sequence[Row]) -> str:
    """Return for each two methods on how many splits which one is better."""
    lines = []
    for one, other in combinations(_methods(rows), 2):
        paired = _paired(rows, one, other)
        if not paired:
            continue
        points = np.array([b["accuracy"] - a["accuracy"] for a, b in paired])
        ratios = np.array([b["log_loss"] / a["log_loss"] for a, b in paired])
        lines.append(
            [
                f"{other} against {one}",
                f"{(points > 0).sum()} / {(points < 0).sum()} of {len(points)}",
                f"{100 * points.mean():+.2f}",
                f"{(ratios < 1).sum()} of {len(ratios)}",
                f"{ratios.mean():.3f}",
            ]
        )
    heads = ["", "accuracy better / worse", "points", "log loss better", "mean ratio"]
    return _markdown(heads, lines)


def intervals(rows: Sequence[Row]) -> str:
    """Return mean differences with 95 % intervals that respect overlapping splits.

    Random splits of one pool share images, so the variance of their mean is 1/k + test/trained
    times that of one (Nadeau and Bengio, Machine Learning 52, 2003), not 1/k.
    """
    lines = []
    sets = _sets(rows)
    for one, other in combinations(_methods(rows), 2):
        cells = [_interval(_paired([r for r in rows if r["set"] == s], one, other)) for s in sets]
        if any(cell != "–" for cell in cells):
            lines.append([f"{other} − {one}", *cells])
    return _markdown(["points of accuracy, 95 % interval", *sets], lines)


def promises(rows: Sequence[Row]) -> str:
    """Return how the promised accuracy compares with the one found."""
    lines = []
    for method in _methods(rows):
        chosen = [r for r in rows if r["method"] == method and r.get("promised") is not None]
        if not chosen:
            continue
        above = np.array([row["promised"] - row["accuracy"] for row in chosen])
        known = [row for row in chosen if row.get("promised_low") is not None]
        inside = sum(r["promised_low"] <= r["accuracy"] <= r["promised_high"] for r in known)
        below = sum(row["accuracy"] < row["promised_low"] - MARGIN for row in known)
        lines.append(
            [
                method,
                f"{100 * above.mean():+.2f}",
                f"{100 * above.max():+.2f}",
                f"{inside} of {len(known)}",
                f"{below} of {len(known)}",
            ]
        )
    heads = ["promised − found", "mean points", "most", "found inside the interval"]
    return _markdown([*heads, f"more than {100 * MARGIN:.0f} points below it"], lines)


def _interval(paired: list[tuple[Row, Row]]) -> str:
    if len(paired) < 2:
        return "–"
    points = np.array([100 * (b["accuracy"] - a["accuracy"]) for a, b in paired])
    train, validation, test = paired[0][0]["sizes"]
    share = 1 / len(points) + test / (train + validation)
    half = stdtrit(len(points) - 1, 0.975) * math.sqrt(share * points.var(ddof=1))
    return f"{points.mean():+.2f}, {points.mean() - half:+.2f} to {points.mean() + half:+.2f}"


def _paired(rows: Sequence[Row], one: str, other: str) -> list[tuple[Row, Row]]:
    found = {(row["set"], row["split"], row["method"]): row for row in rows}
    places = dict.fromkeys((row["set"], row["split"]) for row in rows)
    return [
        (found[*place, one], found[*place, other])
        for place in places
        if (*place, one) in found and (*place, other) in found
    ]


def _methods(rows: Sequence[Row]) -> list[str]:
    return sorted({row["method"]: None for row in rows}, key=lambda name: name != REFERENCE)


def _sets(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row["set"] for row in rows))


def _methods_by_sets(title: str, rows: Sequence[Row], cell: Any) -> str:
    sets = _sets(rows)
    lines = []
    for method in _methods(rows):
        own = [row for row in rows if row["method"] == method]
        lines.append([method, *(cell([row for row in own if row["set"] == s]) for s in sets)])
    return _markdown([title, *sets], lines)


def _markdown(heads: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    lines = list(lines)
    if not lines:
        return ""
    table = [heads, ["---"] + ["---:"] * (len(heads) - 1), *lines]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in table)


if __name__ == "__main__":
    print(tables(read(Path(sys.argv[1]))))
