"""Runs any number of images through a saved classifier, in order, a bounded number at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from automl_cv.catalog.engines import FLOAT32, TENSORFLOW
from automl_cv.data.images import DamagedImage, Window, held
from automl_cv.data.large import Large
from automl_cv.engine import images, saved_network
from automl_cv.engine.backbone import Calls, compile_calls
from automl_cv.engine.compared import Unsuited, compile_compared
from automl_cv.errors import warn
from automl_cv.features.cache import Matrix
from automl_cv.features.engines import serves
from automl_cv.processors import cores

# Images that pass the network at once, by the greatest image size, in pixels, that they hold
# for. Small images want many: `compact` at 32 pixels takes a fifth less processor time with 64
# than with 16. Large ones want memory, and gain nothing (see `extract.BATCH_SIZE`).
BATCH_SIZES = {64: 64, 128: 32}
LEAST_BATCH_SIZE = 16

# By how much an engine's probabilities and logits may differ from TensorFlow's, of the largest of
# them. A head of square roots magnifies rounding: 1.5e-4 of a logit was measured on digits, 5e-4 of
# a probability on noise. `fit` asks the same of what it writes.
TOLERANCE = 1e-3

Source = Path | images.Pixels
"""A file, or an image: uint8, shape (height, width, 3)."""

Loaded = tuple[tuple[str | None, ...], images.Batch]
"""Of some images why each can't be read, None where it can; and the pixels of those that can."""


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
        engine: what made the features that it learned from; many images pass through that.
    """

    def __init__(
        self,
        model: keras.Model,
        batch_size: int | None = None,
        *,
        window: Window | None = None,
        engine: str = TENSORFLOW,
    ) -> None:
        self._network = network = saved_network.with_logits(model)
        self._size = int(network.input_shape[1])
        self._batch_size = batch_size or suited_batch_size(self._size)
        self._call = compile_calls(network, self._batch_size)
        self._engine = engine
        self._by_engine: Calls | None = None
        self._window = window
        self._classes = int(model.outputs[0].shape[-1])
        self.knows_foreign = len(model.outputs) > 1

    def predict(self, sources: Iterable[Source], count: int = 0) -> Iterator[Predicted]:
        """Classify images in their order; however many there are, few are in memory.

        Args:
            sources: files and images; asked for one by one, not far ahead of the results.
            count: how many there are at least, as far as is known: with many, and where the
                classifier's engine is installed, that one takes TensorFlow's place.
        """
        threads = cores()
        # TensorFlow has one thread for each operation (see `runtime`), so the cores are taken
        # by as many callers. A GPU is one device.
        callers = 1 if tf.config.list_physical_devices("GPU") else threads
        with (
            ThreadPoolExecutor(threads, "decode") as decoders,
            ThreadPoolExecutor(callers, "network") as networks,
        ):
            loaded = images.in_order(
                decoders, self._load, _chunks(sources, self._batch_size), ahead=2 * threads
            )
            if serves(self._engine, count, self._size):
                call, loaded = self._call_of_engine(loaded)
            else:
                call = self._call
            classify = partial(self._classify, call)
            yield from images.in_order(networks, classify, loaded, ahead=2 * callers)

    def _call_of_engine(self, loaded: Iterator[Loaded]) -> tuple[Calls, Iterator[Loaded]]:
        """Return the network as the engine runs it, compared on the first images, and all images.

        It is TensorFlow's where the engine does not suit, which is told once.
        """
        first = next(loaded)
        pixels = first[1]
        if self._by_engine is None and len(pixels):
            try:
                self._by_engine = compile_compared(
                    self._network,
                    self._batch_size,
                    self._engine,
                    FLOAT32,
                    pixels,
                    tolerance=TOLERANCE,
                )
            except Unsuited as reason:
                warn(f"TensorFlow predicts in place of {self._engine}: {reason}")
                self._by_engine = self._call
        return self._by_engine or self._call, chain([first], loaded)

    def _load(self, sources: list[Source]) -> Loaded:
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

    def _classify(self, call: Calls, loaded: Loaded) -> Predicted:
        reasons, pixels = loaded
        if len(pixels) == 0:
            nothing = np.empty((0, self._classes), np.float32)
            distances = nothing[:, 0] if self.knows_foreign else None
            return Predicted(reasons, nothing, nothing, distances)
        probabilities, logits, *others = call(pixels)
        return Predicted(reasons, probabilities, logits, others[0][:, 0] if others else None)


def suited_batch_size(image_size: int) -> int:
    """Return how many images of a size, in pixels, should pass a network at once."""
    fitting = (count for size, count in BATCH_SIZES.items() if image_size <= size)
    return next(fitting, LEAST_BATCH_SIZE)


def _chunks(sources: Iterable[Source], size: int) -> Iterator[list[Source]]:
    remaining = iter(sources)
    while chunk := list(islice(remaining, size)):
        yield chunk
