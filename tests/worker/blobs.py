"""Features without images, as a worker's kinds of training find them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from automl_cv.catalog.kinds import KINDS
from automl_cv.orders.images import Images
from automl_cv.study.studyfile import Backbone
from automl_cv.worker.folds import division, fold_numbers
from tests.later import later

with later():
    from automl_cv.worker.materials import Materials

BOTH = ("train", "validation")


def images_of(labels: np.ndarray, splits: np.ndarray) -> Images:
    """Return images that are nothing but labels and splits."""
    count = len(labels)
    return Images(
        paths=tuple(f"{row}.png" for row in range(count)),
        content_hashes=tuple(f"{row:032x}" for row in range(count)),
        labels=labels.astype(np.int32),
        splits=splits,
        groups=(None,) * count,
        classes=tuple(f"class{label}" for label in range(labels.max() + 1)),
    )


class BlobMaterials:
    """What `worker.materials.Materials` is to a kind of training, of made-up features.

    Args:
        seed: of features and folds.
        whole: see `Materials`.
        spread: of each class about its centre.
        shape: of the features; a number of images that 15 divides.
    """

    def __init__(
        self,
        seed: int = 0,
        *,
        whole: bool = False,
        spread: float = 2.0,
        shape: tuple[int, int] = (120, 12),
    ) -> None:
        draw = np.random.default_rng(seed)
        labels = np.arange(shape[0]) % 3
        centres = draw.normal(size=(3, shape[1]))
        self.array = (centres[labels] + draw.normal(0, spread, shape)).astype(np.float32)
        splits = np.resize(["train"] * 3 + ["validation"] + ["test"], shape[0])
        self.images = images_of(labels, splits)
        self.given = SimpleNamespace(seed=seed, images=self.images)
        self.features = SimpleNamespace(plain=lambda backbone: self.array)
        self.whole = whole
        self.seed, self.spread = seed, spread
        self.known = np.flatnonzero(np.isin(splits, BOTH))
        self._kinds: dict[str, Any] = {}

    def kind(self, stage):
        return self.kind_named(stage.kind.name)

    def kind_named(self, name):
        return self._kinds.setdefault(name, KINDS[name].load()(self))

    def apart(self):
        return BlobMaterials(self.seed, spread=self.spread) if self.whole else self

    def prepare_trial(self, trial):
        return None

    def altered(self, inputs):
        return None

    def division(self, trial):
        if self.whole:
            return self.known, self.known
        if trial.folds is None:
            return division(self.images, None, None)
        return division(self.images, self.of_fold(trial.folds), trial.fold)

    def of_fold(self, folds):
        return fold_numbers(self.images, self.known, folds, self.seed)

    def data(self, features, train, validation):
        return Materials.data(self, features, train, validation)


BACKBONE = Backbone(features="all")
