"""A kind of training that no table has: each class is the mean of its features. One file."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers

from automl_cv.engine import saved_network
from automl_cv.engine.refitting import logits_of
from automl_cv.features import recipe
from automl_cv.history import Epoch, History
from automl_cv.orders.messages import PrepareFeatures
from automl_cv.trained import TrainingResult
from automl_cv.worker.kind import Made


class NearestMean:
    """Has no steps to train: one epoch measures what the means are worth."""

    def __init__(self, materials):
        self._materials = materials

    def needs(self, inputs):
        return [PrepareFeatures(inputs.backbone)]

    def prepare(self, trial):
        features = self._materials.features.plain(trial.backbone)
        return self._materials.data(features, *self._materials.division(trial))

    def train(self, trial, on_epoch, checkpoint=None):
        epoch, weights = self._learned(trial)
        stop = on_epoch(epoch) or "epochs"
        return TrainingResult(History((epoch,), stop), weights, {"name": "means"})

    def fit(self, order, rows, on_epoch):
        models, histories = [], []
        for trial in order.trials:
            epoch, weights = self._learned(trial)
            on_epoch(epoch)
            features = keras.Input((len(weights[0]),))
            models.append(keras.Model(features, layers.Dense(len(weights[1]))(features)))
            models[-1].set_weights(list(weights))
            histories.append(History((epoch,), "epochs"))
        backbone = order.trials[0].backbone
        pooled = np.asarray(self._materials.features.plain(backbone)[rows])
        return Made(
            tuple(histories),
            [logits_of(model, pooled) for model in models],
            lambda: saved_network.on_backbone(backbone, recipe(backbone).image_size, models),
        )

    def _learned(self, trial):
        """Return what the means are worth, and as a dense layer: the nearest has most."""
        data, warmth = self.prepare(trial), trial.settings["warmth"]
        train = data.features[data.train]
        means = np.stack([train[data.train_labels == k].mean(axis=0) for k in range(data.classes)])
        weights = (warmth * means.T, -warmth * (means**2).sum(axis=1) / 2)
        own = self._worth(train, data.train_labels, weights)
        other = self._worth(data.features[data.validation], data.validation_labels, weights)
        return Epoch(1, own[0], other[0], own[1], other[1], 0.0, 0.0), weights

    def _worth(self, features, labels, weights):
        logits = features @ weights[0] + weights[1]
        logits = logits - logits.max(axis=1, keepdims=True)
        losses = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(labels)), labels]
        return float((logits.argmax(axis=1) == labels).mean()), float(losses.mean())
