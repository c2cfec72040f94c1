"""Writes a saved classifier for another runtime, runs it there, and compares it with Keras.

What is compared are files: opened by the preprocess.py that is written too, run in the runtime
of the exported graph; and opened by automl-cv's own decoder, run in Keras.
"""

from __future__ import annotations

import importlib.metadata
import runpy
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from automl_cv.catalog.exports import ExportEntry
from automl_cv.data import decoding, file_kinds
from automl_cv.data.images import Window, decode
from automl_cv.engine import export_graphs, images, runtime, saved_network
from automl_cv.engine.export_runtimes import Run
from automl_cv.errors import AutomlError
from automl_cv.saved import folder
from automl_cv.saved.export import (
    EXPORT,
    PREPROCESS,
    Compared,
    ComparedKind,
    Decoding,
    Export,
    Input,
    OutputName,
    Resize,
)
from automl_cv.saved.folder import SavedClassifier

TOLERANCE = 1e-4  # between two probabilities; as `fit` allows between its head and its file

FAR_OFF = 0.01
"""How far a distance may be off, as a share of it where it is above 1."""

UNSURE = 0.01
"""The same of files that were written: turned, clear or of another size, they are unlike what the
classifier knows. Where it is unsure, rounding moves it: by 0.00025 in Keras itself, between a
image alone and four times the same in a batch; by 0.0012 between Keras and ONNX Runtime."""

PIXELS = 0.01  # between what preprocess.py gives and automl-cv, of 255, where it resizes

GIVEN = "given"
"""The kind of files that were given; others are written, see `file_kinds`."""

ORDER: tuple[OutputName, ...] = ("probabilities", "distance")

LEAST_SIDE = 8  # pixels of the image that shows what a graph gives

WRITTEN = 2  # of how many of these files of each kind are written

AT_ONCE = 2**27  # bytes of images that are given to a graph together; four images at most

Open = Callable[[Path], np.ndarray]
"""Opens a file as what a graph takes, one image, (1, height, width, 3)."""


def export(
    saved: SavedClassifier,
    entry: ExportEntry,
    files: Sequence[Path],
    out: Path,
    *,
    fixed_size: bool = False,
) -> Export:
    """Write an exported classifier; it takes its place only if it gives what Keras gives.

    Args:
        saved: the classifier.
        entry: the form.
        files: of whole images, at least one, to compare on.
        out: the folder, see `saved.export.check_target`.
        fixed_size: whether the graph begins behind its resizing.

    Raises:
        AutomlError: Keras can't write it, its runtime can't run it, or the probabilities differ
            by more than `compare` allows. `out` is as it was.
    """
    model = saved_network.load_whole(saved)
    window = saved.manifest.data.window
    given = taken(model, window, fixed_size=fixed_size)
    with folder.replacing(out) as temporary, tempfile.TemporaryDirectory() as written:
        path = temporary / entry.files[0]
        shutil.copyfile(decoding.__file__, temporary / PREPROCESS)
        try:
            write = export_graphs.fixed if fixed_size else entry.load_writer()
            write(model, entry.keras_format, path)
            run = entry.load()(path)
            kinds = {GIVEN: files, **_of_every_kind(files[:WRITTEN], Path(written), window)}
            outputs = _outputs(model, run, given)
            compared = compare(
                model, _in_order(run, outputs), _opener(temporary, given), kinds, window
            )
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
            input=given,
            outputs=outputs,
            source=saved.manifest.files[folder.NETWORK],
            compared=compared,
            versions={**runtime.versions(), **_versions(entry)},
        )
        (temporary / EXPORT).write_text(made.model_dump_json(indent=2), encoding="utf-8")
    return made


def taken(model: keras.Model, window: Window | None, *, fixed_size: bool) -> Input:
    """Return what an exported graph takes.

    Args:
        model: as `saved_network.load` returns it.
        window: of the classifier's images, see `data.images.decode`.
        fixed_size: whether the graph begins behind its resizing.
    """
    decoded = Decoding.within(window)
    if not fixed_size:
        return Input(shape=(None, None, None, 3), dtype="uint8", decoding=decoded)
    _, height, width, channels = saved_network.from_resized(model).input_shape
    return Input(
        shape=(None, height, width, channels),
        dtype="float32",
        resize=Resize(height=height, width=width),
        decoding=decoded,
    )


def compare(
    model: keras.Model,
    run: Run,
    opened: Open,
    kinds: Mapping[str, Sequence[Path]],
    window: Window | None,
) -> Compared:
    """Compare an exported graph with Keras, file by file and in batches.

    Args:
        model: as `saved_network.load_whole` returns it.
        run: the graph in its runtime, probabilities first.
        opened: opens a file for the graph.
        kinds: files of whole images, by their kind.
        window: of the classifier's images, see `data.images.decode`.

    Raises:
        AutomlError: a file is opened as another image; or probabilities of files that were
            given differ by more than TOLERANCE, or in the most probable class; or those of
            others by more than UNSURE; or distances by more than FAR_OFF.
    """
    sizes, seen = set(), []
    alike: dict[tuple[int, ...], list[tuple[_Seen, np.ndarray]]] = defaultdict(list)
    with tf.device("CPU"):  # where the runtimes are; a GPU's numbers differ by themselves
        for kind, path in ((kind, path) for kind, paths in kinds.items() for path in paths):
            pixels = decode(path, window)
            sizes.add(pixels.shape)
            expected = tf.nest.flatten(model(pixels[None], training=False))
            seen.append(_Seen(kind, *(one.numpy()[0] for one in expected)))
            batch = opened(path)
            _check_pixels(kind, batch, pixels)
            seen[-1].note(*(output[0] for output in run(batch)))
            fitting = max(1, min(4, AT_ONCE // batch.nbytes))
            if len(alike[batch.shape]) < fitting:
                alike[batch.shape].append((seen[-1], batch))
    for together in alike.values():
        if len(together) > 1:
            found = run(np.concatenate([batch for _, batch in together]))
            for (one, _), *outputs in zip(together, *found, strict=True):
                one.note(*outputs)
    compared = Compared(
        images=len(seen),
        sizes=len(sizes),
        largest_difference=max(one.largest for one in seen),
        tolerance=TOLERANCE,
        distance_difference=None if len(model.outputs) == 1 else max(one.off for one in seen),
        kinds={kind: _summed([one for one in seen if one.kind == kind]) for kind in kinds},
    )
    _check(compared)
    return compared


@dataclass
class _Seen:
    """What a file was seen to give.

    Args:
        kind: of the file.
        expected: probabilities in Keras, (classes,).
        distance: in Keras, (1,); None of a classifier that can't tell.
        largest: difference from the probabilities so far.
        off: from the distance, as a share of it where it is above 1.
        same: whether the same class was the most probable so far.
    """

    kind: str
    expected: np.ndarray
    distance: np.ndarray | None = None
    largest: float = 0.0
    off: float = 0.0
    same: bool = True

    def note(self, found: np.ndarray, distance: np.ndarray | None = None) -> None:
        self.largest = max(self.largest, _difference(found, self.expected))
        self.same &= bool(found.argmax() == self.expected.argmax())
        if self.distance is not None and distance is not None:
            off = _difference(distance, self.distance) / max(float(self.distance[0]), 1.0)
            self.off = max(self.off, off)


def _difference(found: np.ndarray, expected: np.ndarray) -> float:
    difference = float(np.abs(found - expected).max())
    return difference if np.isfinite(difference) else np.inf


def _summed(seen: Sequence[_Seen]) -> ComparedKind:
    return ComparedKind(
        files=len(seen),
        same_class=sum(one.same for one in seen),
        largest_difference=max(one.largest for one in seen),
    )


def _check_pixels(kind: str, batch: np.ndarray, pixels: images.Pixels) -> None:
    if batch.dtype == np.uint8:
        is_same = np.array_equal(batch[0], pixels)
    else:
        own = images.resize(pixels, batch.shape[1])
        is_same = float(np.abs(batch[0] - own).max()) <= PIXELS
    if not is_same:
        raise AutomlError(
            f"{PREPROCESS} makes another image of a file ({kind}) than automl-cv; nothing was "
            "written"
        )


def _check(compared: Compared) -> None:
    given = compared.kinds[GIVEN]
    written = [of.largest_difference for kind, of in compared.kinds.items() if kind != GIVEN]
    if (
        given.same_class == given.files
        and given.largest_difference <= TOLERANCE
        and max(written, default=0) <= UNSURE
    ):
        if (compared.distance_difference or 0.0) <= FAR_OFF:
            return
        raise AutomlError(
            "the exported graph gives other distances, by which foreign images are told, than "
            f"model.keras: off by {compared.distance_difference:.2g} of them (tolerance "
            f"{FAR_OFF:g}); nothing was written"
        )
    worst = max(compared.kinds, key=lambda kind: compared.kinds[kind].largest_difference)
    others = compared.images - sum(of.same_class for of in compared.kinds.values())
    raise AutomlError(
        f"the exported graph gives other probabilities than model.keras: largest difference "
        f"{given.largest_difference:.2g} of the files that were given (tolerance {TOLERANCE:g}), "
        f"{compared.largest_difference:.2g} of all (tolerance {UNSURE:g}; {worst}), another class "
        f"on {others} of {compared.images} files; nothing was written"
    )


def _outputs(model: keras.Model, run: Run, given: Input) -> tuple[OutputName, ...]:
    """Return what a graph gives, in its runtime's order, which not all promise to keep."""
    picture = np.zeros([size or LEAST_SIDE for size in (1, *given.shape[1:])], given.dtype)
    found = [output.shape[1:] for output in run(picture)]
    named: dict[tuple[int, ...], OutputName] = {
        (int(model.outputs[0].shape[-1]),): "probabilities",
        (1,): "distance",
    }
    outputs = tuple(named[shape] for shape in found if shape in named)
    if len(outputs) != len(found) or sorted(outputs, reverse=True) != [
        *ORDER[: len(model.outputs)]
    ]:
        raise AutomlError(
            f"the exported graph gives numbers of the shapes {found}, and not what model.keras "
            "gives; nothing was written"
        )
    return outputs


def _in_order(run: Run, outputs: Sequence[OutputName]) -> Run:
    """Return a graph that gives probabilities first."""
    places = [outputs.index(name) for name in ORDER if name in outputs]

    def in_order(batch: np.ndarray) -> list[np.ndarray]:
        found = run(batch)
        return [found[place] for place in places]

    return in_order


def _opener(exported: Path, given: Input) -> Open:
    """Return how a program opens files that has the exported folder alone."""
    facts = {"input": given.model_dump(mode="json")}
    preprocess = runpy.run_path(str(exported / PREPROCESS))["preprocess"]
    return lambda path: preprocess(path, facts)


def _of_every_kind(
    files: Sequence[Path], written: Path, window: Window | None
) -> dict[str, list[Path]]:
    """Write some images as files of every kind; return these by kind."""
    kinds: dict[str, list[Path]] = defaultdict(list)
    for number, file in enumerate(files):
        own = written / str(number)
        own.mkdir()
        for name in file_kinds.write(decode(file, window), own, window):
            kinds[name].append(own / name)
    return kinds


def _versions(entry: ExportEntry) -> dict[str, str]:
    owners = importlib.metadata.packages_distributions()
    names = {owners[package][0] for package in entry.needs if package in owners}
    return {name: importlib.metadata.version(name) for name in sorted(names)}
