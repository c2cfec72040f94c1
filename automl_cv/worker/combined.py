"""Trials of other stages combined: their logits are added, with weights of lowest log loss.

What each member said of the images that validated it is known, so nothing is trained. The
combination is measured as its members are, on images that had no part in it: the weights for the
images of one part come from the other parts. Combining by log-probabilities (a logarithmic
opinion pool) keeps heads that are linear linear: they merge into one dense layer.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.special import softmax

from automl_cv.data.folds import OutOfFold
from automl_cv.features import recipe
from automl_cv.history import Epoch, History
from automl_cv.measures import LEAST_PROBABILITY, accuracy_and_loss
from automl_cv.orders.messages import Fit, Need
from automl_cv.solving.temperature import combined
from automl_cv.study.trial import Inputs, Trial
from automl_cv.trained import OnEpoch, TrainingResult, scored
from automl_cv.worker.kind import Made
from automl_cv.worker.materials import Materials

# Parts of the validation images of a split: what folds are where there are any.
PARTS = 5


@dataclass(frozen=True)
class Said:
    """What members said of the images that validate.

    Args:
        labels: class indices (images,).
        parts: the part of each image, from 0.
        members: log-probabilities of each member, float64 (images, classes).
    """

    labels: np.ndarray
    parts: np.ndarray
    members: list[np.ndarray]


class Combined:
    """Weighs the members of a trial; see `worker.kind.Kind`.

    Args:
        materials: images, and what their features are made with where members are trained again.
    """

    def __init__(self, materials: Materials) -> None:
        self._materials = materials

    def needs(self, inputs: Inputs) -> list[Need]:
        """Return none: its members are trained already."""
        return []

    def prepare(self, trial: Trial) -> Said:
        """Return what a trial's members said, beside the truth."""
        materials = self._materials.apart()
        every = max(one.every for one in trial.members)
        if trial.is_out_of_fold:
            divisions = [materials.division(one)[1] for one in trial.of_each_fold()]
            order = OutOfFold.of(divisions)
            rows = order.rows
            parts = order.joined([np.full(len(own), n) for n, own in enumerate(divisions)])
        else:
            _, rows = materials.division(trial)
            parts = _parts(materials.images.labels[rows])
        return Said(
            labels=materials.images.labels[rows][::every],
            parts=parts[::every],
            members=[
                np.log(np.maximum(one.probabilities[:: every // one.every], LEAST_PROBABILITY))
                for one in trial.members
            ],
        )

    def train(
        self, trial: Trial, on_epoch: OnEpoch, checkpoint: Path | None = None
    ) -> TrainingResult:
        """Find the weights; what the combination is worth is the only epoch.

        Args:
            trial: with its members.
            on_epoch: is told the epoch.
            checkpoint: not used.
        """
        started = time.perf_counter()
        said = self.prepare(trial)
        others = np.empty_like(said.members[0])
        for part in np.unique(said.parts):
            own, rest = said.parts == part, said.parts != part
            weights = combined(said.labels[rest], [one[rest] for one in said.members])
            others[own] = _sum(weights, [one[own] for one in said.members])
        weights = combined(said.labels, said.members)
        known = accuracy_and_loss(said.labels, softmax(_sum(weights, said.members), axis=1))
        shares = softmax(others, axis=1)
        unknown = accuracy_and_loss(said.labels, shares)
        seconds = time.perf_counter() - started
        epoch = Epoch(1, known[0], unknown[0], known[1], unknown[1], 0.0, seconds)
        epoch = scored(epoch, trial.task.metric, said.labels, lambda: shares)
        history = History((epoch,), on_epoch(epoch) or "epochs", seconds=seconds)
        names = (f"{one.trial.stage.name}/{one.trial.number}" for one in trial.members)
        own_weights = dict(zip(names, map(float, weights), strict=True))
        config = {"backbone": trial.backbone.name, "weights": own_weights}
        return TrainingResult(history, (weights,), config, shares.astype(np.float32))

    def fit(self, order: Fit, rows: np.ndarray, on_epoch: Callable[[Epoch], None]) -> Made:
        """Train the members again, each as its kind does, and add their logits with the weights.

        Members of no weight are left out.
        """
        from automl_cv.engine import saved_network
        from automl_cv.engine.added_heads import added, weighed
        from automl_cv.engine.refitting import logits_of

        trial = order.trials[0]
        said = self.prepare(trial)
        weights = combined(said.labels, said.members)
        heads = []
        for weight, member in zip(weights, trial.members, strict=True):
            if weight == 0:
                continue
            trials: tuple[Trial, ...] = (member.trial,)
            if member.trial.stage.training.in_steps:
                trials = tuple(member.trial.of_seed(one.task.seed) for one in order.trials)
            self._materials.prepare_trial(member.trial)
            kind = self._materials.kind(member.trial.stage)
            own = replace(order, trials=trials, replay=member.replay)
            made = kind.fit(own, rows, lambda epoch: None)
            heads += [weighed(head, weight / len(made.heads)) for head in made.heads]
        backbone = trial.backbone
        plain = self._materials.features.plain(backbone)
        model = added(heads, plain.shape[1])
        logits = logits_of(model, np.asarray(plain[rows]))
        every, _ = self._materials.division(trial)
        shares = softmax(logits_of(model, np.asarray(plain[every])).astype(np.float64), axis=1)
        known = accuracy_and_loss(self._materials.images.labels[every], shares)
        epoch = Epoch(1, known[0], known[0], known[1], known[1], 0.0, 0.0)
        on_epoch(epoch)
        return Made(
            (History((epoch,), "epochs"),),
            [logits],
            lambda: saved_network.on_backbone(backbone, recipe(backbone).image_size, [model]),
            [model],
        )


def _parts(labels: np.ndarray) -> np.ndarray:
    """Divide images, each class as evenly as it goes, however few there are; int64 (images,)."""
    parts = np.empty(len(labels), np.int64)
    parts[np.argsort(labels, kind="stable")] = np.arange(len(labels)) % PARTS
    return parts


def _sum(weights: np.ndarray, members: list[np.ndarray]) -> np.ndarray:
    """Return the sum of what members said, with weights, float64 (images, classes)."""
    return np.tensordot(weights, np.stack(members), axes=1)
