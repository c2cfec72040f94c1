"""Heads that are solved exactly on cached features: no optimizer, no rate, no epochs but one."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import softmax

from automl_cv.catalog.exact_heads import EXACT_HEADS, SCALING
from automl_cv.data.folds import OutOfFold
from automl_cv.engine import saved_network
from automl_cv.engine.added_heads import added
from automl_cv.engine.scores import scored
from automl_cv.engine.training import OnEpoch, TrainingResult
from automl_cv.features import recipe
from automl_cv.history import Epoch, History
from automl_cv.orders.messages import Fit, Need, PrepareFeatures
from automl_cv.solving.linear import Linear, folded
from automl_cv.solving.scaling import Scaling, measured
from automl_cv.solving.temperature import fitted
from automl_cv.study.trial import Inputs, Trial
from automl_cv.worker.kind import Made
from automl_cv.worker.materials import Materials
from automl_cv.worker.worth import worth


@dataclass(frozen=True)
class Solved:
    """A head solved on the images of one division.

    Args:
        head: gives logits; its temperature is not in it.
        train: rows that it was solved on.
        validation: rows that validate it.
        logits: of the training images, then of the validating ones, float64 (images, classes).
    """

    head: Linear
    train: np.ndarray
    validation: np.ndarray
    logits: tuple[np.ndarray, np.ndarray]


class ExactHeads:
    """Solves heads; see `worker.kind.Kind`.

    What a solution rests on (scaled features, their decomposition) is held for the images of
    one division at a time, and serves all penalties.

    Args:
        materials: features of the images.
    """

    def __init__(self, materials: Materials) -> None:
        self._materials = materials
        self._prepared: dict[object, tuple[Scaling, Any]] = {}

    def needs(self, inputs: Inputs) -> list[Need]:
        """Return the order for the features of images as they are."""
        return [PrepareFeatures(inputs.backbone)]

    def prepare(self, trial: Trial) -> tuple[Scaling, Any]:
        """Return the scaling of a division's features, and what solves a trial's head on them."""
        scaling = trial.task.head_parameters["scaling"]
        key = (trial.backbone, trial.folds, trial.fold, trial.task.head, scaling)
        if key not in self._prepared:
            train, _ = self._materials.division(trial)
            features = self._materials.features.plain(trial.backbone)[train]
            own = measured(scaling, features)
            images = self._materials.images
            solver = EXACT_HEADS[trial.task.head].load()(
                own.scaled(features), images.labels[train], len(images.classes)
            )
            self._prepared[key] = own, solver
        return self._prepared[key]

    def train(
        self, trial: Trial, on_epoch: OnEpoch, checkpoint: Path | None = None
    ) -> TrainingResult:
        """Solve a head, or one on each fold; what it is worth is the only epoch.

        A head whose logits say too much or too little of how sure it is is judged with a
        temperature. Over folds that of a fold is fitted on what the others say of their images;
        on a split it is the one that suits the validation images best, one number of them all.

        Args:
            trial: what is solved.
            on_epoch: is told the epoch.
            checkpoint: not used.
        """
        started = time.perf_counter()
        parts = self._solved(trial)
        labels = self._materials.images.labels
        temperatures = self._temperatures(trial, parts)
        order = OutOfFold.of([part.validation for part in parts])
        shares = [
            [softmax(logits / temperature, axis=1) for logits in part.logits]
            for part, temperature in zip(parts, temperatures, strict=True)
        ]
        said = order.joined([validated for _, validated in shares])
        trained = np.concatenate([own for own, _ in shares])
        own = worth(trained, labels[np.concatenate([part.train for part in parts])])
        other = worth(said, labels[order.rows])
        epoch = Epoch(1, own[0], other[0], own[1], other[1], 0.0, time.perf_counter() - started)
        epoch = scored(epoch, trial.task.metric, labels[order.rows], lambda: said)
        stop = on_epoch(epoch) or "epochs"
        history = History((epoch,), stop, seconds=time.perf_counter() - started)
        weights = tuple(
            one
            for part, t in zip(parts, temperatures, strict=True)
            for one in (part.head.weights / t, part.head.bias / t)
        )
        return TrainingResult(history, weights, {}, said.astype(np.float32))

    def fit(self, order: Fit, rows: np.ndarray, on_epoch: Callable[[Epoch], None]) -> Made:
        """Solve the head on all images; its temperature is that of the search's divisions."""
        trial = order.trials[0]  # other seeds come out the same
        head, history = self.whole(trial, on_epoch)
        backbone = trial.backbone
        features = np.asarray(self._materials.features.plain(backbone)[rows])
        model = added([head], features.shape[1])
        return Made(
            (history,),
            [head.logits(features).astype(np.float32)],
            lambda: saved_network.on_backbone(backbone, recipe(backbone).image_size, [model]),
            [head],
        )

    def whole(self, trial: Trial, on_epoch: Callable[[Epoch], None]) -> tuple[Linear, History]:
        """Return a trial's head as it is fitted, its temperature in it, and its history.

        Args:
            trial: as it was searched.
            on_epoch: is told what it is worth on its own images.
        """
        temperature = 1.0
        if not EXACT_HEADS[trial.task.head].gives_probabilities:
            apart = self._materials.apart()
            apart.prepare_trial(trial)
            searched: ExactHeads = apart.kind_named(trial.stage.kind.name)
            temperature = searched._temperature(searched._solved(trial))
        (part,) = self._solved(replace(trial, folds=None, fold=None))
        head = part.head.times(1 / temperature)
        said = softmax(part.logits[0] / temperature, axis=1)
        own = worth(said, self._materials.images.labels[part.train])
        # Nothing validates it, as with any head that is fitted.
        epoch = Epoch(1, own[0], own[0], own[1], own[1], 0.0, 0.0)
        on_epoch(epoch)
        return head, History((epoch,), "epochs")

    def _solved(self, trial: Trial) -> list[Solved]:
        """Solve a trial's head on each of its divisions."""
        features = self._materials.features.plain(trial.backbone)
        own = {
            name: value for name, value in trial.task.head_parameters.items() if name not in SCALING
        }
        found = []
        for one in trial.of_each_fold():
            train, validation = self._materials.division(one)
            scaling, solver = self.prepare(one)
            head = folded(scaling, *solver.solve(**own))
            logits = (head.logits(features[train]), head.logits(features[validation]))
            found.append(Solved(head, train, validation, logits))
        return found

    def _temperatures(self, trial: Trial, parts: Sequence[Solved]) -> list[float]:
        """Return what the logits of each division are divided by."""
        if EXACT_HEADS[trial.task.head].gives_probabilities:
            return [1.0] * len(parts)
        if len(parts) == 1:
            return [self._temperature(parts)]
        return [
            self._temperature([other for other in parts if other is not part]) for part in parts
        ]

    def _temperature(self, parts: Sequence[Solved]) -> float:
        """Return the temperature of lowest log loss on the images that validate."""
        labels = self._materials.images.labels[np.concatenate([one.validation for one in parts])]
        return fitted(labels, np.concatenate([one.logits[1] for one in parts]))
