"""Folders of saved classifiers, made by hand: no training, no TensorFlow."""

from __future__ import annotations

import json
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from automl_cv.saved import folder
from automl_cv.saved.facts import (
    Calibration,
    CalibrationFigures,
    Data,
    Fitting,
    Manifest,
    Validation,
    WinnerFacts,
)

MANIFEST = Manifest(
    image_size=8,
    backbone={"name": "compact", "features": "all"},
    weights_licence="MIT",
    data=Data(source="digits", fingerprint="f" * 32, split_sizes={"train": 6}, ledger={}),
    study={"name": "quickstart"},
    winner=WinnerFacts(
        run="quickstart",
        stage="coarse",
        trial="coarse/4",
        why="the first of 30 trials",
        parameters={"optimizer": "SGD"},
        validation=Validation(accuracy=0.9, low=0.8, high=0.95, loss=0.2, over="6 images"),
    ),
    fitting=Fitting(images=8, epochs=3, seeds=(1,), command="automl-cv fit x", seconds=1.0),
    calibration=Calibration(
        temperature=1.5,
        images=2,
        accuracy=0.5,
        before=CalibrationFigures(log_loss=0.9, calibration_error=0.4),
        after=CalibrationFigures(log_loss=0.7, calibration_error=0.2),
    ),
    versions={"keras": "3.15.1"},
    created=datetime(2026, 1, 1, tzinfo=UTC),
)

DENSE = {
    "module": "keras.layers",
    "class_name": "Dense",
    "config": {"units": 2, "activation": {"module": "builtins", "class_name": "function"}},
    "registered_name": None,
}


def write_network(path: Path, *layers: dict[str, Any], extra: str | None = None) -> Path:
    """Write a file that looks like a network of these layers, without weights."""
    config = {
        "module": "keras",
        "class_name": "Sequential",
        "config": {"layers": [DENSE, *layers]},
        "registered_name": None,
    }
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", "{}")
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", bytes(64))
        if extra is not None:
            archive.writestr(extra, b"")
    return path


def write_saved(
    out: Path, classes: tuple[str, ...] = ("cat", "dog"), trained_on: tuple[str, ...] = ()
) -> Path:
    """Write a whole folder, as `fit` does."""
    with folder.replacing(out) as temporary:
        write_network(temporary / folder.NETWORK)
        folder.complete(temporary, MANIFEST, classes, "# card\n", trained_on)
    return out
