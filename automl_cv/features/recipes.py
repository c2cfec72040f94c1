"""Recipe: all that determines the features of an image, except the image."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from automl_cv.catalog import engines
from automl_cv.catalog.augmentations import Augmentation, augmentation
from automl_cv.catalog.backbones import AUTO, BACKBONES
from automl_cv.catalog.engines import FLOAT32, TENSORFLOW
from automl_cv.catalog.preprocessing import PREPROCESSINGS, UNCHANGED
from automl_cv.data.texts import Texts
from automl_cv.errors import UserError
from automl_cv.features import weightfile
from automl_cv.study.studyfile import Backbone

# Part of every key: raise it when the layout changes, or the way images are decoded,
# resized or pooled, so that older features are no longer found.
FORMAT = 1
# Likewise, for the way images are altered: part of the keys of altered images.
VIEW_FORMAT = 1
# What `pooling` says of a feature map that is not pooled, before the number of blocks.
MAP_BEFORE = "none, before the last blocks: "


@dataclass(frozen=True)
class ViewRecipe:
    """How images are altered, any number of times each: view 0, 1, 2, …

    Args:
        augmentation: operations on pixels.
        seed: another seed gives other views.
    """

    augmentation: Augmentation
    seed: int

    def __str__(self) -> str:
        return f"{self.augmentation}, seed {self.seed}"

    def as_data(self) -> dict[str, Any]:
        """Return plain data, with all that determines a view, except image and number."""
        return {
            "augmentation": self.augmentation.as_data(),
            "seed": self.seed,
            "format": VIEW_FORMAT,
        }


@dataclass(frozen=True)
class Recipe:
    """All that determines the features of an image, except the image.

    Args:
        backbone: name of the backbone's entry, or of the saved model's file.
        network: what builds the network: the entry's target and arguments, or "saved model".
        block_outputs: the entry's pattern of layers that give a block's output.
        weights: hash of the weights, "md5:…" or "sha256:…" as the entry has it, or "blake2b:…"
            of the file.
        preprocessing: what happens to the pixels before the first layer.
        image_size: height and width in pixels.
        pooling: how a block's feature map becomes one vector; see `before_blocks` too.
        view: how images are altered, None for images as they are. With it the cache holds a
            row for each view, filed under its name (see `view_names`) instead of the image's
            content hash.
        precision: type in which the network computes.
        engine: what runs it, an entry of the table of engines.
    """

    backbone: str
    network: str
    block_outputs: str
    weights: str
    preprocessing: str
    image_size: int
    pooling: str = "average"
    view: ViewRecipe | None = None
    precision: str = FLOAT32
    engine: str = TENSORFLOW

    @property
    def key(self) -> str:
        """Hash of the recipe and the cache's format: 16 hexadecimal digits."""
        text = json.dumps({"format": FORMAT, **self.as_data()}, sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    def as_data(self) -> dict[str, Any]:
        """Return plain data; `from_data` reads it back.

        TensorFlow is left out: it made all features when there was no other engine, and their
        keys stay.
        """
        data = {**asdict(self), "view": None if self.view is None else self.view.as_data()}
        if self.engine == TENSORFLOW:
            del data["engine"]
        return data

    @property
    def is_reference(self) -> bool:
        """Whether TensorFlow makes the features in float32: what all others are compared with."""
        return (self.engine, self.precision) == (TENSORFLOW, FLOAT32)

    def by_tensorflow(self) -> Recipe:
        """Return the same made by TensorFlow, in float32."""
        return replace(self, engine=TENSORFLOW, precision=FLOAT32)

    def before_blocks(self, n_blocks: int) -> Recipe:
        """Return the recipe of what enters the last blocks: a feature map, flattened.

        They are trained in TensorFlow, which makes the maps too.
        """
        return replace(self.by_tensorflow(), pooling=f"{MAP_BEFORE}{n_blocks}")

    @property
    def n_blocks_after(self) -> int:
        """How many blocks were left out (see `before_blocks`); 0 for features of blocks."""
        is_map = self.pooling.startswith(MAP_BEFORE)
        return int(self.pooling.removeprefix(MAP_BEFORE)) if is_map else 0

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Recipe:
        """Return the recipe whose `as_data` this is.

        Raises:
            ValueError, TypeError, KeyError: it is that of no recipe of this version.
        """
        view = data["view"]
        if view is not None:
            view = ViewRecipe(augmentation(view["augmentation"]), view["seed"])
        return cls(**{**data, "view": view})


def view_name(content_hash: str, view: int) -> str:
    """Return what a view of an image is called, in the cache and where it is drawn."""
    return f"{content_hash}/{view}"


def view_names(content_hashes: Sequence[str], views: int) -> Texts:
    """Return the names of the first views of images, those of an image side by side.

    Args:
        content_hashes: of the images.
        views: how many of each.

    Returns:
        Names; that of view v of image i at i * views + v.
    """
    return Texts.of(view_name(known, view) for known in content_hashes for view in range(views))


def recipe(backbone: Backbone, augmentation: Augmentation | None = None, seed: int = 0) -> Recipe:
    """Work out a study's recipe, without TensorFlow.

    Args:
        backbone: the study's `[backbone]`; where its engine is not decided, that is TensorFlow.
        augmentation: how images are altered, None for images as they are; what works on
            features plays no part.
        seed: of the views, where pixels are altered.

    Raises:
        UserError: a file that it names does not exist, its keys contradict each other, or
            its entry names an unknown preprocessing.
    """
    engine = TENSORFLOW if backbone.engine == engines.AUTO else backbone.engine
    precision = FLOAT32 if backbone.engine == engines.AUTO else backbone.precision
    altering = augmentation.of_level("image", "batch") if augmentation else None
    view = ViewRecipe(altering, seed) if altering else None
    if weightfile.is_vectors(backbone):
        if view is not None:
            weightfile.check_network(backbone, "altering images")
        files = weightfile.path_of(backbone), weightfile.ids_of(backbone)
        return Recipe(
            backbone=files[0].name,
            network="vectors of a file",
            block_outputs="",
            weights=" ".join(map(weightfile.hash_of, files)),
            preprocessing="none",
            image_size=0,
            pooling="none",
        )
    if weightfile.is_saved_model(backbone):
        path = weightfile.path_of(backbone)
        within = ", also of models within" if weightfile.holds_models(path) else ""
        return Recipe(
            backbone=path.name,
            network="saved model",
            block_outputs=f"the last map of each size, and the output{within}",
            weights=weightfile.hash_of(path),
            preprocessing=UNCHANGED,
            image_size=backbone.image_size or weightfile.image_size_of(path),
            view=view,
            precision=precision,
            engine=engine,
        )
    if backbone.name == AUTO:
        raise UserError(f"backbone: {AUTO!r} is for searches, in which backbones race; name one")
    entry = BACKBONES[backbone.name]
    path = weightfile.path_of(backbone)
    arguments = ", ".join(f"{name}={value!r}" for name, value in entry.arguments.items())
    own = entry.weights
    published = path == own.path and own.digest
    return Recipe(
        backbone=entry.name,
        network=f"{entry.target}({arguments})",
        block_outputs=entry.block_outputs,
        weights=f"{own.algorithm}:{published}" if published else weightfile.hash_of(path),
        preprocessing=PREPROCESSINGS[entry.preprocessing].name,
        image_size=backbone.image_size or entry.image_size,
        view=view,
        precision=precision,
        engine=engine,
    )
