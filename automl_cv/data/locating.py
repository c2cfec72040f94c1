"""Where the files lie that a table names: by path, by name below a folder, or without ending."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from automl_cv.data.candidates import split_of
from automl_cv.data.file_names import is_picture
from automl_cv.errors import UserError
from automl_cv.words import listed


@dataclass(frozen=True)
class Located:
    """Files of a table.

    Args:
        paths: for each name its absolute path; one that does not exist where nothing was found.
        relative_to: what names are relative to, absolute.
        notes: where they were found, if not by their paths.
    """

    paths: tuple[str, ...]
    relative_to: Path
    notes: tuple[str, ...] = ()


def locate(table: Path, names: Sequence[str], root: str | None = None) -> Located:
    """Find the files that a table names.

    Paths are relative to the table's folder, or absolute. Where that finds none of them, they
    are looked for below it by their names, and by what stands before the endings: data sets are
    often handed out as a table of identifiers beside a folder of images.

    Args:
        table: its file.
        names: as it gives them.
        root: the folder that they are relative to, where the user named it: beside the table,
            or from the working directory.

    Raises:
        UserError: there is no such folder, or a name fits several files.
    """
    folder = table.parent.absolute()
    if root is not None:
        beside, here = folder / root, Path(root).expanduser().absolute()
        folder = next((one for one in (beside, here) if one.is_dir()), beside)
        if not folder.is_dir():
            raise UserError(f"{table}: --root {root}: no such folder, neither {beside} nor {here}")
    direct = tuple(os.path.normpath(folder / name) for name in names)
    if any(os.path.isfile(path) for path in direct):
        return Located(direct, folder)
    index = _index(folder)
    found = []
    for name, path in zip(names, direct, strict=True):
        fitting = index.get(name.replace("\\", "/").rpartition("/")[2], [])
        inner = os.path.join("", *name.replace("\\", "/").split("/")[:-1])
        kept = [one for one in fitting if os.path.dirname(one).endswith(inner)]
        if len(kept) > 1:
            split = split_of(table.stem)
            kept = [
                one
                for one in kept
                if split and split_of(Path(one).relative_to(folder).parts[0]) == split
            ] or kept
        if len(kept) > 1:
            shown = listed([os.path.relpath(one, folder) for one in kept])
            raise UserError(
                f"{table}: {name!r} fits {len(kept)} files, {shown}; say which folder is meant "
                "with --root"
            )
        found.append(kept[0] if kept else path)
    if all(one == path for one, path in zip(found, direct, strict=True)):
        return Located(direct, folder)
    first = next(one for one, path in zip(found, direct, strict=True) if one != path)
    where = os.path.relpath(os.path.dirname(first), folder)
    return Located(
        tuple(found),
        folder,
        (f"files are found by their names below {where if where != '.' else folder.name}",),
    )


def _index(folder: Path) -> dict[str, list[str]]:
    """Return the images below a folder by their names, with and without ending."""
    found: dict[str, list[str]] = defaultdict(list)
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if is_picture(name) and not name.startswith("."):
                path = os.path.join(place, name)
                found[name].append(path)
                found[os.path.splitext(name)[0]].append(path)
    return found
