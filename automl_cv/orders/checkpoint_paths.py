"""Where checkpoints are kept: found again by the next search, or fit, of the same trial."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from automl_cv.study.space import Value

FOLDER = "checkpoints"  # in the cache folder


def checkpoint_path(cache_dir: Path, address: str, stage: str, trial: int) -> Path:
    """Return the folder of a trial's checkpoint, which may not be there.

    Args:
        cache_dir: the cache folder.
        address: of the database that the trial is stored in; see `store.database.address_of`.
        stage: full name of the stage, the run's included.
        trial: number of the trial.
    """
    digest = hashlib.blake2b(f"{address}\n{stage}\n{trial}".encode(), digest_size=16)
    return cache_dir.resolve() / FOLDER / digest.hexdigest()


def fit_checkpoints_path(
    cache_dir: Path, data: str, seed: int, stage: str, parameters: Mapping[str, Value]
) -> Path:
    """Return the folder of the checkpoints of a fit's trainings, which may not be there.

    What else they depend on, a checkpoint's own fingerprint holds.

    Args:
        cache_dir: the cache folder.
        data: fingerprint of the images.
        seed: the study's.
        stage: name of the winner's stage.
        parameters: of the winner.
    """
    about = repr((data, seed, stage, sorted(parameters.items())))
    digest = hashlib.blake2b(about.encode(), digest_size=16)
    return cache_dir.resolve() / FOLDER / f"fit-{digest.hexdigest()}"
