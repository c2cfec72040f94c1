"""A worker process: carries out the orders of the search, one after the other.

Started as `python -m automl_cv.search.worker DESCRIPTOR`. Only here does TensorFlow
load; what it prints goes to a log file, and when it runs out of memory or crashes
it takes one trial with it and not the search.
"""

from __future__ import annotations

import signal
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from automl_cv.catalog.augmentations import Augmentation
from automl_cv.data import overlap, splitting
from automl_cv.engine import runtime
from automl_cv.engine.extract import extract
from automl_cv.engine.training import HeadTrainer, TrainingData
from automl_cv.errors import AutomlError
from automl_cv.features import FeatureCache, Recipe, recipe, view_names
from automl_cv.history import Epoch, History, StopReason
from automl_cv.search import messages
from automl_cv.search.objective import run_trial
from automl_cv.search.reference import logistic_reference

ViewsKey = tuple[Augmentation, int]
"""How images are altered, and how many views there are of each."""


class _Worker:
    """Holds what `Prepare` made ready for the orders that follow.

    Args:
        connection: to the search.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._epochs: list[Epoch] = []

    def serve(self) -> None:
        """Carry out orders until the search hangs up."""
        while True:
            order = self._connection.recv()
            self._epochs = []
            try:
                self._connection.send(self._carry_out(order))
            except (EOFError, BrokenPipeError):
                raise
            except Exception as error:
                self._connection.send(_failure(error, tuple(self._epochs)))

    def _carry_out(self, order: messages.Order) -> messages.Answer:
        match order:
            case messages.Prepare():
                self._given = order
                return self._prepare()
            case messages.PrepareViews():
                return self._prepare_views(order)
            case messages.Survey():
                return self._survey()
            case messages.Train():
                return self._train(order)

    def _prepare(self) -> messages.Prepared:
        started = time.perf_counter()
        images, backbone = self._given.images, self._given.backbone
        wanted = recipe(backbone)
        extracted = self._extract(images.paths, images.content_hashes, wanted, views=1)
        cache = FeatureCache(self._given.cache_dir)
        self._features = cache.open(wanted, images.content_hashes, backbone.features).array
        self._last = cache.open(wanted, images.content_hashes, "last").array
        self._views: dict[ViewsKey, np.ndarray] = {}
        self._trainers: dict[tuple[ViewsKey | None, int | None, int | None], HeadTrainer] = {}
        return messages.Prepared(
            extracted=extracted,
            dimension=int(self._features.shape[1]),
            seconds=time.perf_counter() - started,
            versions=runtime.versions(),
        )

    def _prepare_views(self, order: messages.PrepareViews) -> messages.Prepared:
        started = time.perf_counter()
        images, backbone = self._given.images, self._given.backbone
        wanted = recipe(backbone, order.augmentation, self._given.seed)
        train = np.flatnonzero(images.splits == "train")
        paths = [images.paths[row] for row in train]
        hashes = [images.content_hashes[row] for row in train]
        extracted = self._extract(paths, hashes, wanted, order.views)
        cache = FeatureCache(self._given.cache_dir)
        features = cache.open(wanted, view_names(hashes, order.views), backbone.features).array
        self._views[order.augmentation, order.views] = features
        return messages.Prepared(
            extracted=extracted,
            dimension=int(features.shape[1]),
            seconds=time.perf_counter() - started,
            versions=runtime.versions(),
        )

    def _extract(
        self, paths: Sequence[str], content_hashes: Sequence[str], wanted: Recipe, views: int
    ) -> int:
        def report(done: int, total: int, images_per_second: float) -> None:
            self._connection.send(messages.Extracting(done, total, images_per_second))

        return extract(
            self._given.backbone,
            [Path(path) for path in paths],
            content_hashes,
            FeatureCache(self._given.cache_dir),
            wanted,
            report,
            views,
        )

    def _trainer(
        self, views: ViewsKey | None = None, folds: int | None = None, fold: int | None = None
    ) -> HeadTrainer:
        """Return the trainer for these images, made when it is first asked for."""
        key = (views, folds, fold)
        if key not in self._trainers:
            data = self._data(folds, fold)
            if views is not None:
                data = replace(data, views=self._views[views])
            self._trainers[key] = HeadTrainer(data)
        return self._trainers[key]

    def _data(self, folds: int | None = None, fold: int | None = None) -> TrainingData:
        """Return the images that train and those that validate: the splits, or a fold's."""
        images = self._given.images
        if folds is None:
            parts = [np.flatnonzero(images.splits == split) for split in ("train", "validation")]
        else:
            both = np.flatnonzero(np.isin(images.splits, ("train", "validation")))
            of_fold = fold_numbers(images, both, folds, self._given.seed)
            parts = [both[of_fold != fold], both[of_fold == fold]]
        train, validation = parts
        return TrainingData(
            features=self._features,
            train=train,
            train_labels=images.labels[train],
            validation=validation,
            validation_labels=images.labels[validation],
            classes=len(images.classes),
        )

    def _survey(self) -> messages.Surveyed:
        data, images = self._data(), self._given.images
        reference = logistic_reference(
            self._features[data.train],
            data.train_labels,
            self._features[data.validation],
            data.validation_labels,
        )
        near = overlap.near_duplicates(self._last, images.splits)
        return messages.Surveyed(reference, tuple(near.warnings(images.paths)))

    def _train(self, order: messages.Train) -> messages.Trained:
        def ask(epoch: Epoch) -> StopReason | None:
            self._epochs.append(epoch)
            self._connection.send(epoch)
            verdict: messages.Verdict = self._connection.recv()
            return verdict.stop

        stage = order.stage
        views = (stage.alteration, stage.views) if stage.alteration else None
        folds = stage.retrain.folds if stage.retrain is not None else None
        trainer = self._trainer(views, folds, order.fold)
        result = run_trial(trainer, stage, order.parameters, order.seed, ask)
        return messages.Trained(result.history, result.optimizer_config)


def fold_numbers(images: messages.Images, rows: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Divide images into folds of equal size, stratified, groups and copies kept together.

    Args:
        images: all images.
        rows: those to divide, shape (n,).
        folds: how many folds.
        seed: another seed gives other folds.

    Returns:
        The number of each image's fold, from 0, shape (n,).

    Raises:
        UserError: a class has fewer images than there are folds.
    """
    names = splitting.assign(
        [images.classes[images.labels[row]] for row in rows],
        [images.content_hashes[row] for row in rows],
        [images.groups[row] for row in rows],
        {str(number): 1 / folds for number in range(folds)},
        seed,
    )
    return np.asarray([int(name) for name in names])


def _failure(error: Exception, epochs: tuple[Epoch, ...]) -> messages.Failed:
    """Put an exception into one line."""
    first = (str(error).strip() or "no message").splitlines()[0]
    known = isinstance(error, AutomlError)
    reason = str(error) if known else f"{type(error).__name__}: {first}"
    if type(error).__name__ == "ResourceExhaustedError" or isinstance(error, MemoryError):
        reason = f"out of memory ({first[:120]})"
    return messages.Failed(
        reason=reason,
        exit_code=error.exit_code if isinstance(error, AutomlError) else 1,
        traceback="".join(traceback.format_exception(error)),
        history=History(epochs=epochs, stop_reason="failed", error=reason),
    )


def main() -> None:
    """Serve the search at the other end of the descriptor named on the command line."""
    # Ctrl-C reaches the whole process group; the search decides what becomes of us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    connection = Connection(int(sys.argv[1]))
    try:
        _Worker(connection).serve()
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass  # The search ended, or was killed: nothing is left to do.


if __name__ == "__main__":
    main()
