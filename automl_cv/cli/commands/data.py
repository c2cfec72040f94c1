"""`automl-cv data`: what a source of images holds, before anything is trained on it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.markup import escape
from rich.table import Table

from automl_cv.cli.options import (
    CacheDir,
    ClassLevel,
    Debug,
    LabelColumn,
    PathColumn,
    Root,
    cache_folder,
    reading,
)
from automl_cv.cli.suspects import SuspectsOptions, check_options, show_suspects
from automl_cv.screen.console import output, ruled, say, show
from automl_cv.screen.progress import progress

if TYPE_CHECKING:
    from automl_cv.data.dataset import Dataset
    from automl_cv.data.ledger import Sizes

SHOWN_SKIPPED = 20  # skipped files the table form lists; the JSON form lists all
SHOWN_CLASSES = 40  # the same of classes, of which a screen holds about so many


def data(
    path: Annotated[
        str,
        typer.Argument(
            metavar="PATH",
            help="A folder of class folders, a table of paths and labels, or a built-in name.",
        ),
    ],
    strict: Annotated[
        bool, typer.Option("--strict", help="Fail (exit 2) if any file can't be used.")
    ] = False,
    path_column: PathColumn = None,
    label_column: LabelColumn = None,
    root: Root = None,
    class_level: ClassLevel = None,
    cache_dir: CacheDir = None,
    suspects: Annotated[
        bool,
        typer.Option(
            "--suspects",
            help="Instead: images whose label is doubted by heads that did not learn from them, "
            "with the likely label and the images most like them.",
        ),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE.csv",
            help="Write a table of the images, to search: near copies are one group. With "
            "--suspects: with the proposed labels, to look at first; the ranked list and a contact "
            "sheet go to FILE-suspects.csv and FILE-suspects.png. The images stay as they are.",
        ),
    ] = None,
    compare: Annotated[
        bool,
        typer.Option(
            "--compare",
            help="With --suspects: compare heads with the proposed labels to heads with the given "
            "ones, on images that no correction touches.",
        ),
    ] = False,
    backbone: Annotated[
        str | None,
        typer.Option(
            "--backbone",
            metavar="NAME",
            help="With --suspects: the network whose features judge.",
            show_default="quickstart's, of large images that of photos",
        ),
    ] = None,
    output_format: Annotated[
        Literal["table", "json", "csv"],
        typer.Option("--format", help="How to print the findings; csv is of suspects alone."),
    ] = "table",
    debug: Debug = False,
) -> None:
    """Check a source of images: classes, splits, damaged files, copies and near copies.

    Every file is decoded as training would decode it. A source without splits is divided as a
    study file that says nothing else would divide it: 60, 20 and 20 %, seed 0.

    Example: automl-cv data images --suspects --out corrected.csv
    """
    asked = SuspectsOptions(
        out=out,
        compare=compare,
        backbone=backbone,
        cache_dir=cache_folder(cache_dir),
        form=output_format,
    )
    check_options(path, asked, suspects)
    from automl_cv.data import dataset, grouped
    from automl_cv.study.studyfile import Data

    if out is not None and not suspects:
        grouped.check_target(out, path)
    said = reading(path_column, label_column, root, class_level)
    with progress(quiet=False) as report:
        images = dataset.load(
            path,
            split=Data().split,
            seed=0,
            cache_dir=asked.cache_dir,
            reading=said,
            strict=strict,
            on_progress=report,
        )
    if suspects:
        show_suspects(images, asked)
    elif output_format == "json":
        typer.echo(json.dumps(_as_json(images), ensure_ascii=False, indent=2))
    else:
        show(_as_table(images))
        for line in _findings(images):
            output().print(line, markup=False, highlight=False)
    if out is not None and not suspects:
        own = dataset.load_undivided(path, cache_dir=asked.cache_dir, reading=said)
        written = grouped.write(out, own.images, images.near.pairs)
        say(f"wrote {out}: {written.summary()}")


def _as_table(images: Dataset) -> Table:
    """Return class counts, a column for each split."""
    counts = images.counts()
    table = ruled(title=escape(images.source), show_footer=True)
    table.add_column("class", footer="all")
    for split in counts.columns:
        table.add_column(str(split), justify="right", footer=f"{counts[split].sum():,}")
    table.add_column("all", justify="right", footer=f"{len(images.images):,}")
    totals = counts.sum(axis=1)
    shown = counts
    if len(counts) > SHOWN_CLASSES:
        # The smallest say the most of what is to be expected.
        shown = counts.loc[totals.sort_values(kind="stable").index[: SHOWN_CLASSES // 2]]
    for label, row in shown.iterrows():
        table.add_row(escape(str(label)), *(f"{n:,}" for n in row), f"{row.sum():,}")
    if len(shown) < len(counts):
        rest = counts.drop(shown.index)
        table.add_row(
            f"{len(rest):,} larger ones",
            *(f"{n:,}" for n in rest.sum()),
            f"{rest.to_numpy().sum():,}",
        )
        table.caption = (
            f"{len(counts):,} classes of {totals.min():,} to {totals.max():,} images, the smallest "
            "first; --format json lists all"
        )
    return table


def _findings(images: Dataset) -> Iterator[str]:
    """Yield the lines below the table."""
    ledger = images.ledger
    yield ledger.summary()
    if ledger.sizes is not None:
        yield f"sizes: {_describe(ledger.sizes)}"
    yield f"fingerprint: {images.fingerprint}"
    if ledger.greys is not None:
        yield f"greys: {ledger.greys.summary()}"
    for one in ledger.findings:
        stops = "; search stops for that" if one.harm == "stop" else ""
        yield f"{'note' if one.harm == 'note' else 'warning'}: {one.line}{stops}"
    for finding in ledger.skipped[:SHOWN_SKIPPED]:
        yield f"skipped: {finding.path}: {finding.reason}"
    if len(ledger.skipped) > SHOWN_SKIPPED:
        yield f"skipped: {len(ledger.skipped) - SHOWN_SKIPPED:,} more; --format json lists all"


def _describe(sizes: Sizes) -> str:
    smallest, median, largest = (
        f"{width}x{height}" for width, height in (sizes.smallest, sizes.median, sizes.largest)
    )
    if sizes.n_different == 1:
        return f"all {smallest}"
    return f"{smallest} to {largest}, median {median}, {sizes.n_different:,} different"


def _as_json(images: Dataset) -> dict[str, object]:
    counts = images.counts()
    return {
        "source": images.source,
        "fingerprint": images.fingerprint,
        "classes": {
            str(label): {str(split): int(n) for split, n in row.items()}
            for label, row in counts.iterrows()
        },
        "overlap": [one.line for one in images.ledger.findings if one.about == "overlap"],
        "ledger": images.ledger.to_json(),
    }
