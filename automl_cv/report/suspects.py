"""Suspects as cells and lines, as data, and as a table of images with what is proposed."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from automl_cv.data.dataset import Dataset
from automl_cv.report.columns import MISSING, Column, accuracy
from automl_cv.report.document import Document, Grid, Report, free_text, title_of
from automl_cv.results.cleaning import Cleaned
from automl_cv.results.doubts import PROPOSED
from automl_cv.results.leaderboard import RunTrials
from automl_cv.results.suspects import Suspects, frame
from automl_cv.words import counted, listed, printable, signed

SHOWN = 20  # suspects that the table shows; data hold all

COLUMNS = (
    Column(name="rank", about="the most doubted first", heading="rank"),
    free_text("image", "file"),
    Column(name="label", about="as it is given", heading="label", align="left"),
    Column(name="likely", about="the likeliest other class", heading="likely", align="left"),
    Column(name="doubt", about="p(likely) / (p(likely) + p(label))", heading="doubt"),
    Column(name="split", about="of the image", heading="split", align="left", drop=2),
    Column(
        name="neighbours",
        about="labels of the images most like it",
        heading="neighbours",
        align="left",
        drop=1,
    ),
)


def compose(
    images: Dataset,
    suspects: Suspects,
    *,
    cleaned: Cleaned | None = None,
    notes: Sequence[str] = (),
    shown: int | None = SHOWN,
) -> Document:
    """Put words and cells together.

    Args:
        images: all images.
        suspects: what was found.
        cleaned: heads with proposed labels against the same without; None if nobody asked.
        notes: lines to hand on.
        shown: suspects that are shown at most; None for all.
    """
    title = (
        f"{images.source} · {counted(len(suspects.found), 'suspect')} among "
        f"{counted(_n_judged(suspects), 'image')} judged"
    )
    return Document(
        title=printable(title),
        warnings=(),
        table=_grid(images, suspects, shown),
        footnotes=tuple(map(printable, _footnotes(suspects, shown))),
        sections=(),
        notes=tuple(map(printable, [*_cleaned_lines(cleaned), *notes])),
    )


def compose_run(
    read: RunTrials, images: Dataset, suspects: Suspects, *, shown: int | None, picture: bytes
) -> Report:
    """Put a report on the suspects of a run together.

    Args:
        read: the run.
        images: its images.
        suspects: what was found of them.
        shown: suspects that are shown at most; None for all.
        picture: their contact sheet, a PNG file.
    """
    found = compose(images, suspects, shown=shown)
    n_found, n_judged = len(suspects.found), _n_judged(suspects)
    count = f"{counted(n_found, 'suspect')} among {counted(n_judged, 'image')}"
    return Report(
        title=f"{title_of(read, None)} · {count}",
        warnings=(),
        table=found.table,
        footnotes=found.footnotes,
        sections=(),
        notes=(),
        frames={"suspects": frame(suspects).head(len(suspects.found) if shown is None else shown)},
        facts=read.facts,
        run=read.run.name,
        picture=picture,
    )


def as_csv(suspects: Suspects) -> str:
    """Return suspects as comma-separated values, one a line, missing ones empty."""
    return frame(suspects).to_csv(index=False, lineterminator="\n")


def as_json(
    images: Dataset, suspects: Suspects, cleaned: Cleaned | None = None, notes: Sequence[str] = ()
) -> str:
    """Return all that was found as JSON.

    Args:
        images: all images.
        suspects: what was found.
        cleaned: see `compose`.
        notes: see `compose`.
    """
    content: dict[str, Any] = {
        "source": images.source,
        "fingerprint": images.fingerprint,
        "judged": dict(suspects.judged),
        "by": suspects.by,
        "unjudged_classes": list(suspects.unjudged),
        "proposed": len(suspects.proposed),
        "cleaned": None if cleaned is None else asdict(cleaned),
        "notes": list(notes),
        "suspects": [
            {
                "path": one.path,
                "label": one.label,
                "likely_label": one.likely,
                "doubt": one.doubt,
                "split": one.split,
                "proposed": one.is_proposed,
                "neighbours": [asdict(near) for near in one.neighbours],
            }
            for one in suspects.found
        ],
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def as_manifest(images: Dataset, suspects: Suspects, folder: Path) -> str:
    """Return a table of all images that `search` reads, with the labels that are proposed.

    Rows with another label than the given one come first, the most doubted at the top; what was
    given stands in `given_label`. Test images keep theirs.

    Args:
        images: all images.
        suspects: what was found.
        folder: where the table will lie: paths of images below it are relative.
    """
    table = images.images[["path", "label", "split", "group"]].copy()
    table["given_label"] = pd.Series(None, index=table.index, dtype="str")
    changed = [one.row for one in suspects.proposed]
    table.loc[changed, "given_label"] = table.loc[changed, "label"]
    table.loc[changed, "label"] = [one.likely for one in suspects.proposed]
    table["path"] = [_below(path, folder) for path in table["path"]]
    kept = [row for row in table.index if row not in set(changed)]
    return table.loc[[*changed, *kept]].to_csv(index=False, lineterminator="\n")


def _n_judged(suspects: Suspects) -> int:
    return sum(suspects.judged.values())


def _below(path: str, folder: Path) -> str:
    absolute = Path(os.path.abspath(folder))
    one = Path(path)
    return (one.relative_to(absolute) if one.is_relative_to(absolute) else one).as_posix()


def _grid(images: Dataset, suspects: Suspects, shown: int | None) -> Grid:
    found = suspects.found if shown is None else suspects.found[:shown]
    paths = images.images["path"]
    common = os.path.commonpath([os.path.dirname(path) for path in paths])
    rows = [
        (
            str(rank),
            _below(one.path, Path(common)),
            one.label,
            one.likely,
            f"{one.doubt:.4f}",
            one.split,
            ", ".join(near.label for near in one.neighbours) or MISSING,
        )
        for rank, one in enumerate(found, start=1)
    ]
    below = frozenset(place for place, one in enumerate(found) if not one.is_proposed)
    return Grid(COLUMNS, tuple(tuple(map(printable, row)) for row in rows), below)


def _footnotes(suspects: Suspects, shown: int | None) -> list[str]:
    found, proposed = suspects.found, suspects.proposed
    lines = []
    if shown is not None and shown < len(found):
        lines.append(
            f"{shown} of {counted(len(found), 'suspect')} shown; --format csv and json have all"
        )
    lines.append(
        f"judged by {suspects.by}: each image by heads that did not learn from it, nor from its "
        "copies and its group"
    )
    lines.append("doubt: p / (p + q), with p the likely class's and q the label's probability")
    lines.append(
        f"another label is proposed for {counted(len(proposed), 'image')}, from a doubt of "
        f"{PROPOSED:g} on; look at each, a head may be wrong where images are unusual"
    )
    n_test = sum(one.split == "test" for one in found)
    if n_test:
        lines.append(
            f"{counted(n_test, 'suspect')} among the test images: only reported, no head learned "
            "from their labels and nothing is proposed for them"
        )
    if suspects.unjudged:
        names = listed([repr(name) for name in suspects.unjudged])
        lines.append(f"not judged, as no image is left to learn them from: {names}")
    return lines


def _cleaned_lines(cleaned: Cleaned | None) -> list[str]:
    if cleaned is None:
        return []
    difference = cleaned.cleaned - cleaned.given
    verdict = "better" if cleaned.low > 0 else "can't be told apart"
    if cleaned.high < 0:
        verdict = "worse"
    return [
        f"cleaned against not: accuracy {accuracy(cleaned.cleaned)} with the proposed labels, "
        f"{accuracy(cleaned.given)} with the given ones, {signed(difference)} "
        f"({signed(cleaned.low)} to {signed(cleaned.high)}): {verdict}",
        f"on {counted(cleaned.images, 'image')} that no correction touches, each judged by heads "
        "that had no part of it; suspects were looked for anew among the others, "
        f"{cleaned.corrected:.0f} in the mean; 95 % interval of pairs (Newcombe 1998)",
    ]
