"""Checkpoints: where a trial's training stands after an epoch, so that a kill costs one epoch.

A checkpoint is one file, written under a temporary name, synced, then renamed: there is
always a whole one, the newest or the one before it.
"""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from automl_cv.features import arrays
from automl_cv.history import Epoch, History

FILE_NAME = "checkpoint.npz"


@dataclass(frozen=True)
class Checkpoint:
    """All that the rest of a training depends on, but its task and its data.

    Args:
        epochs: those that are done, at least one. A schedule's rates follow from them.
        state: values of every variable of network and optimizer, in order; the states of
            random numbers (dropout's for instance) are among them.
        best: weights of the network at the best epoch, in order.
    """

    epochs: tuple[Epoch, ...]
    state: tuple[np.ndarray, ...]
    best: tuple[np.ndarray, ...]


def save(folder: Path, fingerprint: str, checkpoint: Checkpoint) -> None:
    """Write a checkpoint in place of the one before it.

    Args:
        folder: the trial's own; made where it is absent.
        fingerprint: of the task and the data.
        checkpoint: what to keep.
    """
    folder.mkdir(parents=True, exist_ok=True)
    about = {"fingerprint": fingerprint, "history": History(checkpoint.epochs).to_json()}
    named = {
        "about": np.frombuffer(json.dumps(about).encode(), np.uint8),
        **_numbered("state", checkpoint.state),
        **_numbered("best", checkpoint.best),
    }
    with arrays.replacing(folder / FILE_NAME) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **named)


def load(folder: Path, fingerprint: str) -> Checkpoint | None:
    """Return the checkpoint of a trial; remove one that is damaged or of something else.

    Args:
        folder: see `save`.
        fingerprint: of the task and the data at hand.

    Returns:
        None where there is none, or none of this fingerprint.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as held:
            about = json.loads(held["about"].tobytes())
            if about["fingerprint"] == fingerprint:
                return Checkpoint(
                    epochs=History.from_json(about["history"]).epochs,
                    state=tuple(held[name] for name in held.files if name.startswith("state")),
                    best=tuple(held[name] for name in held.files if name.startswith("best")),
                )
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        pass  # The zip's own checksums tell of damage; the trial begins anew.
    shutil.rmtree(folder, ignore_errors=True)
    return None


def _numbered(kind: str, values: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    return {f"{kind}_{number:05d}": value for number, value in enumerate(values)}
