"""The true classes of the images that validate a run's trials, once a run.

With what trials said of these images (`store.predictions`) any figure can be worked out anew
from the database alone. They are an attribute of the run's first Optuna study, as Optuna reads
all attributes of all studies for any report: images are sorted by class, so that 40,000 of them
are 200 characters.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from optuna.storages import RDBStorage

from automl_cv.errors import warn
from automl_cv.store.checksums import UNREADABLE, opened, sealed
from automl_cv.store.claims import first_study
from automl_cv.store.optuna_tables import study_attribute
from automl_cv.store.optuna_writes import swap_study_attribute
from automl_cv.store.patience import patiently
from automl_cv.store.records import LABELS


@dataclass(frozen=True, eq=False)
class Labels:
    """Images that validate, in the order in which trials' predictions are kept.

    Args:
        classes: number of each one's class, int64 (images,).
        groups: a number for each group of images that belong together, likewise; None where none
            do.
    """

    classes: np.ndarray
    groups: np.ndarray | None = None


def write_labels(
    storage: RDBStorage, run: str, classes: np.ndarray, groups: Sequence[str | None] = ()
) -> None:
    """Store the true classes of a run's images, unless it has them and they are sound.

    Args:
        storage: the database.
        run: name of the run, which this process holds.
        classes: number of each image's class.
        groups: name of each image's group, None for an image of its own; empty for none at all.
    """
    study_id = first_study(storage, run)
    if study_id is None:
        return
    before = study_attribute(storage, study_id, LABELS)
    if before is not None and _parsed(before) is not None:
        return
    kept = {"uint16": _packed(np.asarray(classes, "<u2"))}
    if any(group is not None for group in groups):
        kept["groups"] = _packed(_numbered(groups))
    patiently(lambda: swap_study_attribute(storage, study_id, LABELS, before, sealed(kept)))


def read_labels(storage: RDBStorage, run: str) -> Labels | None:
    """Return what `write_labels` stored; None of a run that older searches made.

    It is warned of damaged ones, and there are none then.
    """
    study_id = first_study(storage, run)
    text = None if study_id is None else study_attribute(storage, study_id, LABELS)
    if text is None:
        return None
    labels = _parsed(text)
    if labels is None:
        warn(
            f"{run}: the true classes of its validation images are damaged in the database; "
            "figures that need them are left out, the next search stores them again"
        )
    return labels


def _parsed(text: str) -> Labels | None:
    """Return stored labels; None of damaged ones."""
    try:
        kept = opened(text)
        groups = _unpacked(kept["groups"], "<u4") if "groups" in kept else None
        return Labels(_unpacked(kept["uint16"], "<u2"), groups)
    except UNREADABLE:
        return None


def _numbered(groups: Sequence[str | None]) -> np.ndarray:
    """Return a number for each group, and for each image that has none."""
    names = [(group, -1) if group is not None else ("", row) for row, group in enumerate(groups)]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([numbers[name] for name in names], "<u4")


def _packed(numbers: np.ndarray) -> str:
    return base64.b64encode(zlib.compress(numbers.tobytes(), 9)).decode()


def _unpacked(text: str, kind: str) -> np.ndarray:
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), kind).astype(np.int64)
