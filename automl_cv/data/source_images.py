"""The images of a source, before they are divided: listed, decoded, in a table."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from automl_cv.catalog.datasets import DATASETS
from automl_cv.data import greys, inspection, sources
from automl_cv.data.candidates import Candidate
from automl_cv.data.images import Window
from automl_cv.data.inspected import Inspections, memory_path
from automl_cv.data.inspection import INSPECTING, OnStep
from automl_cv.data.ledger import Skipped, stored_window
from automl_cv.data.texts import Texts
from automl_cv.errors import UserError
from automl_cv.study.sections import Reading
from automl_cv.words import listed

COLUMNS = ("path", "label", "split", "content_hash", "group")


@dataclass(frozen=True, eq=False)
class SourceImages:
    """What a source holds, every file of it decoded.

    Args:
        place: absolute path of the source; empty for built-in data.
        table: COLUMNS and `name`, one row an image, sorted by label, content and name; the split
            is missing where the source doesn't say it.
        found: what came of decoding each of these images.
        skipped: files that are no images of a class.
        notes: what a user should know of the source.
        passed_over: see `Listing`.
        offered: labels of all files.
    """

    place: str
    table: pd.DataFrame
    found: Inspections
    skipped: list[Skipped]
    notes: tuple[str, ...]
    passed_over: int
    offered: frozenset[str]


def read(
    source: str,
    cache_dir: Path,
    reading: Reading,
    ledger: Mapping[str, Any] | None,
    on_progress: OnStep | None,
) -> SourceImages:
    """List a source and decode its files.

    Args:
        source: as `sources.list_source` takes it.
        cache_dir: where built-in data and what inspection found are kept.
        reading: what the user said of how it is read.
        ledger: as stored with a run or a model, whose window deep greys are then scaled from.
        on_progress: is told how many built-in images are written, then how many are inspected.

    Raises:
        UserError: there is no such source, or it holds no image that can be read.
    """
    tell = on_progress or (lambda what, done, total: None)
    writing = partial(tell, "writing built-in images")
    root, listing = sources.list_source(source, cache_dir, reading, writing)
    files, listing = _files(listing.candidates), replace(listing, candidates=())

    def window_of(deep: Inspections) -> Window | None:
        if ledger is not None:
            return stored_window(ledger)
        return greys.own_window(deep) if reading.window is None else Window(*reading.window)

    inspected = inspection.inspect(
        Texts.of(files["path"]),
        memory=memory_path(cache_dir, str(root.absolute())),
        window_of=window_of,
        on_progress=partial(tell, INSPECTING),
    )
    files["content_hash"] = [*inspected.content_hashes]
    is_kept = inspected.is_image & files["label"].notna().to_numpy()
    skipped = [*listing.skipped]
    for place in np.flatnonzero(~is_kept):
        reason = inspected[place].reason or "lies in no class folder"
        skipped.append(Skipped(files["name"].iloc[place], reason))
    skipped.sort(key=lambda one: one.path)
    table = files[is_kept].sort_values(["label", "content_hash", "name"])
    if table.empty:
        raise UserError(
            f"{source}: holds no image that can be read"
            + (f": {listed([f'{one.path} ({one.reason})' for one in skipped])}" if skipped else "")
        )
    return SourceImages(
        place="" if source in DATASETS else os.path.abspath(root),
        found=inspected.take(table.index.to_numpy()),
        table=table.reset_index(drop=True),
        skipped=skipped,
        notes=listing.notes,
        passed_over=listing.passed_over,
        offered=frozenset(files["label"].dropna()),
    )


def _files(candidates: Sequence[Candidate]) -> pd.DataFrame:
    """Return files as columns, in their order; what a source doesn't say of one is missing."""
    columns = ("path", "label", "split", "group", "name")
    told = {column: [getattr(one, column) for one in candidates] for column in columns}
    return pd.DataFrame(told, dtype="str")
