"""The file that a study's backbone takes its weights from; found and hashed without TensorFlow."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

from automl_cv.catalog.backbones import BACKBONES
from automl_cv.catalog.weights import Weights
from automl_cv.errors import UserError, installing
from automl_cv.study.studyfile import Backbone

KEY = "backbone.weights"
"""Where a study names a file of weights."""


def is_saved_model(backbone: Backbone) -> bool:
    """Tell whether a study's backbone is a saved `.keras` model rather than an entry."""
    return backbone.name.endswith(".keras")


def is_vectors(backbone: Backbone) -> bool:
    """Tell whether a study's backbone is a file of vectors that another tool made."""
    return backbone.ids is not None


def ids_of(backbone: Backbone) -> Path:
    """Return the file that says which image each vector is of; UserError where it is not there."""
    return _existing(Path(str(backbone.ids)).expanduser(), "backbone.ids")


def check_network(backbone: Backbone, what: str) -> None:
    """Raise a UserError where there is no network that could do `what`."""
    if is_vectors(backbone):
        raise UserError(
            f"{what} needs the network that made {backbone.name}, of which there are the vectors "
            "alone; name a backbone of the table or a .keras model, or compare with `search` and "
            "`report`"
        )


def path_of(backbone: Backbone, key: str = KEY) -> Path:
    """Return the file that a study's backbone takes its weights from.

    It exists, unless it is one that Keras downloads.

    Args:
        backbone: the study's `[backbone]`.
        key: where the user names another file.

    Raises:
        UserError: the file that the study names does not exist, a `weights` that this
            backbone can't have, or a package that is not installed.
    """
    if is_vectors(backbone):
        return _existing(Path(backbone.name).expanduser(), "backbone.features")
    if is_saved_model(backbone):
        if backbone.weights is not None:
            raise UserError(f"{key}: {backbone.name} brings its own weights; leave it out")
        return _existing(Path(backbone.name).expanduser(), "backbone.name")
    entry = BACKBONES[backbone.name]
    if backbone.weights == "imagenet" and entry.weights.embedded:
        raise UserError(
            f"{key}: there are no ImageNet weights of {entry.name!r}; leave it out for its own, "
            "or choose another backbone"
        )
    if backbone.weights not in (None, "imagenet"):
        return _existing(Path(str(backbone.weights)).expanduser(), key)
    own = entry.weights
    if own.embedded:
        return _existing(own.path, f"the embedded weights of {entry.name!r}")
    if own.package and not own.path.is_file():
        raise UserError(
            f"the backbone {entry.name!r} needs the package {own.distribution}, which is not "
            f"installed; {installing(own.extra)}"
        )
    return own.path


def licence_of(backbone: Backbone) -> str | None:
    """Return the licence of weights that the table knows; None for a file of the user's."""
    other = is_saved_model(backbone) or is_vectors(backbone)
    if other or backbone.weights not in (None, "imagenet"):
        return None
    return BACKBONES[backbone.name].weights.licence


def damage(weights: Weights) -> str:
    """Return what is wrong with an entry's own file, which is there; empty if nothing is."""
    if not weights.digest:
        return ""
    with weights.path.open("rb") as file:
        found = hashlib.file_digest(file, weights.algorithm).hexdigest()
    if found == weights.digest:
        return ""
    kind = {"md5": "MD5", "sha256": "SHA-256"}[weights.algorithm]
    return f"{weights.path} is damaged ({kind} {found}, not {weights.digest})"


def _existing(path: Path, what: str) -> Path:
    if not path.is_file():
        raise UserError(f"{what}: no such file: {path}")
    return path


def hash_of(path: Path) -> str:
    """Return "blake2b:" and 32 hexadecimal digits that only files of equal content share."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16))
    return f"blake2b:{digest.hexdigest()}"


def image_size_of(path: Path) -> int:
    """Read the image size that a saved model was built for: the shape of its input layer.

    Raises:
        UserError: it takes images of any size, or is no file that Keras saved.
    """
    try:
        shape = _layers_of(path)[0]["config"]["batch_shape"]
    except (KeyError, IndexError, TypeError):
        shape = None
    match shape:
        case [_, int(height), int(width), _] if height == width:
            return height
    raise UserError(
        f"backbone.image_size: {path} does not say which size of square images it takes; "
        "give image_size, in pixels"
    )


def holds_models(path: Path) -> bool:
    """Tell whether one of a saved model's layers is a model of layers itself."""
    for layer in _layers_of(path):
        own = layer.get("config") if isinstance(layer, dict) else None
        if isinstance(own, dict) and "layers" in own:
            return True
    return False


def _layers_of(path: Path) -> list[Any]:
    """Return what a saved model says of its layers; empty where it is no file that Keras saved."""
    try:
        with zipfile.ZipFile(path) as archive:
            found = json.loads(archive.read("config.json"))["config"]["layers"]
    except (zipfile.BadZipFile, KeyError, TypeError, ValueError, RecursionError):
        return []
    return found if isinstance(found, list) else []
