"""The public `Classifier`: a saved classifier in Python."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from automl_cv.data.images import DamagedImage, Window, from_pillow
from automl_cv.errors import UserError
from automl_cv.saved import folder
from automl_cv.saved.facts import Manifest
from automl_cv.saved.folder import SavedClassifier
from automl_cv.saved.prediction import Prediction

if TYPE_CHECKING:
    from automl_cv.engine.prediction import Predictor, Source

Images = Any
"""A path; an image as uint8 array (height, width, 3) or of Pillow; a sequence of these; or an
array of images of one size, uint8 (images, height, width, 3)."""


class Classifier:
    """What `automl-cv fit` wrote, ready to predict. Made by `load`.

    Example:
        >>> import automl_cv
        >>> classifier = automl_cv.Classifier.load("model")
        >>> labels = classifier.predict(["photos/1.jpg", "photos/2.jpg"])

    Args:
        saved: the folder, as it was read and checked.
        predictor: its network.
    """

    def __init__(self, saved: SavedClassifier, predictor: Predictor) -> None:
        self._saved = saved
        self._predictor = predictor

    @classmethod
    def load(cls, path: str | Path) -> Classifier:
        """Load a saved classifier; nothing in its folder is run as code.

        Args:
            path: the folder that `automl-cv fit` wrote.

        Raises:
            UserError: it is none, it was changed or damaged, or its network could run code.
        """
        saved = folder.read(Path(path).expanduser())
        # TensorFlow takes seconds to load: not before the folder is known to be good.
        from automl_cv.engine import saved_network
        from automl_cv.engine.prediction import Predictor

        manifest, model = saved.manifest, saved_network.load_whole(saved)
        return cls(saved, Predictor(model, window=manifest.data.window, engine=manifest.engine))

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the columns of `predict_proba`."""
        return self._saved.classes

    @property
    def manifest(self) -> Manifest:
        """What is known of it: images, parameters, versions, …"""
        return self._saved.manifest

    def predict(self, images: Images) -> NDArray[np.str_]:
        """Return the most probable class of each image.

        Args:
            images: see `predict_proba`.

        Returns:
            Names of classes, shape (images,).

        Raises:
            UserError: see `predict_proba`.
        """
        names: NDArray[np.str_] = np.asarray(self.classes, dtype=np.str_)
        labels: NDArray[np.str_] = names[self.predict_proba(images).argmax(axis=1)]
        return labels

    def predict_proba(self, images: Images) -> NDArray[np.float32]:
        """Return the probability of each class for each image.

        Args:
            images: a path; an image as uint8 array (height, width, 3), red, green and blue, or
                of Pillow; any iterable of these, sizes may differ; or an array of images, uint8
                (images, height, width, 3).

        Returns:
            float32, shape (images, classes), rows of sum 1. A single image is one row.

        Raises:
            UserError: a file is no whole image, or an array none of images.
        """
        return self._gathered(images)[0]

    def _gathered(self, images: Images) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return probabilities, and distances where it can tell."""
        found = [np.empty((0, len(self.classes)), np.float32)]
        distances = [np.empty(0, np.float32)]
        names: list[str] = []

        def sources() -> Iterator[Source]:
            for number, source in enumerate(_sources(images, self.manifest.data.window)):
                names.append(str(source) if isinstance(source, Path) else f"image {number}")
                yield source

        for predicted in self._predictor.predict(sources(), _known_count(images)):
            for reason, name in zip(predicted.reasons, names, strict=False):
                if reason is not None:
                    raise UserError(f"{name}: {reason}")
            del names[: len(predicted.reasons)]
            found.append(predicted.probabilities)
            if predicted.distances is not None:
                distances.append(predicted.distances)
        return np.concatenate(found), np.concatenate(distances)

    @property
    def knows_foreign(self) -> bool:
        """Whether it can say that an image is unlike all that it was trained on."""
        return self._predictor.knows_foreign

    def distances(self, images: Images) -> NDArray[np.float32]:
        """Return how far each image is from those that it was trained on; above 1 is foreign.

        A share of new images of the same kind is too, `manifest.foreign.share`.

        Args:
            images: see `predict_proba`.

        Returns:
            float32, shape (images,).

        Raises:
            UserError: see `predict_proba`; or it can't tell (see `knows_foreign`).
        """
        if not self.knows_foreign:
            raise UserError(
                f"{self._saved.folder}: can't tell foreign images: it was fitted before "
                "automl-cv could, or trains more than a head; fit it again"
            )
        return self._gathered(images)[1]

    def rank(self, paths: Iterable[str], top: int) -> Iterator[Prediction]:
        """Yield the most probable classes of each file, in order, few files in memory.

        Args:
            paths: files; one that is no whole image gives a prediction with an error.
            top: how many classes, from 1; no more than there are.
        """
        names: list[str] = []

        def sources() -> Iterator[Source]:
            for path in paths:
                names.append(path)
                yield Path(path)

        for predicted in self._predictor.predict(sources(), _known_count(paths)):
            # Of equal probabilities the class that comes first counts, as in argmax.
            order = np.argsort(-predicted.probabilities, axis=1, kind="stable")[:, :top]
            shares = np.take_along_axis(predicted.probabilities, order, axis=1)
            nothing = [None] * len(order)
            distances = nothing if predicted.distances is None else predicted.distances.tolist()
            rows = zip(order.tolist(), shares.tolist(), distances, strict=True)
            for reason, path in zip(predicted.reasons, names, strict=False):
                if reason is None:
                    numbers, probabilities, distance = next(rows)
                    labels = tuple(self.classes[number] for number in numbers)
                    yield Prediction(path, labels, tuple(probabilities), distance=distance)
                else:
                    yield Prediction(path, error=reason)
            del names[: len(predicted.reasons)]


def _known_count(images: Images) -> int:
    """Return how many images there are at least, as far as that is known beforehand."""
    return len(images) if isinstance(images, Sized) else 0


def _sources(images: Images, window: Window | None) -> Iterator[Source]:
    is_single = isinstance(images, str | Path | Image.Image)
    if is_single or (isinstance(images, np.ndarray) and images.ndim == 3):
        images = [images]
    for number, image in enumerate(images):
        yield _source(number, image, window)


def _source(number: int, image: Any, window: Window | None) -> Source:
    if isinstance(image, str | Path):
        return Path(image)
    if isinstance(image, Image.Image):
        try:
            return from_pillow(image, window)
        except DamagedImage as damage:
            raise UserError(f"image {number}: {damage}") from None
    pixels = np.asarray(image)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        raise UserError(
            f"image {number}: expected a path, an image of Pillow, or an array of uint8, 0 to "
            f"255, shape (height, width, 3), got {pixels.dtype} of shape {pixels.shape}"
        )
    return pixels
