"""automl-cv cache: what is kept on disk, and its removal."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.filesize import decimal
from rich.markup import escape
from rich.table import Table

from automl_cv.cli.options import CacheDir, Debug, cache_folder
from automl_cv.errors import AutomlError
from automl_cv.screen.console import ruled, say, show

# Folders in the cache folder, beside features.
DATASETS, INSPECTIONS = "datasets", "inspections"


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Args:
        kind: features, pixels, data set, inspections, image-lists or checkpoints.
        content: what it is, for people.
        n_items: images of features and pixels, files of others.
        n_bytes: size on disk.
        written: when something was last added, local time, as YYYY-MM-DD HH:MM.
        folder: relative to the cache folder.
        recipe: all that determines features; None for other kinds.
    """

    kind: str
    content: str
    n_items: int
    n_bytes: int
    written: str
    folder: str
    recipe: dict[str, Any] | None = None


def cache(
    clear: Annotated[
        bool, typer.Option("--clear", help="Remove all of it; searches make it again.")
    ] = False,
    cache_dir: CacheDir = None,
    output_format: Annotated[
        Literal["table", "json"], typer.Option("--format", help="How to print the list.")
    ] = "table",
    debug: Debug = False,
) -> None:
    """Show what is cached: features and pixels, data sets, inspections, unfinished trainings."""
    folder = cache_folder(cache_dir)
    if clear:
        _clear(folder)
        return
    rows = [*_features(folder), *_pixels(folder), *_datasets(folder)]
    for name, content in _whole_folders().items():
        rows += _whole_folder(folder, name, content)
    if output_format == "json":
        listed = {"folder": str(folder), "entries": [asdict(row) for row in rows]}
        typer.echo(json.dumps(listed, ensure_ascii=False, indent=2))
    elif rows:
        show(_as_table(folder, rows))
    else:
        say(f"the cache {folder} is empty")


def _features(folder: Path) -> list[Row]:
    from automl_cv.features import FeatureCache

    rows = []
    for entry in FeatureCache(folder).entries():
        recipe = entry.recipe
        if recipe is None:
            content = "of another version of automl-cv, or damaged"
        else:
            view = "" if recipe.view is None else f", views by {recipe.view}"
            n_blocks = recipe.n_blocks_after
            last = "last block" if n_blocks == 1 else f"last {n_blocks} blocks"
            maps = f", maps before the {last}" if n_blocks else ""
            size = f"{recipe.image_size} px"
            made = f", by {recipe.engine} in {recipe.precision}"
            engine = "" if recipe.is_reference else made
            content = f"{recipe.backbone}, {size}{maps}{view}{engine}, weights {recipe.weights}"
        rows.append(
            Row(
                kind="features",
                content=content,
                n_items=entry.n_images,
                n_bytes=entry.n_bytes,
                written=entry.written.isoformat(" ", "minutes"),
                folder=f"features/{entry.key}",
                recipe=None if recipe is None else recipe.as_data(),
            )
        )
    return rows


def _pixels(folder: Path) -> list[Row]:
    from automl_cv.features.pixels import PixelCache

    return [
        Row(
            kind="pixels",
            content="damaged"
            if entry.image_size is None
            else f"images decoded, at {entry.image_size} px",
            n_items=entry.n_images,
            n_bytes=entry.n_bytes,
            written=entry.written.isoformat(" ", "minutes"),
            folder=f"pixels/{entry.key}",
        )
        for entry in PixelCache(folder).entries()
    ]


def _datasets(folder: Path) -> list[Row]:
    parent = folder / DATASETS
    paths = sorted(path for path in parent.iterdir() if path.is_dir()) if parent.is_dir() else []
    return [_row("data set", path.name, path, folder) for path in paths]


def _whole_folders() -> dict[str, str]:
    """Return what folders that are one line of the table hold, by their names."""
    from automl_cv.orders import checkpoint_paths, images

    return {
        INSPECTIONS: "what `data` and `search` read",
        images.FOLDER: "lists of images, as workers map them",
        checkpoint_paths.FOLDER: "trainings that were broken off; run again, they go on",
    }


def _whole_folder(folder: Path, name: str, content: str) -> list[Row]:
    path = folder / name
    return [_row(name, content, path, folder)] if path.is_dir() and any(path.iterdir()) else []


def _row(kind: str, content: str, path: Path, cache_dir: Path) -> Row:
    from automl_cv.features.arrays import folder_size

    return Row(
        kind=kind,
        content=content,
        n_items=sum(file.is_file() for file in path.rglob("*")),
        n_bytes=folder_size(path),
        written=datetime.fromtimestamp(path.stat().st_mtime).isoformat(" ", "minutes"),
        folder=path.relative_to(cache_dir).as_posix(),
    )


def _as_table(folder: Path, rows: list[Row]) -> Table:
    table = ruled(title=escape(str(folder)), show_footer=True)
    table.add_column("kind", footer="all")
    table.add_column("content", overflow="fold")
    table.add_column("items", justify="right")
    table.add_column("size", justify="right", footer=decimal(sum(row.n_bytes for row in rows)))
    table.add_column("written")
    table.add_column("folder")
    for row in rows:
        cells = (row.kind, row.content, f"{row.n_items:,}", decimal(row.n_bytes))
        table.add_row(*map(escape, cells), row.written, escape(row.folder))
    return table


def _clear(folder: Path) -> None:
    """Remove what automl-cv wrote, and nothing else: --cache-dir may name a folder of others."""
    from automl_cv.features import FeatureCache
    from automl_cv.features.arrays import folder_size, remove_folder
    from automl_cv.features.pixels import PixelCache

    others = (DATASETS, *_whole_folders())
    freed = FeatureCache(folder).clear() + PixelCache(folder).clear()
    freed += sum(remove_folder(folder / name) for name in others)
    say(f"freed {decimal(freed)} in {folder}")
    own = ("features", "pixels", *others)
    left = sum(folder_size(folder / name) for name in own)
    if left:
        raise AutomlError(f"{folder}: {decimal(left)} can't be removed; check its permissions")
