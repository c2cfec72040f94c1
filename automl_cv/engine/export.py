"""Writes a saved classifier for another runtime, runs it there, and compares it with Keras.

Keras's own `export` does the writing. TensorFlow's antialiased resizing (ScaleAndTranslate) has
no counterpart in tf2onnx 1.17, LiteRT and OpenVINO 2026.4, so their graphs begin behind it.
"""

from __future__ import annotations

import importlib.metadata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from PIL import Image

from automl_cv.catalog.exports import ExportEntry
from automl_cv.data.images import WHOLE
from automl_cv.engine import images, runtime, saved_network
from automl_cv.engine.export_runtimes import Run
from automl_cv.errors import AutomlError
from automl_cv.saved import folder
from automl_cv.saved.export import EXPORT, Compared, Decoding, Export, Input, Resize
from automl_cv.saved.folder import SavedClassifier

TOLERANCE = 1e-4  # between two probabilities; as `fit` allows between its head and its file

LEAST_SIZES = 3
SCALES = ((1.5, 2.25), (0.5, 1.25), (3.0, 0.75))
"""Height and width of scaled copies, where the pictures are of fewer than LEAST_SIZES sizes."""


def export(
    saved: SavedClassifier, entry: ExportEntry, pictures: Sequence[images.Pixels], out: Path
) -> Export:
    """Write an exported classifier; it takes its place only if it gives what Keras gives.

    Args:
        saved: the classifier.
        entry: the form.
        pictures: at least one, to compare on: uint8, shape (height, width, 3).
        out: the folder, see `saved.export.check_target`.

    Raises:
        AutomlError: Keras can't write it, its runtime can't run it, or the probabilities differ
            by more than TOLERANCE, or another class is the most probable. `out` is as it was.
    """
    model = saved_network.load(saved)
    with folder.replacing(out) as temporary:
        path = temporary / entry.files[0]
        try:
            given = write(model, entry, path)
            run = entry.load()(path)
            compared = compare(model, run, given, of_several_sizes(pictures))
        except AutomlError as error:
            raise AutomlError(f"{saved.folder}: {entry.name}: {error}") from None
        except Exception as error:  # of converters and runtimes, anything
            said = (str(error).strip() or type(error).__name__).split("\n")[0]
            raise AutomlError(
                f"{saved.folder}: can't be exported as {entry.name}: {said}; nothing was written"
            ) from error
        made = Export(
            form=entry.name,
            file=path.name,
            classes=saved.classes,
            input=given.model_copy(
                update={"decoding": Decoding(greys=saved.manifest.data.window or (0, WHOLE))}
            ),
            source=saved.manifest.files[folder.NETWORK],
            compared=compared,
            versions={**runtime.versions(), **_versions(entry)},
        )
        (temporary / EXPORT).write_text(made.model_dump_json(indent=2), encoding="utf-8")
    return made


def write(model: keras.Model, entry: ExportEntry, path: Path) -> Input:
    """Write the graph alone.

    Args:
        model: as `saved_network.load` returns it.
        entry: the form.
        path: of the first of its files.

    Returns:
        What the graph takes.
    """
    _hold_constants(model)
    if entry.takes_any_size:
        graph, given = model, Input(shape=(None, None, None, 3), dtype="uint8")
    else:
        behind = saved_network.from_resized(model)
        _, height, width, channels = behind.input_shape
        pixels = keras.Input((height, width, channels), dtype="float32", name="pixels")
        graph = keras.Model(pixels, behind(pixels, training=False), name="classifier")
        given = Input(
            shape=(None, height, width, channels),
            dtype="float32",
            resize=Resize(height=height, width=width),
        )
    # Keras refuses to export to ONNX what was never called.
    graph(np.zeros([size or 1 for size in given.shape], given.dtype), training=False)
    graph.export(str(path), format=entry.keras_format, verbose=False)
    return given


def compare(
    model: keras.Model, run: Run, given: Input, pictures: Sequence[images.Pixels]
) -> Compared:
    """Compare an exported graph with Keras, picture by picture and in batches.

    Args:
        model: as `saved_network.load` returns it.
        run: the graph in its runtime.
        given: what the graph takes.
        pictures: uint8, shape (height, width, 3).

    Raises:
        AutomlError: they differ by more than TOLERANCE, or in the most probable class.
    """
    with tf.device("CPU"):  # where the runtimes are; a GPU's numbers differ by themselves
        expected = [model(picture[None], training=False).numpy()[0] for picture in pictures]
        largest, other = 0.0, set()
        for places, batch in _batches(pictures, given):
            for place, found in zip(places, run(batch), strict=True):
                difference = float(np.abs(found - expected[place]).max())
                largest = max(largest, difference if np.isfinite(difference) else np.inf)
                if found.argmax() != expected[place].argmax():
                    other.add(place)
    if largest > TOLERANCE or other:
        raise AutomlError(
            f"the exported graph gives other probabilities than model.keras: largest difference "
            f"{largest:.2g} (tolerance {TOLERANCE:g}), another class on {len(other)} of "
            f"{len(pictures)} images; nothing was written"
        )
    return Compared(
        images=len(pictures),
        sizes=len({picture.shape for picture in pictures}),
        largest_difference=largest,
        tolerance=TOLERANCE,
    )


def of_several_sizes(pictures: Sequence[images.Pixels]) -> list[images.Pixels]:
    """Return pictures, and scaled copies of some where they are of fewer than three sizes."""
    several = list(pictures)
    for number, (taller, wider) in enumerate(SCALES):
        if len({picture.shape for picture in several}) >= LEAST_SIZES:
            break
        picture = pictures[number % len(pictures)]
        height, width = picture.shape[0] * taller, picture.shape[1] * wider
        scaled = Image.fromarray(picture).resize((max(1, round(width)), max(1, round(height))))
        several.append(np.asarray(scaled))
    return several


def _batches(
    pictures: Sequence[images.Pixels], given: Input
) -> Iterator[tuple[list[int], np.ndarray]]:
    """Yield each picture alone, then those that are given in one shape together."""
    prepared: list[np.ndarray] = list(pictures)
    if given.resize is not None:
        prepared = list(images.resize_all(pictures, given.resize.height))
    alike: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for place, picture in enumerate(prepared):
        yield [place], picture[None]
        alike[picture.shape].append(place)
    for places in alike.values():
        if len(places) > 1:
            yield places, np.stack([prepared[place] for place in places])


def _hold_constants(model: keras.Model) -> None:
    """Turn means and variances that are no variables into constants of the graph.

    Tensors would be captured by the traced function, and tf2onnx makes inputs of captures.
    """
    for layer in model._flatten_layers(include_self=False):
        if isinstance(layer, layers.Normalization):
            layer.mean, layer.variance = np.asarray(layer.mean), np.asarray(layer.variance)


def _versions(entry: ExportEntry) -> dict[str, str]:
    owners = importlib.metadata.packages_distributions()
    names = {owners[package][0] for package in entry.needs if package in owners}
    return {name: importlib.metadata.version(name) for name in sorted(names)}
