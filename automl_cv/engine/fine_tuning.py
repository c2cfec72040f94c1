"""Fine-tuning: the last blocks of a backbone trained on, behind a part that stays as it is.

What the frozen part makes of an image is cached, as features are. BatchNorm keeps its stored
statistics, as https://keras.io/guides/transfer_learning has it; its gamma and beta are trained.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import keras
import numpy as np

from automl_cv.catalog.heads import HEADS, shape_of
from automl_cv.engine.backbone import pool
from automl_cv.engine.backbone_parts import Cut, blocks_of_layers
from automl_cv.engine.mixed_precision import in_half
from automl_cv.engine.network import Batch, NetworkData, NetworkTrainer
from automl_cv.engine.views import epoch_views
from automl_cv.features.cache import Matrix
from automl_cv.study.trial import TrainingTask
from automl_cv.trained import TrainingData
from automl_cv.training.head_input import HeadInput


class FineTuned(keras.Model):
    """The trained part of a backbone and a head, from maps to logits.

    A class and not one functional graph: a graph hands `training=True` on to every layer
    in it, whatever it was built with, and BatchNorm would forget its statistics.

    Args:
        parts: see `Cut`.
        head: from features to logits.
        only_last: whether the head sees the last block alone.
    """

    def __init__(self, parts: Cut, head: keras.Model, only_last: bool) -> None:
        super().__init__()
        self.trained = parts.trained
        self.head = head
        self._shape = parts.shape
        self._only_last = only_last

    def call(self, inputs, training=False):
        """Return logits, shape (batch, classes).

        Args:
            inputs: flattened maps, shape (batch, height * width * channels), and features of
                the frozen blocks, shape (batch, features), which may be none.
            training: whether the head's dropout works.
        """
        maps, frozen = inputs
        maps = keras.ops.reshape(maps, (-1, *self._shape))
        outputs = keras.tree.flatten(self.trained(maps, training=False))
        # Not in half precision, which has no room for sums over many places.
        vectors = pool([keras.ops.cast(one, "float32") for one in outputs])
        if self._only_last:
            features = vectors[-1]
        else:
            features = keras.ops.concatenate([frozen, *vectors], axis=-1)
        return self.head(features, training=training)


@dataclass(frozen=True)
class Maps:
    """What the frozen part made of the images.

    Args:
        plain: of the images as they are, float32 (images, size); may be memory-mapped.
        rows: which of all images these are, ascending, int64 (images,).
        views: of altered views of the training images, those of an image side by side,
            float32 (training images * views, size); None to train on the images as they are.
        fingerprint: tells these maps and images, and how they are split, from all others.
    """

    plain: Matrix
    rows: np.ndarray
    views: Matrix | None
    fingerprint: str


class FineTuner:
    """Fine-tunes any number of trials of one backbone and one set of images.

    Args:
        parts: the backbone; its trained part is set back for each trial.
        maps: what its frozen part made of the images.
        data: pooled features of all images, and which train and validate.
        views: pooled features of the same views of the training images as in `maps`.
        head_input: what the heads are built for.
        only_last: whether the heads see the last block alone.
        frozen_width: how many of the features, from the first on, are of frozen blocks.
    """

    def __init__(
        self,
        parts: Cut,
        maps: Maps,
        data: TrainingData,
        views: Matrix | None,
        head_input: HeadInput,
        *,
        only_last: bool,
        frozen_width: int,
    ) -> None:
        self._parts = parts
        self._maps = maps
        self._data = data
        self._views = views
        self._head_input = head_input
        self._only_last = only_last
        self._frozen_width = 0 if only_last else frozen_width

    def trainer(
        self, head_weights: Sequence[np.ndarray], block_rate_factor: float = 1.0
    ) -> NetworkTrainer:
        """Return what fine-tunes one trial, from the weights of its trained head on.

        Args:
            head_weights: of the head.
            block_rate_factor: see `study.sections.FineTune`.
        """
        data = self._data
        begun = hashlib.blake2b(self._maps.fingerprint.encode(), digest_size=16)
        if block_rate_factor != 1:
            begun.update(repr(block_rate_factor).encode())
        for weight in head_weights:
            begun.update(weight.tobytes())
        return NetworkTrainer(
            NetworkData(
                training_batch=self._training_batch,
                training_labels=data.train_labels,
                validation_batch=self._validation_batch,
                validation_images=len(data.validation),
                classes=data.classes,
                fingerprint=begun.hexdigest(),
            ),
            lambda task: self.network(task, head_weights),
            shards=2,
            rate_factors=partial(_rate_factors, block_rate_factor),
            in_half=self._in_half,
        )

    def network(self, task: TrainingTask, head_weights: Sequence[np.ndarray]) -> FineTuned:
        """Return what a trial begins with; it shares the trained part with those before.

        Args:
            task: the trial's.
            head_weights: of its trained head.
        """
        self._parts.trained.set_weights(self._parts.weights)
        own = HEADS[task.head].completed(task.head_parameters)
        head = HEADS[task.head].load()(self._head_input, **shape_of(own))
        head.set_weights(list(head_weights))
        network = FineTuned(self._parts, head, self._only_last)
        network(self._inputs(self._maps.plain[:1], self._data.features[:1]))
        return network

    def _in_half(self, network: FineTuned) -> FineTuned:
        """Return a copy whose blocks compute in float16, with the same head."""
        half = keras.models.clone_model(network.trained, clone_function=in_half, recursive=True)
        copy = FineTuned(replace(self._parts, trained=half), network.head, self._only_last)
        copy(self._inputs(self._maps.plain[:1], self._data.features[:1]))
        return copy

    def logits(self, network: FineTuned, images: np.ndarray) -> np.ndarray:
        """Return a network's logits for images that train or validate, as they are.

        Args:
            network: of this tuner.
            images: which of all images, int64 (n,).

        Returns:
            float32, shape (n, classes).
        """
        return np.asarray(network(self._plain(images), training=False))

    def _training_batch(self, chosen: np.ndarray, epoch: int, seed: int) -> Batch:
        data, maps = self._data, self._maps
        labels = data.train_labels[chosen]
        if maps.views is None:
            return self._plain(data.train[chosen]), labels
        assert self._views is not None
        n_images = len(data.train)
        n_views = len(maps.views) // n_images
        rows = chosen * n_views + epoch_views(n_images, n_views, seed, epoch)[chosen]
        return self._inputs(maps.views[rows], self._views[rows]), labels

    def _validation_batch(self, chosen: np.ndarray) -> Batch:
        return self._plain(self._data.validation[chosen]), self._data.validation_labels[chosen]

    def _plain(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        places = np.searchsorted(self._maps.rows, images)
        return self._inputs(self._maps.plain[places], self._data.features[images])

    def _inputs(self, maps: Matrix, features: Matrix) -> tuple[np.ndarray, np.ndarray]:
        return maps, features[:, : self._frozen_width]


def _rate_factors(block_rate_factor: float, network: FineTuned) -> list[float]:
    """Return what the rate is multiplied by, for each of a network's trainable variables."""
    blocks = blocks_of_layers(network.trained)
    factors = {
        id(variable): block_rate_factor ** blocks[layer.name]
        for layer in network.trained.layers
        for variable in layer.trainable_variables
    }
    return [factors.get(id(variable), 1.0) for variable in network.trainable_variables]
