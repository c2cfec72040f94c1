"""What a worker process trains on: features, made or found, and the trainers that share them."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from automl_cv.data import overlap
from automl_cv.engine import runtime
from automl_cv.engine.backbone_parts import Cut, cut
from automl_cv.engine.extract import Network, Progress, extract, load
from automl_cv.engine.fine_tuning import FineTuner, Maps
from automl_cv.engine.training import HeadTrainer, TrainingData
from automl_cv.engine.views import CachedViews, OnlineViews, Views, measured
from automl_cv.errors import UserError
from automl_cv.features import FeatureCache, Recipe, recipe, view_names
from automl_cv.orders import messages
from automl_cv.study.space import Value
from automl_cv.study.stage import Stage
from automl_cv.study.studyfile import Backbone, drawn_backbone
from automl_cv.worker.folds import division
from automl_cv.worker.reference import logistic_reference

MUCH_SPACE = 10**9  # bytes of the disk that are worth a word


class Trainers:
    """Extracts features, holds them, and makes a trainer when a trial first asks for it.

    Args:
        given: the images of the search.
        report: is told how far an extraction is.
        tell: is told how much of the disk a large extraction will take.
        whole: train and validation images together are trained on, and validated on, as `fit`
            does; splits and folds play no part.
    """

    def __init__(
        self,
        given: messages.Prepare,
        report: Progress,
        tell: Callable[[messages.SpaceNeeded], None],
        *,
        whole: bool = False,
    ) -> None:
        self._given = given
        self.metric = given.metric
        self._report = report
        self._tell = tell
        self._whole = whole
        self._cache = FeatureCache(given.cache_dir)
        self._features: dict[messages.PrepareFeatures, np.ndarray] = {}
        self._networks: dict[Backbone, Network] = {}
        self._trainers: dict[object, HeadTrainer] = {}
        self._tuners: dict[object, FineTuner] = {}
        self._parts: dict[object, Cut] = {}

    def prepare(self, order: messages.PrepareFeatures) -> messages.Prepared:
        """Make sure that features are cached, and open them.

        Raises:
            UserError: the backbone or its weights can't be had.
            AutomlError: a file can't be read any more.
        """
        if order.views == "online":
            return self._prepare_online(order.backbone)
        started = time.perf_counter()
        altering = order.augmentation is not None
        rows = self._rows(order)
        paths, hashes = self._files(rows)
        wanted = self._recipe(order)
        names = view_names(hashes, order.views) if altering else hashes
        if order.n_blocks:
            self._check_space(order, len(self._cache.missing(wanted, names)))
        extracted = extract(
            order.backbone, paths, hashes, self._cache, wanted, self._report, order.views
        )
        features = self._cache.open(wanted, names, order.backbone.features).array
        self._features[order] = features
        return messages.Prepared(
            extracted=extracted,
            dimension=int(features.shape[1]),
            seconds=time.perf_counter() - started,
            versions=runtime.versions(),
        )

    def prepare_trial(self, stages: Sequence[Stage], parameters: Mapping[str, Value]) -> None:
        """Make sure of everything that one trial needs; see `prepare`.

        Args:
            stages: whose settings it is trained with.
            parameters: of the trial.
        """
        plain = messages.PrepareFeatures(drawn_backbone(self._given.backbone, parameters))
        self.prepare(plain)
        for stage in stages:
            altered = self._altered(stage, parameters)
            orders = [plain] if altered is None else [plain, altered]
            for order in orders:
                self.prepare(order)
                if stage.fine_tune is not None:
                    self.prepare(replace(order, n_blocks=stage.fine_tune.blocks))

    def pooled(self, parameters: Mapping[str, Value]) -> np.ndarray:
        """Return the features of all images as they are, float32, shape (images, features).

        Args:
            parameters: of the trial that learns from them.
        """
        backbone = drawn_backbone(self._given.backbone, parameters)
        return self._features[messages.PrepareFeatures(backbone)]

    def _altered(
        self, stage: Stage, parameters: Mapping[str, Value]
    ) -> messages.PrepareFeatures | None:
        """Return the order for the altered images of a trial; None where it has none."""
        backbone = drawn_backbone(self._given.backbone, parameters)
        order = messages.views_order(stage, backbone, parameters)
        if order is not None and self._whole and order.views != "online":
            order = replace(order, splits=("train", "validation"))
        return order

    def _division(self, stage: Stage, fold: int | None) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows that train and those that validate a trial."""
        images = self._given.images
        if self._whole:
            both = np.flatnonzero(np.isin(images.splits, ("train", "validation")))
            return both, both
        folds = stage.retrain.folds if stage.retrain is not None else None
        return division(images, self._given.seed, folds, fold)

    def _prepare_online(self, backbone: Backbone) -> messages.Prepared:
        """Load a backbone that runs in each epoch, and measure it."""
        self._networks[backbone] = load(backbone, recipe(backbone))
        train = np.flatnonzero(self._given.images.splits == "train")
        count, seconds = measured(backbone, self._networks[backbone], *self._files(train))
        dimension = self._features[messages.PrepareFeatures(backbone)].shape[1]
        return messages.Prepared(count, int(dimension), seconds, runtime.versions())

    def _files(self, rows: np.ndarray) -> tuple[list[Path], list[str]]:
        """Return the files of images and the hashes of their content."""
        images = self._given.images
        paths = [Path(images.paths[row]) for row in rows]
        return paths, [images.content_hashes[row] for row in rows]

    def trainer(
        self, stage: Stage, parameters: Mapping[str, Value], fold: int | None
    ) -> HeadTrainer:
        """Return the trainer for a trial's images; trials of the same images share it.

        Args:
            stage: what the trial belongs to.
            parameters: of the trial.
            fold: see `messages.Train`.
        """
        backbone = drawn_backbone(self._given.backbone, parameters)
        folds = stage.retrain.folds if stage.retrain is not None else None
        key = (backbone, folds, fold)
        if key not in self._trainers:
            features = self.pooled(parameters)
            data = self._data(features, *self._division(stage, fold))
            self._trainers[key] = HeadTrainer(data)
        return self._trainers[key]

    def views(
        self, stage: Stage, parameters: Mapping[str, Value], fold: int | None = None
    ) -> Views | None:
        """Return how a trial's training images are altered; None where they are not.

        Args:
            stage: what the trial belongs to.
            parameters: of the trial.
            fold: see `messages.Train`.
        """
        backbone = drawn_backbone(self._given.backbone, parameters)
        order = self._altered(stage, parameters)
        if order is None:
            return None
        images = self._given.images
        train, _ = self._division(stage, fold)
        if order.views == "online":
            return OnlineViews(
                backbone,
                self._networks[backbone],
                stage.augmentation_of(parameters),
                *self._files(train),
                images.labels[train],
                len(images.classes),
            )
        # The place of each training image among those that have views.
        places = np.cumsum(np.isin(images.splits, order.splits)) - 1
        return CachedViews(self._features[order], places[train], order.views)

    def tuner(self, stage: Stage, parameters: Mapping[str, Value], fold: int | None) -> FineTuner:
        """Return what fine-tunes trials of the same images; they share it.

        Args:
            stage: one that fine-tunes.
            parameters: of the trial.
            fold: see `messages.Train`.
        """
        assert stage.fine_tune is not None
        backbone = drawn_backbone(self._given.backbone, parameters)
        order = messages.PrepareFeatures(backbone, n_blocks=stage.fine_tune.blocks)
        altered = self._altered(stage, parameters)
        if altered is not None:
            altered = replace(altered, n_blocks=stage.fine_tune.blocks)
        folds = stage.retrain.folds if stage.retrain is not None else None
        key = (order, altered, folds, fold)
        if key not in self._tuners:
            heads = self.trainer(stage, parameters, fold)
            plain = replace(order, n_blocks=0)
            data = self._data(self._features[plain], *self._division(stage, fold))
            parts = self._parts_of(order)
            hashes = self._given.images.content_hashes
            widths = self._cache.open(self._recipe(plain), hashes, backbone.features).widths
            self._tuners[key] = FineTuner(
                parts,
                Maps(
                    plain=self._features[order],
                    rows=self._rows(order),
                    views=None if altered is None else self._features[altered],
                    fingerprint=self._fingerprint(order, altered, data),
                ),
                data,
                None if altered is None else self._features[replace(altered, n_blocks=0)],
                heads.head_input,
                only_last=backbone.features == "last",
                frozen_width=sum(widths[: parts.n_frozen]),
            )
        return self._tuners[key]

    def _parts_of(self, order: messages.PrepareFeatures) -> Cut:
        size = self._recipe(order).image_size
        key = (order.backbone, order.n_blocks)
        if key not in self._parts:
            self._parts[key] = cut(order.backbone, size, order.n_blocks)
        return self._parts[key]

    def _recipe(self, order: messages.PrepareFeatures) -> Recipe:
        own = recipe(order.backbone, order.augmentation, self._given.seed)
        return own.before_blocks(order.n_blocks) if order.n_blocks else own

    def _rows(self, order: messages.PrepareFeatures) -> np.ndarray:
        """Return which images an order is about; nothing needs maps of the test images."""
        splits = self._given.images.splits
        if order.augmentation is not None:
            return np.flatnonzero(np.isin(splits, order.splits))
        if order.n_blocks:
            return np.flatnonzero(np.isin(splits, ("train", "validation")))
        return np.arange(len(splits))

    def _check_space(self, order: messages.PrepareFeatures, n_missing: int) -> None:
        """Tell how much of the disk maps will take, where it is much; refuse what has no room.

        Raises:
            UserError: the disk has no room for them.
        """
        if not n_missing:
            return
        # Once as they come, once in the order of the study.
        n_bytes = 2 * n_missing * 4 * math.prod(self._parts_of(order).shape)
        folder = self._given.cache_dir
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
        if n_bytes > free:
            raise UserError(
                f"fine_tune.blocks: feature maps of {order} take "
                f"{n_bytes / 1e9:.1f} GB, and {folder} has {free / 1e9:.1f} GB left; take fewer "
                "views or a smaller image_size, or give another --cache-dir"
            )
        if n_bytes >= MUCH_SPACE:
            self._tell(messages.SpaceNeeded(n_bytes, free, folder))

    def _fingerprint(
        self,
        order: messages.PrepareFeatures,
        altered: messages.PrepareFeatures | None,
        data: TrainingData,
    ) -> str:
        """Tell a trial's maps, images, labels and splits from all others."""
        images = self._given.images
        recipes = [self._recipe(one).as_data() for one in (order, altered) if one is not None]
        views = 0 if altered is None else altered.views
        about = [recipes, views, order.backbone.features, images.content_hashes]
        digest = hashlib.blake2b(json.dumps(about).encode(), digest_size=16)
        for numbers in (images.labels, data.train, data.validation):
            digest.update(np.asarray([len(numbers), *numbers], "<i8").tobytes())
        return digest.hexdigest()

    def survey(self) -> messages.Surveyed:
        """Train the reference on the study's own backbone, and compare the splits on it."""
        images, backbone = self._given.images, self._given.backbone
        rows = division(images, self._given.seed, None, None)
        data = self._data(self._features[messages.PrepareFeatures(backbone)], *rows)
        reference = logistic_reference(
            data.features[data.train],
            data.train_labels,
            data.features[data.validation],
            data.validation_labels,
        )
        last = self._cache.open(recipe(backbone), images.content_hashes, "last").array
        near = overlap.near_duplicates(last, images.splits)
        return messages.Surveyed(reference, tuple(near.warnings(images.paths)))

    def _data(
        self, features: np.ndarray, train: np.ndarray, validation: np.ndarray
    ) -> TrainingData:
        images = self._given.images
        return TrainingData(
            features=features,
            train=train,
            train_labels=images.labels[train],
            validation=validation,
            validation_labels=images.labels[validation],
            classes=len(images.classes),
            content_hashes=[images.content_hashes[row] for row in train],
        )
