"""Networks that train from their first weights, on cached pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from automl_cv.catalog.heads import shape_of
from automl_cv.catalog.metrics import ACCURACY
from automl_cv.catalog.networks import NETWORKS
from automl_cv.data.images import decode
from automl_cv.engine import images, saved_network
from automl_cv.engine.mixed_precision import check_device
from automl_cv.engine.network import NetworkData, NetworkTrainer
from automl_cv.engine.pixels import Pictures
from automl_cv.engine.refitting import by_batches, finished, logits_of
from automl_cv.engine.runtime import keras
from automl_cv.history import Epoch
from automl_cv.orders.messages import Fit, Need, PreparePixels
from automl_cv.study.trial import Inputs, TrainingTask, Trial
from automl_cv.trained import OnEpoch, TrainingResult
from automl_cv.worker.kind import Made
from automl_cv.worker.materials import Materials


class Networks:
    """Trains whole networks; see `worker.kind.Kind`.

    Args:
        materials: pixels of the images.
    """

    def __init__(self, materials: Materials) -> None:
        self._materials = materials

    def needs(self, inputs: Inputs) -> list[Need]:
        """Return the order for pixels: they are altered as they are trained on.

        Raises:
            UserError: it wants half precision, and there is no GPU.
        """
        check_device(inputs.stage)
        return [PreparePixels()]

    def prepare(self, trial: Trial) -> NetworkTrainer:
        """Return what trains networks on a trial's images."""
        own = self._materials.images
        train, validation = self._materials.division(trial)
        pictures = Pictures(
            pixels=self._materials.pixels.array,
            content_hashes=own.content_hashes,
            labels=own.labels,
            classes=len(own.classes),
            train=train,
            validation=validation,
            augmentation=trial.inputs.augmentation,
        )
        data = NetworkData(
            training_batch=pictures.training_batch,
            training_labels=own.labels[train],
            validation_batch=pictures.validation_batch,
            validation_images=len(validation),
            classes=len(own.classes),
            fingerprint=pictures.fingerprint,
        )
        return NetworkTrainer(data, self.build)

    def train(self, trial: Trial, on_epoch: OnEpoch, checkpoint: Path | None) -> TrainingResult:
        """Train one network; see `worker.kind.Kind`."""
        return self.prepare(trial).train(trial.task, on_epoch, checkpoint)

    def fit(self, order: Fit, rows: np.ndarray, on_epoch: Callable[[Epoch], None]) -> Made:
        """Train networks again.

        Cached pixels are rounded. What is to be written is tried on such that are not, as it
        gets them from files; logits beside those of the search are of the cached ones.
        """
        trainer = self.prepare(order.trials[0])
        models, histories = [], []
        for trial in order.trials:
            # Nothing is left out that a metric could be measured on.
            task = replace(trial.task, metric=ACCURACY)
            checkpoint = self._materials.fit_checkpoint(order, trial)
            result = finished(trainer.train(task, on_epoch, checkpoint, order.replay))
            model = self.build(task)
            model.set_weights(list(result.weights))
            models.append(model)
            histories.append(result.history)
        size = models[0].input_shape[1]

        def pixels(some: np.ndarray) -> np.ndarray:
            if self._materials.whole:
                files, _ = self._materials.files(some)
                window = self._materials.images.window
                return images.resize_all((decode(path, window) for path in files), size)
            return np.asarray(self._materials.pixels.array[some], np.float32)

        def logits(model: keras.Model) -> np.ndarray:
            return by_batches(lambda some: logits_of(model, pixels(some)), rows)

        return Made(
            tuple(histories),
            list(map(logits, models)),
            lambda: saved_network.averaged(models),
        )

    def build(self, task: TrainingTask) -> keras.Model:
        """Build a task's network with first weights, from pixels to logits.

        Args:
            task: what is trained.
        """
        size = self._materials.pixels.image_size
        classes = len(self._materials.images.classes)
        own = shape_of(task.head_parameters)
        network: keras.Model = NETWORKS[task.head].load()((size, size, 3), classes, **own)
        return network
