"""Heads that are solved exactly on cached features: no optimizer, no rate, no epochs but one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

import numpy as np
from scipy.special import softmax

from automl_cv.catalog.exact_heads import EXACT_HEADS, FORM, SCALING, ExactHeadEntry
from automl_cv.data.folds import OutOfFold
from automl_cv.features import recipe
from automl_cv.history import Epoch, History
from automl_cv.measures import accuracy_and_loss
from automl_cv.orders.messages import Fit, Need, PrepareFeatures
from automl_cv.solving.kernel import Kernel, KernelHead
from automl_cv.solving.linear import Linear, folded
from automl_cv.solving.scaling import Scaling, formed, measured
from automl_cv.solving.temperature import fitted_to_scores
from automl_cv.solving.threads import one_thread
from automl_cv.study.trial import Inputs, Trial
from automl_cv.trained import OnEpoch, TrainingResult, scored
from automl_cv.worker.kind import Made
from automl_cv.worker.materials import Materials

T = TypeVar("T")


@dataclass(frozen=True)
class Divided:
    """A division of the images, and what solves heads on it.

    Args:
        train: rows that heads are solved on.
        validation: rows that validate them.
        scaling: of the features, by the rows that train.
        solver: an exact head's class, made with them.
        inputs: what logits of the validating images are linear in, once it is known.
    """

    train: np.ndarray
    validation: np.ndarray
    scaling: Scaling
    solver: Any
    inputs: list[np.ndarray] = field(default_factory=list)


@dataclass(frozen=True)
class Solved:
    """A head solved on the images of one division.

    Args:
        head: gives logits; its temperature is not in it.
        train: rows that it was solved on.
        validation: rows that validate it.
        logits: of the validating images, float64 (images, classes).
    """

    head: Linear | KernelHead
    train: np.ndarray
    validation: np.ndarray
    logits: np.ndarray


@dataclass(frozen=True)
class Found:
    """A trial's heads, one a division, at the strength of regularisation that it has.

    Args:
        strength: given, or found.
        parts: the heads.
        temperatures: what the logits of each are divided by.
        loss: cross-entropy of the images that validate.
    """

    strength: float
    parts: list[Solved]
    temperatures: list[float]
    loss: float


class Held(dict[object, T]):
    """What was made last; the oldest goes where there is more than `most`.

    Several threads may put things in: each looks for the oldest while no other adds one, as a
    dict can't be iterated over while it grows.
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most
        self._lock = Lock()

    def __setitem__(self, key: object, value: T) -> None:
        with self._lock:
            super().__setitem__(key, value)
            while len(self) > self._most:
                del self[next(iter(self))]


HELD_DIVISIONS, HELD_TRIALS = 10, 2

# Trials of linear heads, which are small: the reference is one of them, once all have ended.
HELD_LINEAR = 8

# Divisions that are solved at a time.
THREADS = 2

# Strengths after the best one that are tried before it is believed.
RISES = 2


class ExactHeads:
    """Solves heads; see `worker.kind.Kind`.

    What a solution rests on (scaled features, their decomposition) serves all strengths; it is
    held for the last trials alone, since of many images it is much.

    Args:
        materials: features of the images.
    """

    def __init__(self, materials: Materials) -> None:
        self._materials = materials
        self._prepared: Held[tuple[Scaling, Any]] = Held(HELD_DIVISIONS)
        self._found: Held[Found] = Held(HELD_TRIALS)
        self._found_linear: Held[Found] = Held(HELD_LINEAR)

    def needs(self, inputs: Inputs) -> list[Need]:
        """Return the order for the features of images as they are."""
        return [PrepareFeatures(inputs.backbone)]

    def prepare(self, trial: Trial) -> tuple[Scaling, Any]:
        """Return the scaling of a division's features, and what solves a trial's head on them."""
        entry, own = _entry(trial), trial.task.head_parameters
        others = {name: value for name, value in own.items() if name != entry.strength}
        key = (trial.backbone, trial.folds, trial.fold, entry.name, *sorted(others.items()))
        if key not in self._prepared:
            train, _ = self._materials.division(trial)
            features = self._materials.features.plain(trial.backbone)
            scaling_name = own["scaling"] if "scaling" in own else own["form"]
            scaling = measured(scaling_name, features, train)
            if entry.is_linear:
                given = scaling.scaled(features, train)
            else:
                given = formed(scaling.form, features, train)
            for name in (*SCALING, *FORM):
                others.pop(name, None)
            labels, classes = self._materials.images.labels[train], self._materials.images.classes
            with one_thread():
                solver = entry.load()(given, labels, len(classes), **others)
            self._prepared[key] = scaling, solver
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
        found, labels = self.found(trial), self._materials.images.labels
        pairs = list(zip(found.parts, found.temperatures, strict=True))
        order = OutOfFold.of([part.validation for part in found.parts])
        said = order.joined([softmax(part.logits / t, axis=1) for part, t in pairs])
        features = self._materials.features.plain(trial.backbone)
        with one_thread():
            trained = np.concatenate(
                [softmax(part.head.logits(features, part.train) / t, axis=1) for part, t in pairs]
            )
        own = accuracy_and_loss(labels[np.concatenate([one.train for one in found.parts])], trained)
        other = accuracy_and_loss(labels[order.rows], said)
        epoch = Epoch(1, own[0], other[0], own[1], other[1], 0.0, time.perf_counter() - started)
        epoch = scored(epoch, trial.task.metric, labels[order.rows], lambda: said)
        stop = on_epoch(epoch) or "epochs"
        history = History((epoch,), stop, seconds=time.perf_counter() - started)
        config = {"name": trial.task.head, _entry(trial).strength: found.strength}
        weights = tuple(
            one for part, t in pairs for one in (part.head.weights / t, part.head.bias / t)
        )
        return TrainingResult(history, weights, config, said.astype(np.float32))

    def fit(self, order: Fit, rows: np.ndarray, on_epoch: Callable[[Epoch], None]) -> Made:
        """Solve the head on all images; its temperature is that of the search's divisions."""
        from automl_cv.engine import saved_network
        from automl_cv.engine.added_heads import added

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

    def whole(
        self, trial: Trial, on_epoch: Callable[[Epoch], None]
    ) -> tuple[Linear | KernelHead, History]:
        """Return a trial's head as it is fitted, its temperature in it, and its history.

        Args:
            trial: as it was searched.
            on_epoch: is told what it is worth on its own images.
        """
        apart = self._materials.apart()
        apart.prepare_trial(trial)
        searched: ExactHeads = apart.kind_named(trial.stage.kind.name)
        found = searched.found(trial)
        temperature = searched._temperature(trial, found.parts)
        on_all = replace(trial, folds=None, fold=None)
        scaling, solver = self.prepare(on_all)
        head = _head(scaling, solver, solver.solve(found.strength)).times(1 / temperature)
        rows, _ = self._materials.division(on_all)
        features = self._materials.features.plain(trial.backbone)
        said = softmax(head.logits(features, rows), axis=1)
        own = accuracy_and_loss(self._materials.images.labels[rows], said)
        # Nothing validates it, as with any head that is fitted.
        epoch = Epoch(1, own[0], own[0], own[1], own[1], 0.0, 0.0)
        on_epoch(epoch)
        return head, History((epoch,), "epochs")

    def found(self, trial: Trial) -> Found:
        """Return a trial's heads; where its strength is 0, those of the lowest log loss."""
        own = tuple(sorted(trial.task.head_parameters.items()))
        key = (trial.backbone, trial.folds, trial.fold, trial.task.head, own)
        held = self._found_linear if _entry(trial).is_linear else self._found
        if key not in held:
            with one_thread():
                held[key] = self._solved(trial)
        return held[key]

    def _solved(self, trial: Trial) -> Found:
        entry, each = _entry(trial), trial.of_each_fold()
        with ThreadPoolExecutor(THREADS) as threads:
            prepared = list(threads.map(self.prepare, each))
        divided = [
            Divided(*self._materials.division(one), *own)
            for one, own in zip(each, prepared, strict=True)
        ]
        strength = trial.task.head_parameters[entry.strength]
        if strength == 0:
            return self._lowest(trial, divided)
        parts = [self._part(trial, one, one.solver.solve(strength)) for one in divided]
        return self._judged(trial, strength, parts)

    def _lowest(self, trial: Trial, divided: Sequence[Divided]) -> Found:
        """Return the heads of lowest log loss on the images that validate.

        Strengths fall until the loss has risen RISES times in a row. Divisions take a step each
        side by side: products of one thread leave a core free. Where one more strength is wanted
        in any case, it is solved while this one is judged.
        """
        strengths = _entry(trial).strengths
        best, rises = None, 0
        paths = [one.solver.path(strengths) for one in divided]

        def step(one: Divided, path: Iterator[tuple[np.ndarray, np.ndarray]]) -> Solved | None:
            solution = next(path, None)
            return None if solution is None else self._part(trial, one, solution)

        with ThreadPoolExecutor(THREADS) as threads:
            coming = threads.map(step, divided, paths)
            for strength in strengths:
                parts = [part for part in coming if part is not None]
                is_ahead = rises < RISES - 1
                if is_ahead:
                    coming = threads.map(step, divided, paths)
                found = self._judged(trial, strength, parts)
                if best is None or found.loss < best.loss:
                    best, rises = found, 0
                elif (rises := rises + 1) == RISES:
                    break
                if not is_ahead:
                    coming = threads.map(step, divided, paths)
        assert best is not None, "a path has strengths"
        return best

    def _part(self, trial: Trial, one: Divided, solution: tuple[np.ndarray, np.ndarray]) -> Solved:
        """Return a solution as a head, and what it says of the images that validate."""
        head = _head(one.scaling, one.solver, solution)
        if not one.inputs:  # the same whatever the strength
            features = self._materials.features.plain(trial.backbone)
            one.inputs.append(head.inputs(features, one.validation))
        return Solved(head, one.train, one.validation, one.inputs[0] @ head.weights + head.bias)

    def _judged(self, trial: Trial, strength: float, parts: list[Solved]) -> Found:
        """Return the heads of one strength, and what they are worth."""
        temperatures = self._temperatures(trial, parts)
        labels = self._materials.images.labels
        pairs = zip(parts, temperatures, strict=True)
        said = np.concatenate([softmax(part.logits / t, axis=1) for part, t in pairs])
        rows = np.concatenate([part.validation for part in parts])
        return Found(strength, parts, temperatures, accuracy_and_loss(labels[rows], said)[1])

    def _temperatures(self, trial: Trial, parts: Sequence[Solved]) -> list[float]:
        """Return what the logits of each division are divided by."""
        if len(parts) == 1:
            return [self._temperature(trial, parts)]
        return [
            self._temperature(trial, [other for other in parts if other is not part])
            for part in parts
        ]

    def _temperature(self, trial: Trial, parts: Sequence[Solved]) -> float:
        """Return the temperature of lowest log loss on the images that validate."""
        if _entry(trial).gives_probabilities:
            return 1.0
        labels = self._materials.images.labels[np.concatenate([one.validation for one in parts])]
        return fitted_to_scores(labels, np.concatenate([one.logits for one in parts]))


def _head(
    scaling: Scaling, solver: Any, solution: tuple[np.ndarray, np.ndarray]
) -> Linear | KernelHead:
    """Return a solution as a head on features as they come."""
    if isinstance(solver, Kernel):
        return solver.head(scaling.form, *solution)
    return folded(scaling, *solution)


def _entry(trial: Trial) -> ExactHeadEntry:
    return EXACT_HEADS[trial.task.head]
