"""Runs any number of images through a saved classifier, in order, a bounded number at a time."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from automl_cv.data.images import DamagedImage, Window, held
from automl_cv.data.large import Large
from automl_cv.engine import images, saved_network
from automl_cv.engine.backbone import compile_calls
from automl_cv.features.cache import Matrix

# Images that pass the network at once, by the greatest image size, in pixels, that they hold
# for. Small images want many: `compact` at 32 pixels takes a fifth less processor time with 64
# than with 16. Large ones want memory, and gain nothing (see `extract.BATCH_SIZE`).
BATCH_SIZES = {64: 64, 128: 32}
LEAST_BATCH_SIZE = 16

Source = Path | images.Pixels
"""A file, or an image: uint8, shape (height, width, 3)."""


@dataclass(frozen=True)
class Predicted:
    """What came of a few images that stand side by side.

    Args:
        reasons: for each image, why it has no probabilities; None where it has.
        probabilities: of the others, in order, float32 (others, classes), rows of sum 1.
        logits: whose softmax these are, float32 (others, classes): a probability below 1e-38 is
            0, its logarithm is still known.
        distances: from what it was trained on, float32 (others,), above 1 for a foreign image;
            None of a classifier that can't tell.
    """

    reasons: tuple[str | None, ...]
    probabilities: Matrix
    logits: Matrix
    distances: Matrix | None = None


class Predictor:
    """Decodes, resizes and classifies images, each step some batches ahead of the next.

    Args:
        model: `saved_network.load_whole` of a saved classifier, or `load`.
        window: which values of deep greys become black and white, see `data.images.decode`.
        batch_size: images that pass the network at once; smaller batches are filled up. None
            takes what suits the network's image size.
    """

    def __init__(
        self, model: keras.Model, batch_size: int | None = None, *, window: Window | None = None
    ) -> None:
        network = saved_network.with_logits(model)
        self._size = int(network.input_shape[1])
        self._batch_size = batch_size or suited_batch_size(self._size)
        self._call = compile_calls(network, self._batch_size)
        self._window = window
        self._classes = int(model.outputs[0].shape[-1])
        self.knows_foreign = len(model.outputs) > 1

    def predict(self, sources: Iterable[Source]) -> Iterator[Predicted]:
        """Classify images in their order; however many there are, few are in memory.

        Args:
            sources: files and images; asked for one by one, not far ahead of the results.
        """
        cores = os.cpu_count() or 1
        # TensorFlow has one thread for each operation (see `runtime`), so the cores are taken
        # by as many callers. A GPU is one device.
        callers = 1 if tf.config.list_physical_devices("GPU") else cores
        with (
            ThreadPoolExecutor(cores, "decode") as decoders,
            ThreadPoolExecutor(callers, "network") as networks,
        ):
            loaded = images.in_order(
                decoders, self._load, _chunks(sources, self._batch_size), ahead=2 * cores
            )
            yield from images.in_order(networks, self._classify, loaded, ahead=2 * callers)

    def _load(self, sources: list[Source]) -> tuple[tuple[str | None, ...], images.Batch]:
        reasons: list[str | None] = []

        def decoded() -> Iterator[images.Pixels | Large]:
            for source in sources:
                with ExitStack() as stack:
                    try:
                        pixels = (
                            stack.enter_context(held(source, self._window))
                            if isinstance(source, Path)
                            else source
                        )
                    except DamagedImage as damage:
                        reasons.append(str(damage))
                    else:
                        reasons.append(None)
                        yield pixels

        pixels = images.resize_all(decoded(), self._size)
        return tuple(reasons), pixels

    def _classify(self, loaded: tuple[tuple[str | None, ...], images.Batch]) -> Predicted:
        reasons, pixels = loaded
        if len(pixels) == 0:
            nothing = np.empty((0, self._classes), np.float32)
            distances = nothing[:, 0] if self.knows_foreign else None
            return Predicted(reasons, nothing, nothing, distances)
        probabilities, logits, *others = self._call(pixels)
        return Predicted(reasons, probabilities, logits, others[0][:, 0] if others else None)


def suited_batch_size(image_size: int) -> int:
    """Return how many images of a size, in pixels, should pass a network at once."""
    fitting = (count for size, count in BATCH_SIZES.items() if image_size <= size)
    return next(fitting, LEAST_BATCH_SIZE)


def _chunks(sources: Iterable[Source], size: int) -> Iterator[list[Source]]:
    remaining = iter(sources)
    while chunk := list(islice(remaining, size)):
        yield chunk
