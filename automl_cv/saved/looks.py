"""evaluations.json: each look that was taken at evaluated images, in a classifier's folder.

A figure on held-out images is honest once. Whoever looks, changes something and looks again
chooses by it, and the figure flatters; so looks are counted, also over classifiers that were
fitted into the same folder one after the other. Looks by classifiers in other folders at the same
images are not known here. The file is no part of what `bundle.json` hashes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from automl_cv.errors import UserError
from automl_cv.features.arrays import write_text
from automl_cv.saved.folder import EVALUATIONS
from automl_cv.scoring import Measured


class Look(BaseModel):
    """One evaluation.

    Args:
        time: when, UTC.
        fingerprint: of the evaluated images and their classes.
        source: where they were.
        part: which of the source's images.
        images: how many.
        network: hash of the evaluated network.
        metrics: what was measured, by the names of the table of metrics.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    time: datetime
    fingerprint: str
    source: str
    part: str
    images: int
    network: str
    metrics: dict[str, Measured | None]


class _Evaluations(BaseModel):
    format: Literal[1] = 1
    looks: list[Look] = Field(default_factory=list)


def read(folder: Path) -> tuple[Look, ...]:
    """Return all looks, the first one first.

    Raises:
        UserError: the file is damaged.
    """
    path = folder / EVALUATIONS
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ()
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: can't be read: {error}; looks are counted there") from None
    try:
        return tuple(_Evaluations.model_validate_json(text).looks)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        where = f"{path}: {key}" if key else str(path)
        raise UserError(
            f"{where}: {first['msg']}; expected the looks that `automl-cv evaluate` keeps: put a "
            "whole copy back, or move it away to count anew"
        ) from None


def append(folder: Path, look: Look) -> tuple[Look, ...]:
    """Add a look, and return all that were taken at the same images, this one last.

    Raises:
        UserError: the file is damaged.
        OSError: the folder can't be written to.
    """
    with _locked(folder):
        looks = [*read(folder), look]
        write_text(folder / EVALUATIONS, _Evaluations(looks=looks).model_dump_json(indent=2) + "\n")
    return same_images(looks, look.fingerprint)


def same_images(looks: Iterable[Look], fingerprint: str) -> tuple[Look, ...]:
    """Return the looks at some images, in order."""
    return tuple(look for look in looks if look.fingerprint == fingerprint)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one process at a time append."""
    if os.name == "nt":  # no such locks: two looks in the same millisecond may leave one
        yield
        return
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
