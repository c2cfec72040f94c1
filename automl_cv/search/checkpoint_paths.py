"""Where checkpoints are kept: found again by the next search, or fit, of the same trial."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from optuna.storages import RDBStorage

from automl_cv.space import Value

FOLDER = "checkpoints"  # in the cache folder


def checkpoint_path(cache_dir: Path, storage: RDBStorage, stage: str, trial: int) -> Path:
    """Return the folder of a trial's checkpoint, which may not be there.

    Args:
        cache_dir: the cache folder.
        storage: the database that the trial is stored in.
        stage: full name of the stage, the run's included.
        trial: number of the trial.
    """
    url = storage.engine.url
    # A file is the same from wherever it is named.
    is_file = url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:")
    address = str(Path(str(url.database)).resolve()) if is_file else str(url)
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
