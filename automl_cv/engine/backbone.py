"""Builds a study's backbone: one frozen graph from raw pixels to a vector for each block."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from automl_cv.catalog.backbones import BACKBONES, BackboneEntry
from automl_cv.catalog.engines import FLOAT32
from automl_cv.catalog.preprocessing import PREPROCESSINGS, UNCHANGED
from automl_cv.engine.bottlenecks import last_of_each_size
from automl_cv.engine.flattening import flattened
from automl_cv.engine.mixed_precision import in_half
from automl_cv.errors import UserError
from automl_cv.features import weightfile
from automl_cv.features.cache import Matrix
from automl_cv.registry import load
from automl_cv.saved import safety
from automl_cv.study.studyfile import Backbone


def build(backbone: Backbone, image_size: int, weights_key: str = weightfile.KEY) -> keras.Model:
    """Build the network that makes features, weights loaded, nothing trainable.

    Preprocessing stands in the graph, in Keras's own layers and operations. BatchNorm
    uses its stored statistics, whatever mode the network is called in.

    A saved `.keras` model gets pixels of 0 to 255 as they are: models that carry their
    own preprocessing expect these. Its blocks are the last map of each size that every path
    goes through, also of models within it, and its output. A feature map is pooled,
    a vector is taken as it is, and a last Dense layer with softmax is cut off, since
    scores of some other task's classes are poor features.

    Args:
        backbone: the study's `[backbone]`.
        image_size: height and width of the images, in pixels.
        weights_key: where the user names a file of weights.

    Returns:
        A model from float32 pixels in [0, 255], shape (batch, image_size, image_size, 3), to
        a list of float32 vectors, shape (batch, width), one for each block (`outputs`; called,
        Keras gives a list of one as the bare vector).

    Raises:
        UserError: weights or model can't be downloaded, read or used.
    """
    blocks, preprocessing = load_blocks(backbone, image_size, weights_key)
    return on_pixels(blocks, preprocessing, image_size, pool)


def load_blocks(
    backbone: Backbone, image_size: int, weights_key: str = weightfile.KEY
) -> tuple[keras.Model, str]:
    """Build the network alone: from preprocessed images to the outputs of its blocks, not pooled.

    Args:
        backbone: the study's `[backbone]`.
        image_size: height and width of the images, in pixels.
        weights_key: see `build`.

    Returns:
        One functional graph, nothing trainable, and what its images must go through first, an
        entry of the table of preprocessing.

    Raises:
        UserError: see `build`.
    """
    path = weightfile.path_of(backbone, weights_key)
    preprocessing = UNCHANGED
    if weightfile.is_saved_model(backbone):
        blocks = _load_saved_model(path, image_size)
    else:
        entry = BACKBONES[backbone.name]
        if path == entry.weights.path:
            _have(entry, weights_key)
        blocks, preprocessing = _load_entry(entry, path, image_size), entry.preprocessing
    blocks.trainable = False
    return blocks, preprocessing


def on_pixels(
    network: keras.Model,
    preprocessing: str,
    image_size: int,
    end: Callable[[list[keras.KerasTensor]], list[keras.KerasTensor]],
) -> keras.Model:
    """Put preprocessing before a network of `load_blocks`, or a part of it, and an end behind.

    Args:
        network: from preprocessed images to feature maps.
        preprocessing: what stands before it, an entry of the table.
        image_size: height and width of the images, in pixels.
        end: makes a vector of each output.

    Raises:
        UserError: there is no such preprocessing.
    """
    pixels = keras.Input((image_size, image_size, 3), name="pixels")
    prepared = PREPROCESSINGS[preprocessing].load()(pixels)
    outputs = keras.tree.flatten(network(prepared, training=False))
    return keras.Model(pixels, end(outputs), name="backbone")


def pool(outputs: list[keras.KerasTensor]) -> list[keras.KerasTensor]:
    """Make a vector of each block's output.

    Of a feature map it is the average over its places. Of the tokens of a transformer it is the
    class token, which is the first, and the average of the others. A vector stays as it is.
    """
    return [_pooled(output, f"block{number}") for number, output in enumerate(outputs, start=1)]


def _pooled(output: keras.KerasTensor, name: str) -> keras.KerasTensor:
    if len(output.shape) == 4:
        return layers.GlobalAveragePooling2D(name=name)(output)
    if len(output.shape) == 3:
        first = layers.Flatten(name=f"{name}_class")(
            layers.Cropping1D((0, output.shape[1] - 1))(output)
        )
        others = layers.GlobalAveragePooling1D(name=f"{name}_patches")(
            layers.Cropping1D((1, 0))(output)
        )
        return layers.Concatenate(name=name)([first, others])
    return output


Calls = Callable[[np.ndarray], list[Matrix]]
"""A compiled network: from float32 pixels, shape (images, height, width, 3), to a list of float32
arrays, shape (images, width)."""


def compile_calls(network: keras.Model, batch_size: int, precision: str = FLOAT32) -> Calls:
    """Compile a network of `build` for batches of one size; threads may share the result.

    Args:
        network: from pixels to a list of vectors.
        batch_size: images of a full batch.
        precision: float32, or float16: layers compute in that, as Keras's mixed precision has
            it, but for preprocessing and pooling.
    """
    if precision != FLOAT32:
        network = backbone_in_half(network)
    compiled = traced(network, batch_size)

    def call(pixels: np.ndarray) -> list[Matrix]:
        # Keras unwraps a list of one output when a model is called.
        outputs = keras.tree.flatten(compiled(tf.constant(pixels)))
        return [vectors.numpy() for vectors in outputs]

    return on_full_batches(call, (batch_size, *network.input_shape[1:]))


def backbone_in_half(network: keras.Model) -> keras.Model:
    """Return a network of `build` whose backbone computes in float16, with the same weights.

    Preprocessing and pooling around it stay in float32: half precision has no room for 255 and
    fractions, nor for sums over many places.
    """

    def cloned(layer: keras.layers.Layer) -> keras.layers.Layer:
        if not isinstance(layer, keras.Model):
            return layer
        half = keras.models.clone_model(layer, clone_function=in_half, recursive=True)
        half.set_weights(layer.get_weights())
        for own in half._flatten_layers():
            if isinstance(own, layers.Normalization):
                own.finalize_state()  # else it goes on with the statistics it was made with
        return half

    return keras.models.clone_model(network, clone_function=cloned)


def traced(network: keras.Model, batch_size: int) -> Any:
    """Return a network as TensorFlow's function of batches of one size."""
    shape = (batch_size, *network.input_shape[1:])
    return tf.function(
        lambda pixels: network(pixels, training=False),
        input_signature=[tf.TensorSpec(shape, tf.float32)],
        jit_compile=False,
    ).get_concrete_function()


def on_full_batches(call: Calls, shape: tuple[int, ...]) -> Calls:
    """Have a function get batches of one size: smaller ones are filled up with black.

    Then an image's features do not depend on how many images are left, nor is anything traced
    twice.

    Args:
        call: takes and gives full batches.
        shape: of a full batch.
    """

    def filling(pixels: np.ndarray) -> list[Matrix]:
        n_images = len(pixels)
        if n_images < shape[0]:
            filled = np.zeros(shape, np.float32)
            filled[:n_images] = pixels
            pixels = filled
        return [vectors[:n_images] for vectors in call(pixels)]

    return filling


def unweighted(entry: BackboneEntry, image_size: int) -> keras.Model:
    """Build an entry's network with random weights.

    Args:
        entry: of the table.
        image_size: height and width of the images, in pixels.
    """
    sized = {"image_size": image_size} if entry.patch else {}
    network: keras.Model = entry.load()(**entry.arguments, **sized)
    return network


def _load_entry(entry: BackboneEntry, path: Path, image_size: int) -> keras.Model:
    """Build an entry's network and load its weights: a model to the outputs of its blocks."""
    network = unweighted(entry, image_size)
    expected = f"a file that `save_weights` of the headless {entry.name} wrote"
    if path.suffix == ".pth" and entry.weights.package:
        expected = f"one like that of the package {entry.weights.distribution}"
    try:
        if entry.reader and (path == entry.weights.path or path.suffix == ".pth"):
            load(entry.reader)(network, path)
        else:
            network.load_weights(path)
    except Exception as error:  # h5py and Keras raise anything from KeyError to OSError
        raise UserError(
            f"{path}: no weights of {entry.name}: {_first_line(error)}; expected {expected}"
        ) from None
    return keras.Model(network.input, block_outputs(entry, network), name=entry.name)


def block_outputs(entry: BackboneEntry, network: keras.Model) -> list[keras.KerasTensor]:
    """Return the outputs of the blocks of an entry's network; the network's own is the last."""
    *ends, last = network.outputs
    ends += [
        layer.output for layer in network.layers if re.fullmatch(entry.block_outputs, layer.name)
    ]
    return [*(end for end in ends if end is not last), last]


def _have(entry: BackboneEntry, weights_key: str) -> None:
    """See to it that an entry's own weights are at hand and whole."""
    if entry.weights.url:
        _download(entry, weights_key)
    elif damaged := weightfile.damage(entry.weights):
        again = f"install {entry.weights.distribution} again"
        raise UserError(f"{damaged}; {again}")


def _download(entry: BackboneEntry, weights_key: str) -> None:
    """Have Keras fetch and check the weights it publishes, unless they are there already."""
    weights = entry.weights
    try:
        weights.path.parent.mkdir(parents=True, exist_ok=True)
        # Keras prints its progress to stdout, where only data goes.
        with contextlib.redirect_stdout(sys.stderr):
            keras.utils.get_file(
                weights.file_name,
                weights.url,
                cache_subdir=str(weights.path.parent.resolve()),
                file_hash=weights.digest,
            )
    except Exception as error:  # Keras raises a bare Exception where a download fails
        # Keras begins with the address, which the message gives itself.
        reason = _first_line(error).removeprefix(f"URL fetch failure on {weights.url}: ")
        reason = reason.removeprefix("None -- ")
        is_of_study = weights_key == weightfile.KEY
        instead = ": automl-cv search photos --data DIR" if is_of_study else ""
        raise UserError(
            f"the ImageNet weights of {entry.name} are not at hand and can't be downloaded "
            f"({reason}): put {weights.file_name} from {weights.url} into "
            f"{weights.path.parent}, or name a file with {weights_key}; those of "
            f"EfficientNetLite0 to 2 come as packages, the extra photos{instead}"
        ) from None


def _load_saved_model(path: Path, image_size: int) -> keras.Model:
    """Load a `.keras` model and cut it where its features are: a model to a list of outputs."""
    safety.check_network(path)
    try:
        model = keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # whatever a layer's from_config raises
        raise UserError(
            f"{path}: can't be loaded: {_first_line(error)}; expected a model of Keras's own "
            "layers, saved by `model.save`"
        ) from None
    taken = getattr(model, "input_shape", None)
    match taken:
        case (_, int() | None as height, int() | None as width, 3):
            fits = height in (None, image_size) and width in (None, image_size)
        case _:
            fits = False
    if not fits:
        raise UserError(
            f"{path}: takes inputs of shape {taken}, not images of ({image_size}, {image_size}, 3)"
        )
    whole = flattened(model)
    output = whole.output
    last = whole.layers[-1]
    if isinstance(last, layers.Dense) and last.activation is keras.activations.softmax:
        output = last.input
    if not keras.backend.is_keras_tensor(output) or len(output.shape) not in (2, 4):
        raise UserError(f"{path}: expected one output, a feature map or a vector for each image")
    network = keras.Model(whole.input, output)
    ends = [end for end in last_of_each_size(network, image_size) if end is not output]
    pooled = output._keras_history.operation
    if ends and isinstance(pooled, layers.GlobalAveragePooling2D) and pooled.input is ends[-1]:
        ends.pop()  # pooled here too, it would be the output once more
    return keras.Model(network.input, [*ends, output], name="saved_model")


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0] or type(error).__name__
