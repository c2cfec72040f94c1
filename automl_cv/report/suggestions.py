"""Suggestions of what to label next: a table for people, a manifest to fill in."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple


class Row(NamedTuple):
    """A line of the manifest.

    Args:
        path: absolute.
        label: its class; empty for one that is to be filled in.
        split: empty where the labelled images have no splits.
        group: empty for none.
        why: why a label is wanted; empty for one that has it.
    """

    path: str
    label: str = ""
    split: str = ""
    group: str = ""
    why: str = ""


def as_manifest(rows: Sequence[Row], folder: Path) -> str:
    """Return a manifest as CSV: path, label, split and group where there are any, why.

    Args:
        rows: in their order.
        folder: where it will lie; paths below it are relative to it, others absolute.
    """
    columns = [
        name
        for name in Row._fields
        if name not in ("split", "group") or any(getattr(row, name) for row in rows)
    ]
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(columns)
    for row in rows:
        own = row._replace(path=_relative(row.path, folder))
        lines.writerow([getattr(own, name) for name in columns])
    return text.getvalue()


def as_table(rows: Sequence[Row], folder: Path) -> str:
    """Return lines of number, path and why.

    Args:
        rows: the suggested ones, the best first.
        folder: that paths are shown from.
    """
    paths = [_relative(row.path, folder) for row in rows]
    width = max(map(len, ("file", *paths)))
    lines = [f"{'':>4}  {'file':<{width}}  why"]
    lines += [
        f"{number:>4}  {path:<{width}}  {row.why}"
        for number, (path, row) in enumerate(zip(paths, rows, strict=True), start=1)
    ]
    return "\n".join(lines) + "\n"


def _relative(path: str, folder: Path) -> str:
    one, here = Path(path), Path(os.path.abspath(folder))
    return (one.relative_to(here) if one.is_relative_to(here) else one).as_posix()
