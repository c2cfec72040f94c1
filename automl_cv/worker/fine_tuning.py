"""The last blocks of the backbone, trained on with a trained head, on cached feature maps."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from automl_cv.catalog.kinds import DEFAULT_KIND
from automl_cv.catalog.pruners import PRUNERS
from automl_cv.engine import saved_network
from automl_cv.engine.backbone_parts import cut
from automl_cv.engine.fine_tuning import FineTuner, Maps
from automl_cv.engine.mixed_precision import check_device
from automl_cv.engine.refitting import by_batches, finished
from automl_cv.engine.runtime import keras
from automl_cv.errors import AutomlError
from automl_cv.features import recipe
from automl_cv.history import Epoch, StopReason
from automl_cv.orders.messages import Fit, Need, PrepareFeatures
from automl_cv.study.stage import Stage
from automl_cv.study.trial import Inputs, TrainingTask, Trial
from automl_cv.trained import OnEpoch, TrainingData, TrainingResult
from automl_cv.worker.heads import Heads
from automl_cv.worker.kind import Made
from automl_cv.worker.materials import Materials


class FineTuning:
    """Trains a head, then the last blocks with it; see `worker.kind.Kind`.

    Args:
        materials: features and maps of the images.
    """

    def __init__(self, materials: Materials) -> None:
        self._materials = materials
        self._heads: Heads = materials.kind_named(DEFAULT_KIND)
        self._tuners: dict[object, FineTuner] = {}

    def needs(self, inputs: Inputs) -> list[Need]:
        """Return what the heads need, then the orders for the maps that are trained on.

        Raises:
            UserError: it wants half precision, and there is no GPU.
        """
        check_device(inputs.stage)
        plain, altered = self._maps(inputs)
        maps: list[Need] = [plain] if altered is None else [plain, altered]
        heads = [need for one in (inputs, *inputs.heads) for need in self._heads.needs(one)]
        return [*heads, *maps]

    def prepare(self, trial: Trial) -> FineTuner:
        """Return what fine-tunes trials of the same images; they share it."""
        plain, altered = self._maps(trial.inputs)
        key = (plain, altered, trial.folds, trial.fold)
        if key not in self._tuners:
            features, backbone = self._materials.features, trial.backbone
            data = self._materials.data(features.plain(backbone), *self._materials.division(trial))
            parts = features.parts(plain)
            self._tuners[key] = FineTuner(
                parts,
                Maps(
                    plain=features.of(plain),
                    rows=features.rows(plain),
                    views=None if altered is None else features.of(altered),
                    fingerprint=self._fingerprint(plain, altered, data),
                ),
                data,
                None if altered is None else features.of(replace(altered, n_blocks=0)),
                self._heads.prepare(_head_of(trial)).head_input,
                only_last=backbone.features == "last",
                frozen_width=sum(features.widths(backbone)[: parts.n_frozen]),
            )
        return self._tuners[key]

    def train(self, trial: Trial, on_epoch: OnEpoch, checkpoint: Path | None) -> TrainingResult:
        """Train a trial's head as the stage above did, then the last blocks with it.

        The head is trained again rather than stored with each trial: on cached features it takes
        seconds, and comes out the same to the bit.

        Args:
            trial: with the training of its head.
            on_epoch: is told each epoch of fine-tuning, not those of the head.
            checkpoint: folder of its checkpoint.

        Returns:
            The history of fine-tuning alone; its seconds include the head's. A head without a
            finite epoch ends it before its first.
        """
        started = time.perf_counter()
        own = _head_of(trial)
        head = self._heads.train(own, plateau(own.stage))
        if not head.weights:
            error = "the head that fine-tuning begins with: " + str(head.history.error)
            return replace(head, history=replace(head.history, epochs=(), error=error))
        factor = trial.stage.tuning.block_rate_factor
        trainer = self.prepare(trial).trainer(head.weights, factor)
        result = trainer.train(lowered(trial), on_epoch, checkpoint)
        seconds = time.perf_counter() - started
        return replace(result, history=replace(result.history, seconds=seconds))

    def fit(self, order: Fit, rows: np.ndarray, on_epoch: Callable[[Epoch], None]) -> Made:
        """Train heads, then the last blocks with them, again; see `worker.kind.Kind`."""
        searched = self._materials.apart()
        searched_heads: Heads = searched.kind_named(DEFAULT_KIND)
        first = order.trials[0]
        if searched is not self._materials:
            searched.prepare_trial(_head_of(first))
        tuner = self.prepare(first)
        tuned_weights, heads, histories, logits = [], [], [], []
        for trial in order.trials:
            head = self._fit_head(trial, searched_heads)
            task = lowered(trial)
            trainer = tuner.trainer(head.weights, trial.stage.tuning.block_rate_factor)
            checkpoint = self._materials.fit_checkpoint(order, trial)
            result = finished(trainer.train(task, on_epoch, checkpoint, order.replay))
            tuned = tuner.network(task, head.weights)
            tuned.set_weights(list(result.weights))
            histories.append(result.history)
            logits.append(by_batches(partial(tuner.logits, tuned), rows))
            # The tuner sets its own copy back for the next training.
            tuned_weights.append(tuned.trained.get_weights())
            heads.append(tuned.head)
        backbone, blocks = first.backbone, first.stage.tuning.blocks

        def assemble() -> keras.Model:
            networks = []
            for weights, own_head in zip(tuned_weights, heads, strict=True):
                parts = cut(backbone, recipe(backbone).image_size, blocks)
                parts.trained.set_weights(weights)
                parts.whole.trainable = False
                networks.append(saved_network.behind(parts.whole, backbone.features, [own_head]))
            return saved_network.averaged(networks)

        return Made(tuple(histories), logits, assemble)

    def _fit_head(self, trial: Trial, searched: Heads) -> TrainingResult:
        """Train the head that fine-tuning begins with.

        Its best number of epochs is found as in the search, where it comes out the same.

        Args:
            trial: what is fitted.
            searched: trains heads on the training images alone.
        """
        own = _head_of(trial)
        found = searched.train(own, plateau(own.stage))
        best = found.history.best
        if best is None:
            raise AutomlError(f"the head that fine-tuning begins with: {found.history.error}")
        if searched is self._heads:
            return found
        replay = found.history.epochs[: best.epoch]
        return finished(self._heads.train(own, lambda epoch: None, replay=replay))

    def _maps(self, inputs: Inputs) -> tuple[PrepareFeatures, PrepareFeatures | None]:
        """Return the orders for maps of images as they are, and as they are altered."""
        blocks = inputs.stage.tuning.blocks
        plain = PrepareFeatures(inputs.backbone, n_blocks=blocks)
        altered = self._materials.altered(inputs)
        return plain, None if altered is None else replace(altered, n_blocks=blocks)

    def _fingerprint(
        self, plain: PrepareFeatures, altered: PrepareFeatures | None, data: TrainingData
    ) -> str:
        """Tell a trial's maps, images, labels and splits from all others."""
        images, features = self._materials.images, self._materials.features
        recipes = [features.recipe(one).as_data() for one in (plain, altered) if one is not None]
        views = 0 if altered is None else altered.views
        about = [recipes, views, plain.backbone.features, [*images.content_hashes]]
        digest = hashlib.blake2b(json.dumps(about).encode(), digest_size=16)
        for numbers in (images.labels, data.train, data.validation):
            digest.update(np.asarray([len(numbers), *numbers], "<i8").tobytes())
        return digest.hexdigest()


def lowered(trial: Trial) -> TrainingTask:
    """Return what a trial fine-tunes, at its lowered rate."""
    rate = trial.task.learning_rate * trial.stage.tuning.rate_factor
    return replace(trial.task, learning_rate=rate)


def _head_of(trial: Trial) -> Trial:
    """Return the training that gives a trial its head; its kind says that there is one."""
    if trial.head is None:
        raise ValueError(f"trial {trial.number} of {trial.stage.name!r} begins with no head")
    return trial.head


def plateau(stage: Stage) -> OnEpoch:
    """Return what stops a head where the stage's pruner did, without any other trial.

    Pruners that compare trials stop none of those that are trained again.
    """
    entry = PRUNERS[stage.pruner.name]
    if entry.stop_means == "drop":
        return lambda epoch: None
    import optuna  # loads for a second, and other workers have no use for it

    study = optuna.create_study(
        direction="maximize", pruner=entry.load()(**stage.pruner.parameters)
    )
    trial = study.ask()

    def on_epoch(epoch: Epoch) -> StopReason | None:
        trial.report(epoch.merit, epoch.epoch)
        return "plateau" if trial.should_prune() else None

    return on_epoch
