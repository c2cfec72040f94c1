"""Feature maps: networks loaded to be looked into, their layers, and what these give."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from automl_cv.engine import backbone as backbones
from automl_cv.engine import images, layer_outputs, saved_network
from automl_cv.engine.layer_outputs import Step
from automl_cv.errors import UserError
from automl_cv.features import weightfile
from automl_cv.pictures.maps import FeatureMaps
from automl_cv.saved.folder import SavedClassifier
from automl_cv.study.studyfile import Backbone

CONVOLUTIONS = (
    layers.Conv2D,
    layers.Conv2DTranspose,
    layers.DepthwiseConv2D,
    layers.SeparableConv2D,
)


@dataclass(frozen=True)
class Network:
    """A network to be looked into.

    Args:
        name: what the user called it.
        model: from float32 pixels in [0, 255], shape (batch, image_size, image_size, 3).
        image_size: height and width that images are resized to, in pixels.
        classes: names of the classes; None where they are not known.
    """

    name: str
    model: keras.Model
    image_size: int
    classes: tuple[str, ...] | None = None

    def resized(self, pixels: images.Pixels) -> images.Batch:
        """Return an image as the network gets it, float32, (image_size, image_size, 3)."""
        return images.resize(pixels, self.image_size)


def of_backbone(backbone: Backbone, image_size: int, weights_key: str = weightfile.KEY) -> Network:
    """Return a backbone, with the preprocessing that training gives it.

    Args:
        backbone: its name and weights.
        image_size: height and width of the images, in pixels.
        weights_key: where the user names a file of weights.

    Raises:
        UserError: its weights can't be downloaded or read.
    """
    return Network(backbone.name, backbones.build(backbone, image_size, weights_key), image_size)


def of_folder(saved: SavedClassifier) -> Network:
    """Return a classifier that `fit` saved.

    Raises:
        UserError: see `saved_network.load`.
    """
    model = saved_network.from_resized(saved_network.load(saved))
    return Network(str(saved.folder), model, model.input_shape[1], saved.classes)


def of_file(path: Path, image_size: int | None) -> Network:
    """Return the model of a `.keras` file, which gets pixels of 0 to 255 as they are.

    A file that `fit` wrote is taken apart behind its resizing, like its folder.

    Args:
        path: a file that `saved.safety` has looked through.
        image_size: for a model that takes images of any size, in pixels.

    Raises:
        UserError: Keras can't load it, it takes no images, or of no such size.
    """
    try:
        model = keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # whatever a layer's from_config raises
        first = (str(error).strip() or type(error).__name__).split("\n")[0]
        raise UserError(
            f"{path}: can't be loaded: {first}; expected a model of Keras's own layers, saved by "
            "`model.save`"
        ) from None
    if saved_network.RESIZED in [layer.name for layer in model.layers]:
        model = saved_network.from_resized(model)
    return Network(str(path), model, _image_size(path, model, image_size))


def _image_size(path: Path, model: keras.Model, wanted: int | None) -> int:
    match getattr(model, "input_shape", None):
        case (_, None, None, 3):
            if wanted is None:
                raise UserError(f"{path}: takes images of any size; give --image-size, in pixels")
            return wanted
        case (_, int() as height, int() as width, 3) if height == width:
            if wanted not in (None, height):
                raise UserError(f"{path}: takes images of {height} pixels, not of {wanted}")
            return height
        case shape:
            raise UserError(
                f"{path}: takes inputs of shape {shape}, not square images of three colours"
            )


def feature_maps(
    network: Network, pixels: images.Pixels, names: Sequence[str] = ()
) -> list[FeatureMaps]:
    """Run a network on an image and return what some of its layers give.

    Args:
        network: the network.
        pixels: uint8, shape (height, width, 3).
        names: of layers, each in full ("compact/stem_conv") or so much of its end that no other
            layer ends so ("stem_conv"); of none, `spread` chooses.

    Returns:
        The layers in the order of `names`, or shallow to deep.

    Raises:
        UserError: there is no such layer, several have the name, or it gives no feature maps.
    """
    _, steps = layer_outputs.run(network.model, tf.constant(network.resized(pixels)[None]))
    short = names_of(steps)
    return [
        FeatureMaps(short[step.path], step.output.numpy()[0].astype("f4"))
        for step in choose(network, steps, names)
    ]


def choose(network: Network, steps: Sequence[Step], names: Sequence[str]) -> list[Step]:
    """Return the named layers, or of no names those of `spread`.

    Raises:
        UserError: see `feature_maps`; or there is nothing to choose from.
    """
    has_maps = any(map(_is_map, steps))
    chosen = has_maps and ([_find(network, steps, name) for name in names] or spread(steps))
    if not chosen:
        raise UserError(
            f"{network.name}: no convolution in it gives feature maps of more than one pixel; "
            "name layers with --layers, or give larger images with --image-size"
        )
    return chosen


def spread(steps: Sequence[Step]) -> list[Step]:
    """Choose one layer for each size of feature maps: that of most channels, the last of equals.

    In residual networks this is a stage's output, in those of pre-activation blocks as the next
    block's first ReLU passes it on. Maps of one pixel, padding, and what stands before the first
    convolution (preprocessing) don't count.

    Args:
        steps: of a run.

    Returns:
        Layers, shallow to deep.
    """
    best: dict[tuple[int, ...], int] = {}
    inside = False
    for place, step in enumerate(steps):
        inside = inside or isinstance(step.operation, CONVOLUTIONS)
        if not inside or not isinstance(step.operation, layers.Layer) or not _is_map(step):
            continue
        _, *size, channels = step.output.shape
        if isinstance(step.operation, layers.ZeroPadding2D) or size == [1, 1]:
            continue
        before = best.get(tuple(size))
        if before is None or channels >= steps[before].output.shape[-1]:
            best[tuple(size)] = place
    return [steps[place] for place in sorted(best.values())]


def names_of(steps: Sequence[Step]) -> dict[str, str]:
    """Return by path the name that people see: no longer than tells the layers apart."""
    paths = [step.path for step in steps]
    return dict(zip(paths, layer_outputs.short_names(paths), strict=True))


def _find(network: Network, steps: Sequence[Step], name: str) -> Step:
    found = [step for step in steps if step.path == name] or [
        step for step in steps if step.path.endswith(f"/{name}")
    ]
    if len(found) == 1:
        if not _is_map(found[0]):
            raise UserError(
                f"{network.name}: layer {name!r} gives {tuple(found[0].output.shape[1:])}, no "
                "feature maps; expected a layer of shape (height, width, channels)"
            )
        return found[0]
    if found:
        paths = ", ".join(repr(step.path) for step in found)
        raise UserError(f"{network.name}: several layers are called {name!r}: name one of {paths}")
    short = names_of(steps)
    known = [short[step.path] for step in steps if _is_map(step)]
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(map(repr, close))}? " if close else ""
    raise UserError(
        f"{network.name}: no layer {name!r}: {hint}{len(known)} layers give feature maps, from "
        f"{known[0]!r} to {known[-1]!r}"
    )


def _is_map(step: Step) -> bool:
    return len(step.output.shape) == 4 and np.prod(step.output.shape) > 0
