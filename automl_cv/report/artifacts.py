"""Pictures for optuna-dashboard: files in a folder, and a note of each with the stage it is of.

Optuna calls them artifacts. Their names are made of run, stage and picture, so that the next time
writes the same ones again and none stands there twice.
"""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from automl_cv.errors import AutomlError, UserError
from automl_cv.report.page.maps import pictures_in
from automl_cv.report.page.mistakes import judged_plots
from automl_cv.report.page.plot import as_png
from automl_cv.results.leaderboard import RunTrials, read_run
from automl_cv.store.runs import runs

if TYPE_CHECKING:
    from optuna.storages import RDBStorage

PREFIX = "artifacts:"  # of an attribute of a study: Optuna's, and optuna-dashboard's
MOST_RUNS = 20  # the latest ones: each takes about a second
_NAMES = uuid.uuid5(uuid.NAMESPACE_URL, "automl-cv")


def write_artifacts(storage: RDBStorage, folder: Path, maps: Path | None = None) -> int:
    """Write confusion and calibration of each run's first trial, and pictures of maps.

    Args:
        storage: the database, which notes them with the trial's stage.
        folder: where the files lie; it is made.
        maps: pictures that `automl-cv maps` wrote; they go with the run that changed last.

    Returns:
        How many there are.

    Raises:
        UserError: the folder can't be written to, or `maps` has no such pictures.
    """
    pictures = [] if maps is None else pictures_in(maps)
    held = [run for run in runs(storage)[-MOST_RUNS:] if run.damage is None]
    number = 0
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for run in held:
            try:
                read = read_run(storage, f"{run.study}@{run.name.partition('@')[2] or 1}")
            except AutomlError:  # what is stored of it is damaged: `report` says where
                continue
            found = judged_plots(read)
            if found is not None:
                record, plots = found
                for plot in plots:
                    name = f"{plot.name}-of-{record.name.replace('/', '-')}.png"
                    _write(read, record.stage, folder, name, as_png(plot))
                number += len(plots)
            if run is held[-1] and read.rows:
                for picture in pictures:
                    stage = read.rows[0].record.stage
                    _write(read, stage, folder, f"maps-{picture.name}", picture.read_bytes())
                number += len(pictures)
    except OSError as error:
        raise UserError(f"--artifacts {folder}: can't be written to: {error.strerror}") from None
    return number


def _write(read: RunTrials, stage: str, folder: Path, name: str, content: bytes) -> None:
    assert read.storage is not None  # it was read from there
    artifact = str(uuid.uuid5(_NAMES, f"{read.run.name}/{stage}/{name}"))
    (folder / artifact).write_bytes(content)
    about = {
        "artifact_id": artifact,
        "filename": name,
        "mimetype": "image/png",
        "encoding": None,
    }
    study_id = read.run.study_ids[read.run.position(stage)]
    read.storage.set_study_system_attr(study_id, PREFIX + artifact, json.dumps(about))
