"""Recipe: all that determines the features of an image, except the image."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

from automl_cv.catalog.backbones import BACKBONES
from automl_cv.features import weightfile
from automl_cv.studyfile import Backbone

# Part of every key: raise it when the layout changes, or the way images are decoded,
# resized or pooled, so that older features are no longer found.
FORMAT = 1


@dataclass(frozen=True)
class Recipe:
    """All that determines the features of an image, except the image.

    Args:
        backbone: name of the backbone's entry, or of the saved model's file.
        network: what builds the network: the entry's target and arguments, or "saved model".
        block_outputs: the entry's pattern of layers that give a block's output.
        weights: hash of the weights, "md5:…" as published by Keras or "blake2b:…" of the file.
        preprocessing: what happens to the pixels before the first layer.
        image_size: height and width in pixels.
        pooling: how a block's feature map becomes one vector.
        view: seed of the alteration of the image, None for the image as it is.
        precision: type in which the network computes.
    """

    backbone: str
    network: str
    block_outputs: str
    weights: str
    preprocessing: str
    image_size: int
    pooling: str = "average"
    view: int | None = None
    precision: str = "float32"

    @property
    def key(self) -> str:
        """Hash of the recipe and the cache's format: 16 hexadecimal digits."""
        text = json.dumps({"format": FORMAT, **asdict(self)}, sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def recipe(backbone: Backbone, view: int | None = None) -> Recipe:
    """Work out a study's recipe, without TensorFlow.

    Args:
        backbone: the study's `[backbone]`.
        view: seed of the alteration of the images, None for the images as they are.

    Raises:
        UserError: a file that it names does not exist, or its keys contradict each other.
    """
    if weightfile.is_saved_model(backbone):
        path = weightfile.path_of(backbone)
        return Recipe(
            backbone=path.name,
            network="saved model",
            block_outputs="output",
            weights=weightfile.hash_of(path),
            preprocessing="none",
            image_size=backbone.image_size or weightfile.image_size_of(path),
            view=view,
        )
    entry = BACKBONES[backbone.name]
    path = weightfile.path_of(backbone)
    arguments = ", ".join(f"{name}={value!r}" for name, value in entry.arguments.items())
    published = path == entry.weights.path and entry.weights.md5
    return Recipe(
        backbone=entry.name,
        network=f"{entry.target}({arguments})",
        block_outputs=entry.block_outputs,
        weights=f"md5:{published}" if published else weightfile.hash_of(path),
        preprocessing=entry.preprocessing,
        image_size=backbone.image_size or entry.image_size,
        view=view,
    )
